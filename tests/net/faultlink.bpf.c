/* tests/net/faultlink.bpf.c: the faulty wire. One program a direction sits at the ingress (clsact) of the wire's end and
 * sends every frame out at the other end. IPv4 frames are lost, damaged, doubled or held back until the next one has gone,
 * each at a rate of its own; other frames (ARP) only pass, because no checksum would show their damage.
 *
 * Ingress, not the sender's egress: there a TCP segment may still be a super-frame without a checksum. Damage is one byte
 * behind the Ethernet header and within the IP packet, XORed with a value that is not 0: the Internet checksum shows
 * every such change. What the counters say is exact: out = in - lost + doubled - held. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETH_LEN 14
#define ETH_IP4 0x0800
#define FRAME_MAX 9216
#define PPM 1000000

struct rates { /* per million; struct _Rates in faultlink.py */
    __u32 out_ifindex;
    __u32 loss, dup, reorder, corrupt;
};
struct counts { /* struct _Counts in faultlink.py */
    __u64 seen, lost, duplicated, reordered, corrupted, held, other, failed;
};
struct held {
    __u32 busy; /* one processor at a time: 1 while the frame is being written or emitted */
    __u32 len;  /* 0: none is held */
    __u8 data[FRAME_MAX];
};

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, struct rates); }
    rates SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, struct counts); }
    counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, struct held); }
    held SEC(".maps");

#define COUNT(field) __sync_fetch_and_add(&(field), 1)

static __always_inline int happens(__u32 ppm) { return ppm && bpf_get_prandom_u32() % PPM < ppm; }

/* Returns 0 when one byte was changed. */
static __always_inline int corrupt(struct __sk_buff *skb) {
    __u16 total_be = 0;
    __u8 byte = 0;
    if (bpf_skb_load_bytes(skb, ETH_LEN + 2, &total_be, sizeof total_be))
        return -1;
    __u32 total = bpf_ntohs(total_be);
    if (total < 20 || total > FRAME_MAX || ETH_LEN + total > skb->len)
        return -1;
    __u32 random = bpf_get_prandom_u32(), at = ETH_LEN + (random >> 8) % total;
    if (bpf_skb_load_bytes(skb, at, &byte, 1))
        return -1;
    byte ^= 1u << (random & 7);
    return bpf_skb_store_bytes(skb, at, &byte, 1, 0) ? -1 : 0;
}

/* Keeps the frame's bytes; 0 when the frame itself can go. */
static __always_inline int hold(struct __sk_buff *skb, struct held *h) {
    __u32 len = skb->len;
    if (len < ETH_LEN || len > FRAME_MAX || skb->vlan_present)
        return -1;
    if (bpf_skb_load_bytes(skb, 0, h->data, len))
        return -1;
    h->len = len;
    return 0;
}

/* Sends a copy of the frame on, then turns the frame itself into the one that was held; 0 when that worked. */
static __always_inline int release(struct __sk_buff *skb, struct held *h, __u32 out_ifindex) {
    __u32 len = h->len;
    if (len < ETH_LEN || len > FRAME_MAX || skb->vlan_present || bpf_clone_redirect(skb, out_ifindex, 0))
        return -1;
    h->len = 0;
    if (bpf_skb_change_tail(skb, len, 0))
        return 1;
    return bpf_skb_store_bytes(skb, 0, h->data, len, 0) ? 1 : 0;
}

static __always_inline int reorder(struct __sk_buff *skb, const struct rates *r, struct counts *c, struct held *h) {
    int verdict = TC_ACT_OK;
    if (h->len == 0 && !happens(r->reorder))
        return verdict;
    if (__sync_val_compare_and_swap(&h->busy, 0, 1) != 0)
        return verdict; /* the other processor is at it: this frame goes straight on */
    if (h->len == 0) {
        if (hold(skb, h) == 0) {
            COUNT(c->held);
            verdict = TC_ACT_SHOT;
        }
    } else {
        int rc = release(skb, h, r->out_ifindex);
        if (rc >= 0)
            __sync_fetch_and_add(&c->held, -1);
        if (rc == 0)
            COUNT(c->reordered);
        if (rc > 0) {
            COUNT(c->failed); /* the held frame is gone and could not be rebuilt */
            verdict = TC_ACT_SHOT;
        }
    }
    __sync_val_compare_and_swap(&h->busy, 1, 0);
    return verdict;
}

static __always_inline int wire(struct __sk_buff *skb, __u32 direction) {
    const struct rates *r = bpf_map_lookup_elem(&rates, &direction);
    struct counts *c = bpf_map_lookup_elem(&counts, &direction);
    struct held *h = bpf_map_lookup_elem(&held, &direction);
    if (!r || !c || !h)
        return TC_ACT_SHOT;
    if (skb->protocol != bpf_htons(ETH_IP4)) {
        COUNT(c->other);
        return bpf_redirect(r->out_ifindex, 0);
    }
    COUNT(c->seen);
    if (happens(r->loss)) {
        COUNT(c->lost);
        return TC_ACT_SHOT;
    }
    if (happens(r->corrupt) && corrupt(skb) == 0)
        COUNT(c->corrupted);
    if (happens(r->dup) && bpf_clone_redirect(skb, r->out_ifindex, 0) == 0)
        COUNT(c->duplicated);
    if (reorder(skb, r, c, h) == TC_ACT_SHOT)
        return TC_ACT_SHOT;
    return bpf_redirect(r->out_ifindex, 0);
}

SEC("tc") int to_client(struct __sk_buff *skb) { return wire(skb, 0); }
SEC("tc") int to_server(struct __sk_buff *skb) { return wire(skb, 1); }

char _license[] SEC("license") = "Dual BSD/GPL";
