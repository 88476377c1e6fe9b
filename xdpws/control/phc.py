"""The NIC's clock (PTP hardware clock) against CLOCK_MONOTONIC, so that NIC times can stand beside all others.

`PhcFollower` takes a sample now and then and gives the line through the last two (`PhcLine`), or None while it knows
nothing. Samples come from a `PhcReader`: `open_phc` makes one over /dev/ptpN; tests play one by hand. docs/stamps.md.
"""
from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

_SIOCETHTOOL, _GET_TS_INFO = 0x8946, 0x41
# <linux/ptp_clock.h>: _IOWR('=', 8, 64 bytes) and _IOWR('=', 9, 1216 bytes)
_SYS_OFFSET_PRECISE, _SYS_OFFSET_EXTENDED = 0xC0403D08, 0xC4C03D09
_SAMPLES = 5
_MAX_RATE_ERROR = 1e-3  # a NIC's crystal is good to 100 ppm, and ptp4l slews by less than another 500
_SPAN_NS = 2_000_000_000
_STEP_NS = 100_000


@dataclass(frozen=True, slots=True)
class PhcSample:
    """The NIC's clock, and the system's (CLOCK_REALTIME) before and after it was read. All ns."""

    before: int
    phc: int
    after: int


class PhcReader(Protocol):
    """A NIC's clock that can be read."""

    def read(self) -> Sequence[PhcSample]:
        """Some samples, one right after the other. Raises OSError."""

    def close(self) -> None:
        """Give it back."""


@dataclass(frozen=True, slots=True)
class PhcLine:
    """As `struct xw_phc_line`: the same moment on both clocks, rate 32.32, how far the line holds. error_ns: half the
    bracket in which the clocks were read."""

    phc_ns: int
    mono_ns: int
    rate: int
    span_ns: int
    error_ns: int


def _monotonic_offset() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, by the narrowest of a few brackets."""
    best, offset = 1 << 62, 0
    for _ in range(_SAMPLES):
        before, real, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < best:
            best, offset = after - before, real - (before + after) // 2
    return offset


class PhcFollower:
    """Follows one NIC's clock. offset: gives CLOCK_REALTIME - CLOCK_MONOTONIC."""

    def __init__(self, reader: PhcReader, offset: Callable[[], int] = _monotonic_offset) -> None:
        self._reader = reader
        self._offset = offset
        self._last: tuple[int, int] | None = None  # NIC's clock, CLOCK_MONOTONIC
        self.steps = 0
        """How often the NIC's clock was set, or ran at a rate that no NIC has."""

    def sample(self) -> PhcLine | None:
        """Read once more. None: nothing is known, after the first sample or a step. Raises OSError."""
        best = min(self._reader.read(), key=lambda s: s.after - s.before)
        now = (best.phc, (best.before + best.after) // 2 - self._offset())
        last, self._last = self._last, now
        if last is None:
            return None
        ticks, took = now[0] - last[0], now[1] - last[1]
        if took <= 0 or ticks <= 0 or abs(took - ticks) > max(_STEP_NS, took * _MAX_RATE_ERROR):
            self.steps += 1
            return None
        return PhcLine(*now, (took << 32) // ticks, _SPAN_NS, (best.after - best.before) // 2)

    def close(self) -> None:
        """Give the clock back."""
        self._reader.close()


class _Device:
    """/dev/ptpN."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._precise = True

    def read(self) -> Sequence[PhcSample]:
        if self._precise:
            try:
                return [self._cross()]
            except OSError:
                self._precise = False
        request = bytearray(struct.pack("=4I", _SAMPLES, 0, 0, 0).ljust(1216, b"\0"))
        fcntl.ioctl(self._fd, _SYS_OFFSET_EXTENDED, request)
        found = []
        for i in range(_SAMPLES):
            t = struct.unpack_from("=qIIqIIqII", request, 16 + 48 * i)
            found.append(PhcSample(*(t[k] * 1_000_000_000 + t[k + 1] for k in (0, 3, 6))))
        return found

    def _cross(self) -> PhcSample:
        """Both clocks at one moment, by the hardware (PCIe PTM, ART)."""
        request = bytearray(64)
        fcntl.ioctl(self._fd, _SYS_OFFSET_PRECISE, request)
        t = struct.unpack_from("=qIIqII", request)
        system = t[3] * 1_000_000_000 + t[4]
        return PhcSample(system, t[0] * 1_000_000_000 + t[1], system)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def phc_index(interface: str) -> int:
    """Which /dev/ptpN is the clock of an interface; -1: it has none."""
    info = array.array("B", struct.pack("=I", _GET_TS_INFO).ljust(44, b"\0"))
    ifreq = struct.pack("16sQ16x", interface.encode()[:15], info.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            fcntl.ioctl(sock, _SIOCETHTOOL, ifreq)
        except OSError:
            return -1
    return int(struct.unpack_from("=i", info, 8)[0])


def open_phc(interface: str) -> tuple[PhcFollower | None, str]:
    """A follower of the interface's clock, or None and why there is none."""
    index = phc_index(interface)
    if index < 0:
        return None, f"{interface} has no clock of its own"
    path = f"/dev/ptp{index}"
    try:
        device = _Device(path)
    except OSError as error:
        return None, f"{path}: {error.strerror or error}"
    try:
        device.read()
    except OSError as error:
        with contextlib.suppress(OSError):
            device.close()
        return None, f"{path} cannot be compared with the system's clock: {error.strerror or error}"
    return PhcFollower(device), ""
