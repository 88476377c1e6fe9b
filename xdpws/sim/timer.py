"""Waiting inside asyncio with the kernel's precision.

asyncio's own timers are rounded up to whole milliseconds by epoll; recorded bursts are much denser. A timerfd wakes
the loop within some tens of microseconds. `os` has no timerfd before Python 3.13, so libc is called directly.
"""
from __future__ import annotations

import asyncio
import ctypes
import os
import time

from xdpws.errors import SetupError

__all__ = ["PreciseTimer"]

_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1


class _Itimerspec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


def _resolve(fired: asyncio.Future[None]) -> None:
    if not fired.done():
        fired.set_result(None)


class PreciseTimer:
    """One timerfd on CLOCK_MONOTONIC, for one waiting task at a time."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise SetupError.from_errno("create a timer", ctypes.get_errno())

    async def until(self, deadline_ns: int) -> None:
        """Return when `time.monotonic_ns()` has reached `deadline_ns`; at once if it has already."""
        if deadline_ns <= time.monotonic_ns():
            return
        spec = _Itimerspec(0, 0, deadline_ns // 1_000_000_000, deadline_ns % 1_000_000_000)
        if self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None) != 0:
            raise SetupError.from_errno("set a timer", ctypes.get_errno())
        loop = asyncio.get_running_loop()
        fired: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._fd, _resolve, fired)
        try:
            await fired
        finally:
            loop.remove_reader(self._fd)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
