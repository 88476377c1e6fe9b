"""Runs packets through a loaded steering program (BPF_PROG_TEST_RUN) and tells what changed."""
from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

from xdpws._ffi import check, ffi, lib
from xdpws.control.loader import LoadedProgram
from xdpws.control.steering import META_LEN, Steering

XDP_PASS, XDP_REDIRECT = 2, 4
AF_XDP = 44
ROOM = 4096


@dataclass(frozen=True)
class Meta:
    """struct xw_meta of bpf/shared.h."""

    hw_ns: int
    xdp_ns: int
    valid: int
    len: int
    spare: int
    magic: int


@dataclass(frozen=True)
class Result:
    """What a run gave: the XDP verdict, the packet, and the metadata in front of it (raw)."""

    verdict: int
    packet: bytes
    raw_meta: bytes

    @property
    def meta(self) -> Meta:
        """The struct right before the packet."""
        return Meta(*struct.unpack("=QQIIII", self.raw_meta[-META_LEN:]))


class Bench(Steering):
    """A loaded program without an interface. The maps are used as an attached `Steering` uses them; what stands for the
    link is just some descriptor."""

    def __init__(self, program: LoadedProgram) -> None:
        super().__init__("none", 0, program, os.memfd_create("no link"), "generic")
        self._out = ffi.new("uint8_t[]", ROOM)
        self._lens = ffi.new("uint32_t[2]")

    def run(self, packet: bytes, meta: bytes = b"", ifindex: int = 0, queue: int = 0) -> Result:
        """One packet, with `meta` in front of it, as received on that interface and queue."""
        self._lens[0] = ROOM
        data = meta + packet
        verdict = check(lib.xw_bpf_test_run(self.prog_fd, data, len(data), len(meta), ifindex, queue,
                                            self._out, self._lens, self._lens + 1), "test run")
        data = bytes(ffi.buffer(self._out, self._lens[0]))
        return Result(verdict, data[self._lens[1]:], data[:self._lens[1]])

    def changed(self, before: dict[str, int]) -> dict[str, int]:
        """Counters that moved since `before`, and by how much."""
        return {name: n - before[name] for name, n in self.counters().items() if n != before[name]}

    def reset(self) -> None:
        """No flow of the tests' own is left, no socket, shared mode."""
        self.set_dedicated(None)
        for queue in range(4):
            self.unbind_socket(queue)


def xsk() -> socket.socket:
    """An AF_XDP socket that is bound to nothing: enough for an entry of the XSKMAP, which the verdict depends on."""
    return socket.socket(AF_XDP, socket.SOCK_RAW, 0)
