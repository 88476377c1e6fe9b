"""What a process does for its own latency: its core, real-time priority, locked memory, no deep idle states.

A plan like all of control: `process_plan(wish).apply()`, `undo()` gives everything back. The idle states are held by a
descriptor on /dev/cpu_dma_latency, so they come back when the process ends, however it does. Priority and core are the
calling thread's.
"""
from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from xdpws.control.plan import Plan, Step
from xdpws.errors import SetupError, UsageError

_CPU_LATENCY = "/dev/cpu_dma_latency"
_MCL_CURRENT, _MCL_FUTURE = 1, 2


@dataclass(frozen=True, slots=True)
class ProcessWish:
    """cpu: core for the calling thread; None: as it is. fifo: SCHED_FIFO priority, 1 to 99; 0: as it is. lock_memory:
    mlockall. cpu_latency_us: idle states that take longer to leave are not entered, on any core; None: as it is."""

    cpu: int | None = None
    fifo: int = 0
    lock_memory: bool = False
    cpu_latency_us: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.fifo <= 99:
            raise UsageError(f"fifo is {self.fifo}; it must be 0 to 99")
        if self.cpu_latency_us is not None and self.cpu_latency_us < 0:
            raise UsageError(f"cpu_latency_us is {self.cpu_latency_us}; it must not be negative")


def _pin(cpu: int) -> Step:
    before = os.sched_getaffinity(0)

    def apply() -> None:
        try:
            os.sched_setaffinity(0, {cpu})
        except OSError as error:
            raise SetupError(f"run on CPU {cpu}", error.strerror or str(error),
                             f"one of {', '.join(map(str, sorted(before)))}", error.errno) from None

    return Step(f"run on CPU {cpu}", apply, lambda: os.sched_setaffinity(0, before), f"taskset -c {cpu} …")


def _fifo(priority: int) -> Step:
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)

    def apply() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        except OSError as error:
            raise SetupError(f"SCHED_FIFO {priority}", error.strerror or str(error),
                             "CAP_SYS_NICE, or LimitRTPRIO= of its service", error.errno) from None

    return Step(f"SCHED_FIFO, priority {priority}", apply, lambda: os.sched_setscheduler(0, policy, param),
                f"chrt -f {priority} …")


def _libc_call(name: str, *args: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args):
        number = ctypes.get_errno()
        raise SetupError(name, os.strerror(number), "CAP_IPC_LOCK, or LimitMEMLOCK=infinity of its service", number)


def _lock() -> Step:
    return Step("lock all memory, now and later", lambda: _libc_call("mlockall", _MCL_CURRENT | _MCL_FUTURE),
                lambda: _libc_call("munlockall"))


def _latency(us: int, path: str) -> Step:
    held: list[int] = []

    def apply() -> None:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SetupError(f"hold {path}", error.strerror or str(error), "root, or a udev rule for the device",
                             error.errno) from None
        held.append(fd)
        os.write(fd, struct.pack("=i", us))

    def undo() -> None:
        os.close(held.pop())

    return Step(f"no idle state that takes more than {us} µs to leave, while this runs", apply, undo)


def process_plan(wish: ProcessWish, latency_path: str = _CPU_LATENCY) -> Plan:
    """Priority comes last: what needs time is done before."""
    makers: list[tuple[bool, Callable[[], Step]]] = [
        (wish.lock_memory, _lock),
        (wish.cpu_latency_us is not None, lambda: _latency(wish.cpu_latency_us or 0, latency_path)),
        (wish.cpu is not None, lambda: _pin(wish.cpu or 0)),
        (wish.fifo > 0, lambda: _fifo(wish.fifo))]
    return Plan("tune this process", tuple(make() for wanted, make in makers if wanted))
