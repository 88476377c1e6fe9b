/* bpf/shared.h: the ABI between the steering program and user space: fixed-width types only, no pointers, no bit
 * fields. Included by bpf/steer.bpf.c, csrc/dev/xsk.c and (as text) checked by xdpws/control. */
#ifndef XW_BPF_SHARED_H
#define XW_BPF_SHARED_H

/* Bumped with every change of a struct or of a map's meaning; kept in the map "config". */
#define XW_STEER_ABI 2

#define XW_STEER_MAX_FLOWS 4096
#define XW_STEER_MAX_QUEUES 64

/* Key of the map "flows": an exact 4-tuple as it stands in a received packet. Network byte order. */
struct xw_flow_key {
    __u32 saddr;  /* the exchange */
    __u32 daddr;  /* us */
    __u16 sport;
    __u16 dport;
};
/* Value of the map "flows". */
struct xw_flow_val {
    __u32 flags;  /* XW_FLOW_… */
    __u32 spare;
};
#define XW_FLOW_ACTIVE 1u  /* redirect; without it the entry only counts as known and packets are passed */

/* Value of the array "config", one entry. */
struct xw_steer_config {
    __u32 abi;           /* XW_STEER_ABI, written by the loader */
    __u32 dedicated_ip;  /* network byte order; ARP for it and ICMP to it are ours; 0: shared mode */
    __u32 flags;
    __u32 spare;
};

/* Written in front of the packet (bpf_xdp_adjust_meta) before it is redirected. 32 bytes, multiple of 4.
 *
 * An AF_XDP descriptor does not say whether there is metadata, and the kernel leaves the bytes before a packet alone when there is
 * none, so an old struct may still stand there. User space therefore believes it only if magic and len (the descriptor's length)
 * match, and overwrites magic with 0 when it gives the frame back to the FILL ring (or to anything that can lead there). */
#define XW_META_MAGIC 0x58575331u /* "XWS1" */
#define XW_META_HW 1u             /* hw_ns is the NIC's hardware time */
#define XW_META_XDP 2u            /* xdp_ns is bpf_ktime_get_ns(), CLOCK_MONOTONIC */
struct xw_meta {
    __u64 hw_ns;
    __u64 xdp_ns;
    __u32 valid;         /* XW_META_HW, XW_META_XDP */
    __u32 len;           /* of the packet that follows, bytes */
    __u32 spare;         /* 0 */
    __u32 magic;         /* last, so that it stands right before the packet */
};

/* Index into the per-CPU array "counters" (__u64 each). Every packet counts in exactly one of REDIRECT… and PASS…; NOTE… are
 * counted besides. */
enum xw_steer_counter {
    XW_STEER_REDIRECT = 0,        /* steered TCP segment */
    XW_STEER_REDIRECT_ICMP,       /* ICMP error that quotes a steered flow */
    XW_STEER_REDIRECT_ARP,        /* dedicated mode: ARP from or for our address */
    XW_STEER_REDIRECT_DEDICATED,  /* dedicated mode: echo request to our address */
    XW_STEER_REDIRECT_STRAY,      /* dedicated mode: TCP to our address that is no flow's; the stack answers with RST */
    XW_STEER_REDIRECT_FRAGMENT,   /* first fragment of a steered flow's segment: the stack drops it, the kernel cannot complete it */
    XW_STEER_PASS_NOT_IP,         /* neither IPv4 nor ARP */
    XW_STEER_PASS_SHORT,          /* ends inside the VLAN tags, the IPv4 header or the ARP packet */
    XW_STEER_PASS_VLAN_DEPTH,     /* more than two tags */
    XW_STEER_PASS_IP_MALFORMED,   /* version, header or total length wrong */
    XW_STEER_PASS_FRAGMENT,       /* any other IPv4 fragment */
    XW_STEER_PASS_PROTO,          /* neither TCP nor ICMP */
    XW_STEER_PASS_TCP_MALFORMED,  /* TCP header cut, or its data offset out of range */
    XW_STEER_PASS_NO_FLOW,        /* TCP, but the 4-tuple is not ours */
    XW_STEER_PASS_ICMP,           /* ICMP that quotes none of ours */
    XW_STEER_PASS_ARP,            /* ARP that is not for a dedicated address */
    XW_STEER_PASS_INACTIVE,       /* flow known but not active */
    XW_STEER_PASS_NO_SOCKET,      /* ours, but no socket is bound to its receive queue */
    XW_STEER_NOTE_NO_META,        /* redirected without metadata: the driver left no room for it */
    XW_STEER_COUNTERS
};
#endif
