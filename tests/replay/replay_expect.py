"""What a receiver must deliver of a direction, computed by sequence numbers alone, without any of the stack's code.

The rules are those of the RFCs and two choices that are ours (docs/tcp.md): octets that arrive twice with different
contents are what came first, and data on a SYN is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from replay_capture import ACK, FIN, RST, SYN, Direction, Seg


@dataclass(slots=True)
class Options:
    well_formed: bool = True
    ts: int | None = None


def options(raw: bytes) -> Options:
    """RFC 9293 3.1: kind, length, value; a length that cannot be makes the segment one that is dropped."""
    out, at = Options(), 0
    while at < len(raw) and raw[at] != 0:
        if raw[at] == 1:
            at += 1
            continue
        if at + 1 >= len(raw) or raw[at + 1] < 2 or at + raw[at + 1] > len(raw):
            return Options(False)
        if raw[at] == 8 and raw[at + 1] == 10:
            out.ts = int.from_bytes(raw[at + 2:at + 6], "big")
        at += raw[at + 1]
    return out


def signed(n: int) -> int:
    n &= 0xffffffff
    return n - (1 << 32) if n >> 31 else n


@dataclass(slots=True)
class Expected:
    data: bytes
    end: str  # "", "fin" or "reset"


class Receiver:
    """rcv_nxt and the octets beyond it, for one direction; window is how far ahead data is kept."""

    def __init__(self, isn: int, ts: int | None, window: int) -> None:
        self.isn, self.ts, self.window = isn, ts, window
        self.have: dict[int, int] = {}
        self.out = bytearray()
        self.fin: int | None = None
        self.end = ""

    def offset(self, seq: int) -> int:
        """Of the octet with this number in the stream, relative to what was delivered."""
        return len(self.out) + signed(seq - (self.isn + 1 + len(self.out)))

    def segment(self, s: Seg) -> None:
        o = options(s.options)
        if self.end == "reset" or not o.well_formed:
            return
        at = self.offset(s.seq)
        if s.flags & RST:
            if at == len(self.out) + (self.end == "fin"):
                self.end = "reset"
            return
        if s.flags & SYN or not s.flags & ACK:
            return
        if self.ts is not None:
            if o.ts is None or signed(o.ts - self.ts) < 0:  # RFC 7323 3.2, 5.3
                return
            if at <= len(self.out) + (self.end == "fin"):
                self.ts = o.ts
        if self.end == "fin":
            return
        for i, octet in enumerate(s.data):
            if len(self.out) <= at + i < len(self.out) + self.window and (self.fin is None or at + i < self.fin):
                self.have.setdefault(at + i, octet)
        stop = at + len(s.data)
        if s.flags & FIN and self.fin is None and stop >= max([len(self.out) - 1, *self.have], default=0):
            self.fin = stop
        while len(self.out) in self.have:
            self.out.append(self.have.pop(len(self.out)))
        if self.fin is not None and len(self.out) >= self.fin:
            self.end = "fin"


def expected(d: Direction, window: int) -> Expected:
    first = d.syn or d.segs[0]
    r = Receiver(d.isn, options(first.options).ts, window)
    for s in d.segs:
        r.segment(s)
    return Expected(bytes(r.out), r.end)
