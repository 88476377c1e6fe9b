"""Plays one direction of a capture to the stack in a box, which is the receiver, on a virtual clock."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pkt_wire as wire
from pkt_stack import Stack
from replay_capture import ACK, SYN, Direction, Seg
from replay_expect import options

WINDOW = 1 << 20
OURS, PEER, PORT, FROM = 0x0a000001, 0x0a000002, 443, 40000
ISN = 0xfffffff0  # the peer's, so that its numbers wrap after 15 octets
CLOSED, CLOSE_WAIT = 7, 8


@dataclass(slots=True)
class Delivered:
    data: bytes
    end: str
    dropped: dict[str, int]


class Player:
    def __init__(self, d: Direction) -> None:
        self.d = d
        self.shift = (ISN - d.isn) & 0xffffffff
        self.begin = d.segs[0].t_ns
        self.now = 10**12
        self.stack = Stack({"ip": OURS, "mask": 0xffffff00, "rcvbuf_max": WINDOW, "sndbuf_max": 1024, "max_sockets": 2,
                            "max_listeners": 1}, self.now)
        self.ack = 0
        self.ts = 0
        self.dropped: dict[str, int] = {}
        self.listener = self.stack.lib.xw_stack_socket(self.stack.s)
        assert self.stack.lib.xw_stack_bind(self.stack.s, self.listener, 0, PORT) == 0
        assert self.stack.lib.xw_stack_listen(self.stack.s, self.listener, 1) == 0

    def options(self, raw: bytes) -> bytes:
        """As captured, but the echo is of a timestamp that the stack sent."""
        if options(raw).ts is None or not self.ts:
            return raw
        out, at = bytearray(raw), 0
        while at < len(out):
            if out[at] == 8:
                out[at + 6:at + 10] = struct.pack("!I", self.ts)
                break
            at += 1 if out[at] < 2 else out[at + 1]
        return bytes(out)

    def send(self, s: Seg, flags: int) -> None:
        opts = self.options(s.options)
        seq, ack = (s.seq + self.shift) & 0xffffffff, self.ack if flags & ACK else 0
        head = struct.pack("!HHIIHHHH", FROM, PORT, seq, ack, (20 + len(opts)) // 4 << 12 | flags, s.win, 0, s.urg)
        segment = head + opts + s.data
        pseudo = struct.pack("!IIBBH", PEER, OURS, 0, 6, len(segment))
        segment = segment[:16] + struct.pack("!H", wire.checksum(pseudo + segment)) + segment[18:]
        why = self.stack.input(wire.ip_pack(PEER, OURS, 6, segment), self.now)
        if why:
            name = self.stack.ffi.string(self.stack.lib.xw_stack_drop_name(why)).decode()
            self.dropped[name] = self.dropped.get(name, 0) + 1
        self.pull()

    def pull(self) -> None:
        while raw := self.stack.output(self.now):
            seg = wire.tcp_unpack(raw)
            assert seg is not None
            if seg.flags & SYN:
                self.ack = (seg.seq + 1) & 0xffffffff
            self.ts = next((o[1] for o in seg.options if o[0] == "TS"), self.ts)

    def advance(self, t_ns: int) -> None:
        to = max(self.now, 10**12 + 10**9 + t_ns - self.begin)
        while (due := self.stack.deadline()) <= to:
            self.now = max(self.now, due)
            self.stack.tick(self.now)
            self.pull()
        self.now = to

    def play(self) -> Delivered:
        first = self.d.syn or self.d.segs[0]
        opening = Seg(first.t_ns, self.d.isn, SYN, first.win, 0, first.options, b"")
        self.send(opening, SYN)
        has_ts = options(first.options).ts is not None
        third = Seg(first.t_ns, (self.d.isn + 1) & 0xffffffff, ACK, first.win, 0,
                    b"\1\1" + first.options_ts() if has_ts else b"", b"")
        self.send(third, ACK)
        fd = self.stack.lib.xw_stack_accept(self.stack.s, self.listener, self.stack.ffi.NULL, self.stack.ffi.NULL)
        assert fd >= 0, f"the handshake failed: {fd}"
        got, end = bytearray(), ""
        for s in self.d.segs:
            if s is self.d.syn:
                continue
            self.advance(s.t_ns)
            self.send(s, s.flags)
            while True:
                n, data = self.stack.recv(fd, 65536, 0, self.now)
                if n <= 0:
                    break
                got += data
                self.pull()
            if n == 0 and not end:
                end = "fin"
            elif n not in (0, -11):
                end = "reset"
        state = self.stack.info(fd).state
        return Delivered(bytes(got), "reset" if state == CLOSED else end, self.dropped)
