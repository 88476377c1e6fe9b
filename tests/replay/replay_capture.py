"""Captures as TCP directions: who sent which segments to whom, and when; and why something cannot be replayed."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.utils import PcapReader  # noqa: E402

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Odd(Exception):
    """Why a packet has no place in a replay."""


@dataclass(slots=True)
class Seg:
    t_ns: int
    seq: int
    flags: int
    win: int
    urg: int
    options: bytes
    data: bytes

    def options_ts(self) -> bytes:
        """The timestamp option as it stands, b"" if there is none."""
        at = 0
        while at < len(self.options) and self.options[at]:
            size = 1 if self.options[at] == 1 else self.options[at + 1]
            if self.options[at] == 8:
                return self.options[at:at + size]
            at += size
        return b""


@dataclass(slots=True)
class Direction:
    """What one end of one connection sent."""

    name: str
    segs: list[Seg] = field(default_factory=list)

    @property
    def syn(self) -> Seg | None:
        return next((s for s in self.segs if s.flags & SYN), None)

    @property
    def isn(self) -> int:
        """Of the SYN; without one the stream begins where the first segment does."""
        s = self.syn
        return s.seq if s else (self.segs[0].seq - 1) & 0xffffffff

    @property
    def has_data(self) -> bool:
        return any(s.data and not s.flags & SYN for s in self.segs)


@dataclass(slots=True)
class Capture:
    directions: list[Direction] = field(default_factory=list)
    odd: dict[str, int] = field(default_factory=dict)  # why packets were left out → how many


def tcp_of(raw: bytes, v6: bool) -> tuple[tuple[bytes, bytes], bytes]:
    """Addresses and the TCP segment of an IP packet."""
    if v6:
        if len(raw) < 40 or raw[6] != 6:
            raise Odd("IPv6 with extension headers, or not TCP")
        length = struct.unpack("!H", raw[4:6])[0]
        total, head, pair = 40 + length if length else 0, 40, (raw[8:24], raw[24:40])
    else:
        head = (raw[0] & 15) * 4 if raw else 0
        if len(raw) < 20 or raw[0] >> 4 != 4 or head < 20 or raw[9] != 6:
            raise Odd("not TCP over IPv4")
        if struct.unpack("!H", raw[6:8])[0] & 0x3fff:
            raise Odd("an IP fragment (the stack leaves them to the kernel)")
        total, pair = struct.unpack("!H", raw[2:4])[0], (raw[12:16], raw[16:20])
    total = total or len(raw)  # segmentation offload: longer than the field can say
    segment = raw[head:total]
    if len(segment) < 20 or not 20 <= (segment[12] >> 4) * 4 <= len(segment):
        raise Odd("no whole TCP header")
    if total > 65535:
        raise Odd("longer than an IP packet")
    return pair, segment + filling(segment, total - head - len(segment))


def filling(segment: bytes, length: int) -> bytes:
    """What the capture cut off: octets that tell their sequence number, so that repetitions agree."""
    syn = segment[13] & SYN
    first = struct.unpack("!I", segment[4:8])[0] + len(segment) - (segment[12] >> 4) * 4 + bool(syn)
    return bytes((first + i) % 251 for i in range(max(length, 0)))


def packets(path: Path) -> Iterator[tuple[int, tuple[bytes, bytes], bytes] | str]:
    """Time, addresses and TCP segment of each packet, or why it has none."""
    with PcapReader(str(path)) as reader:
        for p in reader:
            layer = p.getlayer(IP) or p.getlayer(IPv6)
            if layer is None:
                yield f"not IP ({p.name})"
                continue
            try:
                yield int(p.time * 10**9), *tcp_of(bytes(layer.original), layer.name == "IPv6")
            except Odd as e:
                yield str(e)


def read(path: Path) -> Capture:
    out = Capture()
    now: dict[tuple, Direction] = {}
    syn: dict[tuple, int] = {}
    for item in packets(path):
        if isinstance(item, str):
            out.odd[item] = out.odd.get(item, 0) + 1
            continue
        t, (src, dst), seg = item
        sport, dport, seq, _, off, win, _, urg = struct.unpack("!HHIIHHHH", seg[:20])
        flags, head = off & 0xff, (off >> 12) * 4
        key, back = (src, sport, dst, dport), (dst, dport, src, sport)
        if flags & SYN and syn.setdefault(key, seq) != seq:  # the ports are used again
            now.pop(key, None)
            now.pop(back, None)
            syn = {key: seq}
        if key not in now:
            now[key] = Direction(f"{sport}>{dport}")
            out.directions.append(now[key])
        now[key].segs.append(Seg(t, seq, flags, win, urg, seg[20:head], seg[head:]))
    return out
