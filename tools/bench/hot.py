"""What a message costs from the event array to the user's code: `make bench-hot`.

The engine is played by tools/bench/hot_engine.c, which always has `batch` messages. A callback's yardstick is the
interpreter's own call of the same function (`collections.deque(map(f, repeat(x, n)), 0)`), in the same run. Figures are
ns a message, the least of several rounds.
"""
from __future__ import annotations

import argparse
import collections
import ctypes
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xdpws._ffi import ffi, lib
from xdpws._hot import Walker
from xdpws.timestamps import Stamps

BATCHES = (1, 4, 16, 64)
MESSAGES = 64 * 2000
ROUNDS = 7


class PlayedEngine(ctypes.Structure):
    """`struct xw_engine` of hot_engine.c."""

    _fields_ = (("batch", ctypes.c_uint32), ("size", ctypes.c_uint32), ("payload", ctypes.c_uint8 * 4096))


def nothing(message: Any) -> None:
    """The callback that does nothing."""


def stamps(message: Any) -> None:
    """Reads one stamp."""
    _ = message.stamps.kernel


def data(message: Any) -> None:
    """Makes the memoryview."""
    _ = message.data


def text(message: Any) -> None:
    """Decodes the payload."""
    _ = message.text


class Bench:
    """The played engine, and walkers over it."""

    def __init__(self, library: str, size: int) -> None:
        self._dll = ctypes.CDLL(library)
        self._engine = PlayedEngine(1, size)
        ctypes.memset(self._engine.payload, 0x20, size)
        self._events = ffi.new("struct xw_event[]", max(BATCHES))

    def _walker(self, on_batch: Callable[[Any], object] | None) -> Walker:
        def function(name: str) -> int:
            return ctypes.cast(getattr(self._dll, name), ctypes.c_void_p).value or 0

        def address(thing: Any) -> int:
            return int(ffi.cast("uintptr_t", thing))

        return Walker(engine=ctypes.addressof(self._engine), events=address(self._events), batch=max(BATCHES),
                      poll=function("hot_poll"), spin=function("hot_spin"), deadline=function("hot_deadline"),
                      wait=function("hot_wait"), send=function("hot_send"),
                      clock=address(ffi.addressof(lib, "xw_monotonic_ns")), on_event=print, on_error=print,
                      on_batch=on_batch, stamps=Stamps)

    def cost(self, batch: int, callback: Callable[[Any], object] | None, *,
             on_batch: Callable[[Any], object] | None = None, compiled: int = 0) -> float:
        """ns a message."""
        self._engine.batch = batch
        walker = self._walker(on_batch)
        walker.bind(0, 1, callback, None, compiled=compiled)
        step, steps = walker.step, MESSAGES // batch
        best = float("inf")
        for _ in range(ROUNDS):
            begin = time.perf_counter_ns()
            for _ in range(steps):
                step(0)
            best = min(best, (time.perf_counter_ns() - begin) / MESSAGES)
        return best

    def send(self) -> float:
        """ns for an order of 200 bytes, from Python to the engine's door."""
        binding = self._walker(None).bind(0, 1, nothing, None)
        order = "x" * 200
        begin = time.perf_counter_ns()
        collections.deque(map(binding.send, itertools.repeat(order, MESSAGES)), 0)
        return (time.perf_counter_ns() - begin) / MESSAGES


def called(function: Callable[[Any], object]) -> float:
    """The yardstick: ns for the interpreter to call a function of one argument."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter_ns()
        collections.deque(map(function, itertools.repeat(None, MESSAGES)), 0)
        best = min(best, (time.perf_counter_ns() - begin) / MESSAGES)
    return best


def main() -> int:
    """Print the table, or with --json one object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", default="build/bench/hot_engine.so")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    bench = Bench(str(Path(args.library).resolve()), args.size)
    ignore = bench._dll.hot_ignore
    rows: dict[str, dict[int, float]] = {}
    callbacks = {"callback": nothing, "… and .data": data, "… and .stamps": stamps, "… and .text": text}
    for name, callback in callbacks.items():
        rows[name] = {batch: bench.cost(batch, callback) for batch in BATCHES}
    rows["on_batch"] = {batch: bench.cost(batch, None, on_batch=nothing) for batch in BATCHES}
    address = ctypes.cast(ignore, ctypes.c_void_p).value or 0
    rows["compiled"] = {batch: bench.cost(batch, None, compiled=address) for batch in BATCHES}
    yardstick, send = called(nothing), bench.send()
    if args.json:
        print(json.dumps({"ns": rows, "call_ns": yardstick, "send_ns": send}))
        return 0
    print(f"{'ns a message':<16}" + "".join(f"{f'batch {b}':>10}" for b in BATCHES))
    for name, row in rows.items():
        print(f"{name:<16}" + "".join(f"{row[b]:10.0f}" for b in BATCHES))
    print(f"the interpreter's own call of such a callback: {yardstick:.0f}; a binding's send of 200 bytes: {send:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
