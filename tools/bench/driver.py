"""Runs one Python WebSocket client against the sender and measures it; every client is a small module in clients/.

    driver.py --client NAME --url URL --ca FILE --mode paced|blast|echo --warm N --count N --out FILE [--loop uvloop]
              [--spin] [--cpu N] [--fifo] [--option KEY=VALUE]…

It runs in the interpreter of the client's own environment and needs nothing but the standard library. A client
module has `NAMES` (distributions whose versions are reported) and `run(run)`, plain or a coroutine. It calls
`run.armed()` when it is connected, takes `t = monotonic_ns()` as the first thing when a message is in the user's hands,
and then `run.take(t, payload)`, which is true when it was the last one. For an echo it sends `run.message` after
`armed` and after each `run.take(t, payload)` that is false, taking `run.asked = monotonic_ns()` before.

One JSON line is printed; OUT gets int64 nanoseconds, one for each message after the first `warm`.
"""
from __future__ import annotations

import argparse
import array
import asyncio
import gc
import importlib
import json
import os
import resource
import ssl
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

TS, SEQ = slice(7, 26), slice(34, 44)
FIFO_PRIORITY = 50


class Run:
    """What a client is given: where to connect, and who counts."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.url: str = args.url
        self.ca: str = args.ca
        self.mode: str = args.mode
        self.spin: bool = args.spin
        self.options = dict(each.split("=", 1) for each in args.option)
        self.warm: int = args.warm
        self.total: int = args.warm + args.count
        self.message = b"x" * args.size
        self.asked = 0
        self.latencies = array.array("q", bytes(8 * args.count))
        self.got = self.bad = self.first = self.last = 0
        self.stages: dict[str, Any] = {}
        self.fifo_wanted: bool = args.fifo
        self.fifo = False
        self.cpu = 0.0
        self.take = {"paced": self._paced, "blast": self._blast, "echo": self._echo}[args.mode]

    @property
    def echo(self) -> bool:
        """Whether the client has to send."""
        return self.mode == "echo"

    def tls(self) -> ssl.SSLContext:
        """A verifying context for the sender's certificate."""
        return ssl.create_default_context(cafile=self.ca)

    def armed(self) -> None:
        """The client is connected: from now on it is measured. Real-time priority only now: a thread that holds a core
        for 0.95 s of a second loses it, and start-up would count."""
        gc.collect()
        gc.freeze()
        gc.disable()
        if self.fifo_wanted:
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
                self.fifo = True
            except OSError:
                self.fifo = False
        if self.spin:
            self._spin()
        self.cpu = _cpu()

    def _spin(self) -> None:
        """Keeps the event loop from ever sleeping: a callback that is always due."""
        call_soon = asyncio.get_running_loop().call_soon

        def again() -> None:
            call_soon(again)

        again()

    def disarm(self) -> None:
        """The last message has come."""
        self.cpu = _cpu() - self.cpu
        if self.fifo:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def _paced(self, t: int, payload: Any) -> bool:
        got = self.got
        if int(payload[SEQ]) != got:
            self.bad += 1
        if got >= self.warm:
            self.latencies[got - self.warm] = t - int(payload[TS])
        self.got = got + 1
        if self.got < self.total:
            return False
        self.last = t
        self.disarm()
        return True

    def _blast(self, t: int, payload: Any) -> bool:
        got = self.got
        self.got = got + 1
        if got == self.warm:
            self.first = t
        if self.got < self.total:
            return False
        self.bad = int(int(payload[SEQ]) != got)
        self.last = t
        self.disarm()
        return True

    def _echo(self, t: int, payload: Any) -> bool:
        got = self.got
        if len(payload) != len(self.message):
            self.bad += 1
        if got >= self.warm:
            self.latencies[got - self.warm] = t - self.asked
        elif got == self.warm - 1:
            self.first = t
        self.got = got + 1
        if self.got < self.total:
            return False
        self.last = t
        self.disarm()
        return True


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} (source tree)"


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--mode", choices=["paced", "blast", "echo"], required=True)
    parser.add_argument("--warm", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--out", required=True)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--cpu", type=int, default=-1)
    parser.add_argument("--fifo", action="store_true")
    parser.add_argument("--option", action="append", default=[])
    return parser.parse_args()


def main() -> int:
    """Run the client; 0 when every message came."""
    args = arguments()
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    if args.cpu >= 0:
        os.sched_setaffinity(0, {args.cpu})
    module = importlib.import_module(f"clients.{args.client}")
    run = Run(args)
    if not asyncio.iscoroutinefunction(module.run):
        module.run(run)
    elif args.loop == "uvloop":
        uvloop = importlib.import_module("uvloop")
        uvloop.run(module.run(run))
    else:
        asyncio.run(module.run(run))
    samples = max(0, min(run.got, run.total) - run.warm) if run.mode != "blast" else 0
    Path(args.out).write_bytes(run.latencies[:samples].tobytes())
    names = [*module.NAMES, *(["uvloop"] if args.loop == "uvloop" else [])]
    print(json.dumps({
        "got": run.got, "wanted": run.total, "bad": run.bad, "seconds": (run.last - run.first) / 1e9,
        "cpu_seconds": run.cpu, "fifo": run.fifo, "stages": run.stages,
        "version": ", ".join(_version(name) for name in names)}))
    return 0 if run.got == run.total and not run.bad else 1


if __name__ == "__main__":
    sys.exit(main())
