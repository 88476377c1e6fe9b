"""The table: description, packet, verdict, counter. The default state is that of the fixture `bench`; `dedicated` turns
the dedicated address on, `socket` False takes the socket off the queue."""
from __future__ import annotations

import struct
from dataclasses import dataclass

import packets as p
from packets import AD, DEDICATED, EXCHANGE, ICMP, OTHER, OUR_PORT, UDP, US, Q, arp, eth, icmp, ip4, quote, segment, tcp


@dataclass(frozen=True)
class Case:
    """One packet and what must come of it."""

    what: str
    packet: bytes
    counter: str
    dedicated: bool = False
    socket: bool = True

    @property
    def redirected(self) -> bool:
        return self.counter.startswith("redirect")


def _ip(payload: bytes, **fields: object) -> bytes:
    return eth(ip4(payload, **fields))  # type: ignore[arg-type]


def _icmp(kind: int, payload: bytes, **fields: object) -> bytes:
    return eth(ip4(icmp(kind, payload), ICMP, src=OTHER, **fields))  # type: ignore[arg-type]


SEGMENTS = [
    Case("segment of the flow", segment(), "redirect"),
    Case("segment without payload", segment(b""), "redirect"),
    Case("segment padded to the minimal Ethernet frame", segment(b"").ljust(60, b"\0"), "redirect"),
    Case("segment as long as MTU 1500 allows", segment(bytes(1460)), "redirect"),
    Case("segment with 40 bytes of TCP options", _ip(tcp(b"x", options=bytes([1] * 40))), "redirect"),
    Case("802.1Q tag", eth(ip4(tcp()), tags=(Q,)), "redirect"),
    Case("802.1ad tag", eth(ip4(tcp()), tags=(AD,)), "redirect"),
    Case("802.1ad over 802.1Q", eth(ip4(tcp()), tags=(AD, Q)), "redirect"),
    Case("802.1Q over 802.1Q", eth(ip4(tcp()), tags=(Q, Q)), "redirect"),
    Case("no socket on the queue", segment(), "pass_no_socket", socket=False),
    Case("flow known, not active", _ip(tcp(dport=OUR_PORT + 1)), "pass_inactive"),
    Case("flow not active, no socket", _ip(tcp(dport=OUR_PORT + 1)), "pass_inactive", socket=False),
    Case("other source port", _ip(tcp(sport=444)), "pass_no_flow"),
    Case("other destination port", _ip(tcp(dport=22)), "pass_no_flow"),
    Case("other source address", _ip(tcp(), src=OTHER), "pass_no_flow"),
    Case("other destination address", _ip(tcp(), dst=OTHER), "pass_no_flow"),
    Case("the flow backwards", _ip(tcp(sport=OUR_PORT, dport=p.EXCHANGE_PORT), src=US, dst=EXCHANGE), "pass_no_flow"),
    Case("ports swapped", _ip(tcp(sport=OUR_PORT, dport=p.EXCHANGE_PORT)), "pass_no_flow"),
    Case("the flow's ports over UDP", _ip(tcp(), proto=UDP), "pass_proto"),
]

SHAPES = [
    Case("Ethernet header alone, type IPv4", eth(b""), "pass_short"),
    Case("Ethernet header alone, IPv6", eth(b"", 0x86DD), "pass_not_ip"),
    Case("802.3 length field", eth(bytes(46), 46), "pass_not_ip"),
    Case("IPv6", eth(bytes([0x60]) + bytes(59), 0x86DD), "pass_not_ip"),
    Case("cut in the tag", eth(b"")[:12] + struct.pack(">HH", Q, 5), "pass_short"),
    Case("cut in the second tag", eth(b"", tags=(Q,))[:16] + struct.pack(">HB", Q, 5), "pass_short"),
    Case("ethertype of a third tag", eth(ip4(tcp()), tags=(AD, Q, Q)), "pass_vlan_depth"),
    Case("third tag, cut", eth(b"", Q, tags=(Q, Q)), "pass_vlan_depth"),
    Case("tagged IPv6", eth(bytes(60), 0x86DD, tags=(Q,)), "pass_not_ip"),
    Case("version 6 under the IPv4 ethertype", _ip(tcp(), version=6), "pass_ip_malformed"),
    Case("version 0", _ip(tcp(), version=0), "pass_ip_malformed"),
    Case("header length 4 words", _ip(tcp(), ihl=4), "pass_ip_malformed"),
    Case("header length 0", _ip(tcp(), ihl=0), "pass_ip_malformed"),
    Case("header length 15 words, total length shorter", _ip(tcp(), ihl=15), "pass_ip_malformed"),
    Case("total length 0 (a super-frame)", _ip(tcp(), total=0), "pass_ip_malformed"),
    Case("total length 19", _ip(tcp(), total=19), "pass_ip_malformed"),
    Case("total length one more than there is", _ip(tcp(), total=41), "pass_ip_malformed"),
    Case("total length 65535", _ip(tcp(), total=65535), "pass_ip_malformed"),
    Case("total length of the IPv4 header alone", _ip(tcp(), total=20), "pass_tcp_malformed"),
    Case("total length ends in the TCP header, padding behind", _ip(tcp(bytes(20)), total=39), "pass_tcp_malformed"),
    Case("first fragment", _ip(tcp(), frag=0x2000), "redirect_fragment"),
    Case("first fragment, ports alone", _ip(tcp()[:8], frag=0x2000), "redirect_fragment"),
    Case("first fragment, cut in the ports", _ip(tcp()[:3], frag=0x2000), "pass_fragment"),
    Case("first fragment of no flow", _ip(tcp(dport=22), frag=0x2000), "pass_fragment"),
    Case("first fragment, UDP", _ip(tcp(), frag=0x2000, proto=UDP), "pass_fragment"),
    Case("fragment offset 1", _ip(tcp(), frag=0x0001), "pass_fragment"),
    Case("fragment offset 0x1fff", _ip(tcp(), frag=0x1FFF), "pass_fragment"),
    Case("more fragments, with an offset", _ip(tcp(), frag=0x2100), "pass_fragment"),
    Case("no flags at all", _ip(tcp(), frag=0), "redirect"),
    Case("the reserved flag", _ip(tcp(), frag=0x8000), "redirect"),
    Case("one word of options", _ip(tcp(), options=bytes([1] * 4)), "redirect"),
    Case("ten words of options", _ip(tcp(), options=bytes([1] * 40)), "redirect"),
    Case("options that begin like our segment", _ip(b"", options=tcp()), "pass_tcp_malformed"),
    Case("first fragment with options", _ip(tcp(), options=bytes(4), frag=0x2000), "redirect_fragment"),
    Case("options, no flow", _ip(tcp(dport=22), options=bytes(4)), "pass_no_flow"),
    Case("TCP data offset 4 words", _ip(tcp(words=4)), "pass_tcp_malformed"),
    Case("TCP data offset 0", _ip(tcp(words=0)), "pass_tcp_malformed"),
    Case("TCP data offset beyond the segment", _ip(tcp(words=6)), "pass_tcp_malformed"),
    Case("TCP data offset into the padding", _ip(tcp(words=6), total=40) + bytes(6), "pass_tcp_malformed"),
    Case("TCP data offset equal to the segment", _ip(tcp(bytes(40), words=15)), "redirect"),
    Case("malformed TCP of another flow", _ip(tcp(dport=22, words=0)), "pass_tcp_malformed"),
]

ERRORS = [
    *(Case(f"ICMP type {kind} that quotes the flow", _icmp(kind, quote()), "redirect_icmp") for kind in (3, 4, 11, 12)),
    *(Case(f"ICMP type {kind} that quotes the flow", _icmp(kind, quote()), "pass_icmp") for kind in (0, 5, 8, 13, 255)),
    Case("ICMP error with a long quote", _icmp(3, quote() + bytes(500)), "redirect_icmp"),
    Case("ICMP error, tagged", eth(ip4(icmp(3, quote()), ICMP, src=OTHER), tags=(AD, Q)), "redirect_icmp"),
    Case("ICMP error, no socket", _icmp(3, quote()), "pass_no_socket", socket=False),
    Case("ICMP error about an inactive flow", _icmp(3, quote(sport=OUR_PORT + 1)), "pass_inactive"),
    Case("ICMP error that quotes another port", _icmp(3, quote(sport=22)), "pass_icmp"),
    Case("ICMP error that quotes another peer", _icmp(3, quote(dst=OTHER)), "pass_icmp"),
    Case("ICMP error that quotes a received packet", _icmp(3, ip4(tcp())[:28]), "pass_icmp"),
    Case("ICMP error to another address than quoted", _icmp(3, quote(), dst=DEDICATED), "pass_icmp"),
    Case("ICMP error that quotes UDP", _icmp(3, quote(proto=UDP)), "pass_icmp"),
    Case("ICMP error that quotes version 6", _icmp(3, quote(version=6)), "pass_icmp"),
    Case("ICMP error that quotes options", _icmp(3, quote(ihl=6)), "pass_icmp"),
    Case("ICMP error that quotes a later fragment", _icmp(3, quote(frag=0x0001)), "pass_icmp"),
    Case("ICMP error that quotes a first fragment", _icmp(3, quote(frag=0x2000)), "redirect_icmp"),
    *(Case(f"ICMP error, quote cut to {n} bytes", _icmp(3, quote()[:n]), "pass_icmp") for n in range(28)),
    *(Case(f"ICMP error, quote cut to {n} bytes by the total length", _icmp(3, quote(), total=28 + n), "pass_icmp")
      for n in (0, 19, 20, 24, 27)),
    *(Case(f"ICMP cut to {n} bytes", eth(ip4(icmp(3)[:n], ICMP)), "pass_icmp") for n in range(8)),
    Case("fragment of an ICMP error", _icmp(3, quote(), frag=0x2000), "pass_fragment"),
]

OWN = [
    Case("ARP request", eth(arp(), 0x0806), "pass_arp"),
    Case("ARP request for the dedicated address", eth(arp(), 0x0806), "redirect_arp", dedicated=True),
    Case("ARP reply to the dedicated address", eth(arp(op=2), 0x0806), "redirect_arp", dedicated=True),
    Case("ARP from the dedicated address (conflict)", eth(arp(DEDICATED, OTHER), 0x0806),
         "redirect_arp", dedicated=True),
    Case("ARP announcement of the dedicated address", eth(arp(DEDICATED, DEDICATED), 0x0806),
         "redirect_arp", dedicated=True),
    Case("ARP for the host", eth(arp(target=US), 0x0806), "pass_arp", dedicated=True),
    Case("ARP probe for another address", eth(arp("0.0.0.0", OTHER), 0x0806), "pass_arp", dedicated=True),
    Case("ARP probe, shared mode", eth(arp("0.0.0.0", "0.0.0.0"), 0x0806), "pass_arp"),
    Case("ARP, tagged", eth(arp(), 0x0806, tags=(Q,)), "redirect_arp", dedicated=True),
    Case("ARP, padded", eth(arp(), 0x0806).ljust(60, b"\0"), "redirect_arp", dedicated=True),
    Case("ARP cut", eth(arp(), 0x0806)[:-1], "pass_short", dedicated=True),
    Case("ARP, no socket", eth(arp(), 0x0806), "pass_no_socket", dedicated=True, socket=False),
    Case("echo request to the dedicated address", _icmp(8, b"ping", dst=DEDICATED),
         "redirect_dedicated", dedicated=True),
    Case("echo request to the host", _icmp(8, b"ping"), "pass_icmp", dedicated=True),
    Case("echo request, shared mode", _icmp(8, b"ping", dst=DEDICATED), "pass_icmp"),
    Case("echo reply to the dedicated address", _icmp(0, b"ping", dst=DEDICATED), "pass_icmp", dedicated=True),
    Case("unknown ICMP error to the dedicated address", _icmp(3, quote(sport=9), dst=DEDICATED),
         "pass_icmp", dedicated=True),
    Case("TCP to the dedicated address, no flow", _ip(tcp(), dst=DEDICATED), "redirect_stray", dedicated=True),
    Case("TCP to the dedicated address, no socket", _ip(tcp(), dst=DEDICATED),
         "pass_no_socket", dedicated=True, socket=False),
    Case("TCP to the dedicated address, shared mode", _ip(tcp(), dst=DEDICATED), "pass_no_flow"),
    Case("TCP to the host, dedicated mode", _ip(tcp(dport=22)), "pass_no_flow", dedicated=True),
    Case("flow of the host, dedicated mode", segment(), "redirect", dedicated=True),
    Case("malformed TCP to the dedicated address", _ip(tcp(words=1), dst=DEDICATED),
         "pass_tcp_malformed", dedicated=True),
    Case("fragment to the dedicated address", _ip(tcp(), dst=DEDICATED, frag=1), "pass_fragment", dedicated=True),
    Case("UDP to the dedicated address", _ip(bytes(8), dst=DEDICATED, proto=UDP), "pass_proto", dedicated=True),
]

ALL = SEGMENTS + SHAPES + ERRORS + OWN
