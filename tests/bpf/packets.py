"""Received packets for the steering tests, built field by field; every argument is something a peer can get wrong."""
from __future__ import annotations

import socket
import struct

US, EXCHANGE, DEDICATED, OTHER = "10.1.0.2", "192.0.2.7", "10.1.0.99", "203.0.113.5"
OUR_PORT, EXCHANGE_PORT = 40001, 443
MAC_US, MAC_PEER = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")
TCP, ICMP, UDP = 6, 1, 17
Q, AD = 0x8100, 0x88A8


def eth(payload: bytes, ethertype: int = 0x0800, tags: tuple[int, ...] = ()) -> bytes:
    """Ethernet; `tags` are the TPIDs of the tags, outer first."""
    head = MAC_US + MAC_PEER
    for tpid in tags:
        head += struct.pack(">HH", tpid, 0x2005)
    return head + struct.pack(">H", ethertype) + payload


def ip4(payload: bytes, proto: int = TCP, src: str = EXCHANGE, dst: str = US, version: int = 4, ihl: int | None = None,
        total: int | None = None, frag: int = 0x4000, options: bytes = b"") -> bytes:
    """IPv4. `frag`: flags and offset as in the header. `ihl` (words) and `total` (bytes) default to the truth."""
    words = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if total is None else total
    return struct.pack(">BBHHHBBH4s4s", version << 4 | words, 0, length, 7, frag, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst)) + options + payload


def tcp(payload: bytes = b"", sport: int = EXCHANGE_PORT, dport: int = OUR_PORT, words: int | None = None,
        options: bytes = b"") -> bytes:
    """TCP. `words` is the data offset; the truth by default."""
    offset = 5 + len(options) // 4 if words is None else words
    return struct.pack(">HHIIBBHHH", sport, dport, 1000, 2000, offset << 4, 0x18, 500, 0, 0) + options + payload


def quote(src: str = US, dst: str = EXCHANGE, sport: int = OUR_PORT, dport: int = EXCHANGE_PORT,
          **fields: object) -> bytes:
    """The first 28 bytes of a segment that we sent."""
    return ip4(tcp(sport=sport, dport=dport), src=src, dst=dst, **fields)[:28]  # type: ignore[arg-type]


def icmp(kind: int, payload: bytes = b"", code: int = 0) -> bytes:
    """ICMP with its 8-byte header."""
    return struct.pack(">BBHI", kind, code, 0, 0) + payload


def arp(sender: str = EXCHANGE, target: str = DEDICATED, op: int = 1) -> bytes:
    """ARP for IPv4 over Ethernet."""
    return struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, op, MAC_PEER, socket.inet_aton(sender), bytes(6),
                       socket.inet_aton(target))


def segment(payload: bytes = b"hello, trader", **fields: object) -> bytes:
    """A whole frame with a segment of the steered flow; `fields` as of `ip4`."""
    return eth(ip4(tcp(payload), **fields))  # type: ignore[arg-type]
