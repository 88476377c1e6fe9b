"""Peers as processes, if wanted inside a network namespace, started and stopped with certainty.

    with sim_process("synthetic", "--speed", "max", "--listen", "10.199.0.1:0", netns=topo.srv_ns) as sim:
        ... sim.url, sim.ca, sim.ready["rx_sha256"]
"""
from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]


class PeerFailed(Exception):
    """The process ended or stayed silent instead of saying that it is ready."""


class PeerProcess:
    """A process that prints one JSON object as its first line when it is ready. A context manager."""

    def __init__(self, argv: Sequence[str], netns: str | None = None, timeout_s: float = 30.0) -> None:
        """Start and wait for the ready line. Raises `PeerFailed` with what it wrote to stderr."""
        self.argv = [*(["ip", "netns", "exec", netns] if netns else []), *argv]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed at exit)
        path = os.pathsep.join(str(folder) for folder in (ROOT, ROOT / "tests" / "net"))
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self._stderr, cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
        try:
            self.ready: dict[str, Any] = json.loads(self._first_line(timeout_s))
        except BaseException:
            self.stop()
            raise
        self.url: str = self.ready["url"]
        ca = self.ready.get("ca")
        self.ca: Path | None = Path(ca) if ca else None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.ready["port"])

    def log(self) -> str:
        """What it has written to stderr so far."""
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait until it ends by itself; its exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM, after five seconds SIGKILL; its exit code. May be called again."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._stderr.close()

    def _first_line(self, timeout_s: float) -> bytes:
        assert self.process.stdout is not None
        fd, deadline, line = self.process.stdout.fileno(), time.monotonic() + timeout_s, b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(fd, 4096) if readable else b""
            if not piece:
                state = "ended" if readable else f"said nothing for {timeout_s:g} s"
                raise PeerFailed(f"{' '.join(self.argv)} {state}: {self.log()[-2000:]}")
            line += piece
        return line


def sim_process(feed: str | Path, *options: str, netns: str | None = None, timeout_s: float = 60.0) -> PeerProcess:
    """`xdpws sim FEED --json OPTIONS`; `ready` has url, port, ca, messages and rx_sha256."""
    argv = [sys.executable, "-m", "xdpws.cli.main", "sim", str(feed), "--json", *options]
    return PeerProcess(argv, netns, timeout_s)


def venue_process(venue: str, *options: str, netns: str | None = None, timeout_s: float = 60.0) -> PeerProcess:
    """`xdpws sim --venue VENUE --json OPTIONS`; `ready` has url, port and ca."""
    argv = [sys.executable, "-m", "xdpws.cli.main", "sim", "--venue", venue, "--json", *options]
    return PeerProcess(argv, netns, timeout_s)


def bad_process(behaviour: str, *options: str, netns: str | None = None) -> PeerProcess:
    """`peers.bad` with a behaviour by name; options: --listen HOST:PORT, --cert FILE --key FILE."""
    return PeerProcess([sys.executable, "-m", "peers.bad", behaviour, *options], netns)


def websockets_process(feed: str | Path, *options: str, netns: str | None = None) -> PeerProcess:
    """`peers.websockets_peer` playing a feed; options: --listen HOST:PORT, --cert FILE --key FILE, --tls 1.2|1.3."""
    return PeerProcess([sys.executable, "-m", "peers.websockets_peer", str(feed), *options], netns)
