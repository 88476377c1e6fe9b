"""IPv4 packets of TCP and ICMP, built and read for scripts, and what a payload is: octets that tell their place."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
ECN = {None: 0, "noecn": 0, "ect1": 1, "ect0": 2, "ect01": 2, "ce": 3}
ICMP_CODES = {
    ("unreachable", ""): (3, 1), ("unreachable", "net_unreachable"): (3, 0),
    ("unreachable", "host_unreachable"): (3, 1),
    ("unreachable", "protocol_unreachable"): (3, 2), ("unreachable", "port_unreachable"): (3, 3),
    ("unreachable", "frag_needed"): (3, 4), ("unreachable", "source_route_failed"): (3, 5),
    ("unreachable", "net_unknown"): (3, 6), ("unreachable", "host_unknown"): (3, 7),
    ("unreachable", "source_host_isolated"): (3, 8), ("unreachable", "net_prohibited"): (3, 9),
    ("unreachable", "host_prohibited"): (3, 10), ("unreachable", "net_unreachable_for_tos"): (3, 11),
    ("unreachable", "host_unreachable_for_tos"): (3, 12), ("unreachable", "communication_prohibited"): (3, 13),
    ("unreachable", "admin_prohibited"): (3, 13),
    ("unreachable", "host_precedence_violation"): (3, 14), ("unreachable", "precedence_cutoff"): (3, 15),
    ("time_exceeded", ""): (11, 0), ("time_exceeded", "ttl"): (11, 0), ("time_exceeded", "reassembly"): (11, 1),
    ("parameter_problem", ""): (12, 0), ("source_quench", ""): (4, 0), ("echo_request", ""): (8, 0),
}


def pattern(first: int, length: int) -> bytes:
    """The octets of a stream from offset first on; so every octet tells where it belongs."""
    start = first % 251
    cycle = bytes(range(251))
    return (cycle * (length // 251 + 3))[start:start + length]


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def flag_bits(text: str) -> int:
    """Letters of the script; digits are the three ACE bits (RFC 9768) that AE, CWR and ECE are."""
    bits = 0
    for ch in text:
        if ch in FLAGS:
            bits |= FLAGS[ch]
        elif ch == "A":
            bits |= 256
        elif ch.isdigit():
            ace = int(ch)
            bits |= (ace & 1) << 6 | (ace & 2) << 6 | (ace & 4) << 6
    return bits


def flag_text(bits: int) -> str:
    names = "".join(n for n, b in (("S", 2), ("F", 1), ("R", 4), ("P", 8), ("U", 32), ("E", 64), ("W", 128), ("A", 256))
                    if bits & b)
    return names + ("." if bits & 16 else "")


@dataclass(slots=True)
class Segment:
    """A TCP segment as it is on the wire: absolute numbers, options in their order."""

    src: tuple[int, int]
    dst: tuple[int, int]
    seq: int
    ack: int
    flags: int
    win: int
    urg: int = 0
    options: list[tuple] = field(default_factory=list)
    data: bytes = b""
    tos: int = 0
    ttl: int = 255


def options_pack(options: list[tuple]) -> bytes:
    out = b""
    for o in options:
        match o:
            case ("nop",):
                out += b"\x01"
            case ("eol",):
                out += b"\x00"
            case ("sackOK",):
                out += b"\x04\x02"
            case ("mss", n):
                out += struct.pack("!BBH", 2, 4, n)
            case ("wscale", n):
                out += struct.pack("!BBB", 3, 3, n)
            case ("TS", val, ecr):
                out += struct.pack("!BBII", 8, 10, val & 0xffffffff, ecr & 0xffffffff)
            case ("sack", *blocks):
                out += struct.pack("!BB", 5, 2 + 8 * len(blocks))
                for lo, hi in blocks:
                    out += struct.pack("!II", lo & 0xffffffff, hi & 0xffffffff)
            case ("FO", cookie):
                out += struct.pack("!BB", 34, 2 + len(cookie)) + cookie
            case ("FOEXP", cookie):
                out += struct.pack("!BBH", 254, 4 + len(cookie), 0xF989) + cookie
            case ("md5", digest):
                out += struct.pack("!BB", 19, 18) + digest
            case ("ECN", first, *counters):
                body = b"".join(struct.pack("!I", n & 0xffffff)[1:] for n in counters)
                out += struct.pack("!BB", 172 if first == "e0b" else 174, 2 + len(body)) + body
    return out + b"\0" * (-len(out) % 4)


def options_unpack(raw: bytes) -> list[tuple]:
    out: list[tuple] = []
    at = 0
    while at < len(raw):
        kind = raw[at]
        if kind in (0, 1):
            out.append(("eol",) if kind == 0 else ("nop",))
            at += 1
            continue
        size = raw[at + 1]
        body = raw[at + 2:at + size]
        if kind == 2:
            out.append(("mss", struct.unpack("!H", body)[0]))
        elif kind == 3:
            out.append(("wscale", body[0]))
        elif kind == 4:
            out.append(("sackOK",))
        elif kind == 5:
            numbers = struct.unpack(f"!{len(body) // 4}I", body)
            out.append(("sack", *zip(numbers[::2], numbers[1::2], strict=True)))
        elif kind == 8:
            out.append(("TS", *struct.unpack("!II", body)))
        else:
            out.append((f"kind{kind}", body))
        at += size
    return out


def ip_pack(src: int, dst: int, proto: int, body: bytes, tos: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBHII", 0x45, tos, 20 + len(body), 0, 0x4000, 255, proto, 0, src, dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def tcp_pack(s: Segment) -> bytes:
    opts = options_pack(s.options)
    head = struct.pack("!HHIIHHHH", s.src[1], s.dst[1], s.seq & 0xffffffff, s.ack & 0xffffffff,
                       (20 + len(opts)) // 4 << 12 | s.flags, s.win, 0, s.urg) + opts
    pseudo = struct.pack("!IIBBH", s.src[0], s.dst[0], 0, 6, len(head) + len(s.data))
    head = head[:16] + struct.pack("!H", checksum(pseudo + head + s.data)) + head[18:]
    return ip_pack(s.src[0], s.dst[0], 6, head + s.data, s.tos)


def icmp_pack(src: int, dst: int, kind: int, code: int, mtu: int, quote: bytes) -> bytes:
    body = struct.pack("!BBHHH", kind, code, 0, 0, mtu) + quote
    return ip_pack(src, dst, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def tcp_unpack(raw: bytes) -> Segment | None:
    """None: not TCP. The checksums are verified: a wrong one is a bug of the stack."""
    ihl = (raw[0] & 15) * 4
    src, dst = struct.unpack("!II", raw[12:20])
    total = struct.unpack("!H", raw[2:4])[0]
    assert checksum(raw[:ihl]) == 0, "the IP checksum is wrong"
    if raw[9] != 6:
        return None
    t = raw[ihl:total]
    pseudo = struct.pack("!IIBBH", src, dst, 0, 6, len(t))
    assert checksum(pseudo + t) == 0, "the TCP checksum is wrong"
    sport, dport, seq, ack, off, win, _, urg = struct.unpack("!HHIIHHHH", t[:20])
    head = (off >> 12) * 4
    return Segment((src, sport), (dst, dport), seq, ack, off & 0x1ff, win, urg, options_unpack(t[20:head]), t[head:],
                   raw[1], raw[8])
