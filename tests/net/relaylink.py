"""The faulty wire by a relay in user space, for generic XDP.

The kernel skips generic XDP for packets that a tc program has redirected (``skb_is_redirected`` in
``net/core/dev.c``), so the steering program would never see what comes out of ``FaultLink``. ``RelayLink`` has the
same face and the same faults, done by a thread that copies frames between two AF_PACKET sockets: slower (some 10,000
frames a second), the counts as exact. One seed decides everything.
"""
from __future__ import annotations

import dataclasses
import os
import random
import select
import socket
import threading

from faultlink import DIRECTIONS, Counts, Direction, FaultLink, Faults
from topology import entered

_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4
_ETH_P_IP = b"\x08\x00"
_ETH_LEN = 14


class _Way:
    """One direction: where frames enter, where they leave, and what was done to them."""

    def __init__(self, entry: socket.socket, leave: socket.socket, seed: int) -> None:
        self.entry = entry
        self.leave = leave
        self.random = random.Random(seed)
        self.held: bytes | None = None
        self.count = dict.fromkeys((f.name for f in dataclasses.fields(Counts)), 0)

    def relay(self, frame: bytes, faults: Faults) -> None:
        """Harm one frame, or not, and send what becomes of it."""
        if frame[12:14] != _ETH_P_IP:
            self.count["other"] += 1
            self.leave.send(frame)
            return
        self.count["seen"] += 1
        if self.random.random() < faults.loss:
            self.count["lost"] += 1
            return
        if self.random.random() < faults.corrupt:
            self.count["corrupted"] += 1
            damaged = bytearray(frame)
            damaged[self.random.randrange(_ETH_LEN, len(frame))] ^= 1 << self.random.randrange(8)
            frame = bytes(damaged)
        if self.held is None and self.random.random() < faults.reorder:
            self.held = frame
            return
        self.leave.send(frame)
        if self.random.random() < faults.dup:
            self.count["duplicated"] += 1
            self.leave.send(frame)
        if self.held is not None:
            self.count["reordered"] += 1
            held, self.held = self.held, None
            self.leave.send(held)


class RelayLink(FaultLink):
    """As ``FaultLink``, without eBPF in the middle."""

    _thread: threading.Thread | None = None

    def _make_wire(self) -> None:
        sockets = []
        with entered(self.netns("mid")):
            for end in self._ends:
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
                sock.bind((end, _ETH_P_ALL))
                sockets.append(sock)
        at_server, at_client = sockets
        self._ways = {"to_client": _Way(at_server, at_client, 1), "to_server": _Way(at_client, at_server, 2)}
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poller = select.poll()
        ways = {self._ways[direction].entry.fileno(): (direction, self._ways[direction]) for direction in DIRECTIONS}
        for fd in (*ways, self._stop):
            poller.register(fd, select.POLLIN)
        while True:
            for fd, _ in poller.poll():
                if fd == self._stop:
                    return
                direction, way = ways[fd]
                frame, address = way.entry.recvfrom(65536)
                if address[2] != _PACKET_OUTGOING:
                    way.relay(frame, self._faults[direction])

    def down(self) -> None:
        """Remove it."""
        if self._thread is not None:
            os.eventfd_write(self._stop, 1)
            self._thread.join()
            self._thread = None
            os.close(self._stop)
            for way in self._ways.values():
                way.entry.close()
        super().down()

    def counts(self, direction: Direction) -> Counts:
        """Return what has happened in one direction since ``up``."""
        way = self._ways[direction]
        return Counts(**{**way.count, "held": int(way.held is not None)})

    def _write_rates(self) -> None:
        """Faults are read by the relay where they are."""
