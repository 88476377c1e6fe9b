"""The least AF_XDP socket that receives: one queue, copy mode, 16 frames. An independent look at what arrives and what
stands in front of it; the product's own device is csrc/dev/xsk.c."""
from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
from types import TracebackType

AF_XDP, SOL_XDP = 44, 283
MMAP_OFFSETS, RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 1, 2, 4, 5, 6
PGOFF_RX, PGOFF_FILL = 0, 0x100000000
BIND_COPY = 1 << 1
FRAMES, FRAME_LEN = 16, 4096


class MiniXsk:
    """Bound to queue 0 of an interface; every frame is in the FILL ring once, so 16 packets can be received."""

    def __init__(self, ifindex: int) -> None:
        self.sock = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
        self._umem = mmap.mmap(-1, FRAMES * FRAME_LEN)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._umem))
        self.sock.setsockopt(SOL_XDP, UMEM_REG, struct.pack("=QQIII4x", address, len(self._umem), FRAME_LEN, 0, 0))
        for ring in (FILL_RING, COMPLETION_RING, RX_RING):
            self.sock.setsockopt(SOL_XDP, ring, FRAMES)
        offsets = struct.unpack("=16Q", self.sock.getsockopt(SOL_XDP, MMAP_OFFSETS, 128))
        self._rx_at, fill_at = offsets[0:3], offsets[8:11]
        fd = self.sock.fileno()
        self._rx = mmap.mmap(fd, self._rx_at[2] + FRAMES * 16, offset=PGOFF_RX)
        self._fill = mmap.mmap(fd, fill_at[2] + FRAMES * 8, offset=PGOFF_FILL)
        struct.pack_into(f"={FRAMES}Q", self._fill, fill_at[2], *range(0, FRAMES * FRAME_LEN, FRAME_LEN))
        struct.pack_into("=I", self._fill, fill_at[0], FRAMES)
        where = struct.pack("=HHIII", AF_XDP, BIND_COPY, ifindex, 0, 0)
        if ctypes.CDLL(None, use_errno=True).bind(fd, where, len(where)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def receive(self, room: int = 32, seconds: float = 5.0) -> tuple[bytes, bytes] | None:
        """The next packet and the `room` bytes in front of it; None when none comes in time."""
        consumed = int(struct.unpack_from("=I", self._rx, self._rx_at[1])[0])
        if consumed == struct.unpack_from("=I", self._rx, self._rx_at[0])[0]:
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return None
        address, length = struct.unpack_from("=QI", self._rx, self._rx_at[2] + consumed % FRAMES * 16)
        struct.pack_into("=I", self._rx, self._rx_at[1], consumed + 1)
        return self._umem[address:address + length], self._umem[address - room:address]

    def __enter__(self) -> MiniXsk:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.sock.close()
        self._rx.close()
        self._fill.close()
