"""Network namespaces for tests: a server and a client joined by a veth pair (``vm/topo.sh``).

    with Topology() as topo:
        topo.exec("cli", "ping", "-c1", topo.srv_ip)

Every instance has names of its own (``xw`` + process id + counter), so tests may run side by side. Needs root, ``ip``
and ``ethtool``; ``missing()`` says what is not there, ``needs_topology`` is the matching pytest mark.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

TOPO_SH = Path(__file__).resolve().parents[2] / "vm" / "topo.sh"
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()


def missing() -> str:
    """Say why namespaces cannot be had here; the empty string when they can."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    for tool in ("ip", "ethtool"):
        if shutil.which(tool) is None:
            return f"needs {tool} (apt-get install iproute2 ethtool)"
    if not os.path.exists("/proc/self/ns/net"):
        return "needs a kernel with network namespaces"
    return os.environ.get("XW_NETWORK_STUCK", "")  # tests/conftest.py asked


needs_topology = pytest.mark.skipif(missing() != "", reason=missing() or "namespaces work")


def unique_prefix() -> str:
    """Return a name prefix that no other live test has: ``xw``, the process id in base 36, a letter from a counter."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    pid, text = os.getpid(), ""
    while pid:
        pid, digit = divmod(pid, 36)
        text = digits[digit] + text
    serial, text = next(_serial), text + "n"
    return f"xw{text}{digits[serial // 36 % 36]}{digits[serial % 36]}"


def unique_subnet() -> str:
    """Return the first three octets of a /24 that depends on the process: ``10.200…250.x``."""
    number = os.getpid() * 7 + next(_serial)
    return f"10.{200 + number // 256 % 50}.{number % 256}"


@contextlib.contextmanager
def entered(netns: str | Path) -> Iterator[None]:
    """Put the calling thread into a network namespace (its path) for the length of the block.

    Sockets opened inside stay in that namespace afterwards. Threads started inside inherit it.
    """
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(here)
    finally:
        os.close(here)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        err = ctypes.get_errno()
        raise OSError(err, f"setns: {os.strerror(err)}")


class Namespaces:
    """What is common to topologies of several namespaces: running things inside them by the side's name."""

    def __init__(self, names: dict[str, str]) -> None:
        """Take a mapping of side (``srv``, ``cli``, …) to the namespace's name."""
        self._names = names

    def netns(self, side: str) -> str:
        """Return the path of a side's namespace, e.g. for ``entered`` or ``setns``."""
        return f"/run/netns/{self._names[side]}"

    def entered(self, side: str) -> contextlib.AbstractContextManager[None]:
        """Put the calling thread into a side's namespace for the length of a ``with`` block."""
        return entered(self.netns(side))

    def command(self, side: str, *argv: str | Path) -> list[str]:
        """Return the argument vector that runs ``argv`` in a side's namespace (with its own ``/sys``)."""
        return ["ip", "netns", "exec", self._names[side], *map(str, argv)]

    def exec(self, side: str, *argv: str | Path, timeout: float = 60,
             **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, output captured as text; a status other than 0 raises unless ``check=False``."""
        options: dict[str, Any] = {"check": True, "capture_output": True, "text": True, **kwargs}
        try:
            return subprocess.run(self.command(side, *argv), timeout=timeout, **options)
        except subprocess.CalledProcessError as err:
            err.add_note(f"{err.stdout or ''}{err.stderr or ''}".strip())
            raise

    def popen(self, side: str, *argv: str | Path, **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a command; ``ip netns exec`` becomes it, so the process id is the command's own."""
        return subprocess.Popen(self.command(side, *argv), **kwargs)


class Topology(Namespaces):
    """A server and a client namespace joined by a veth pair, without offloads."""

    def __init__(self, prefix: str | None = None, subnet: str | None = None, *, queues: int = 1, mtu: int = 1500,
                 offloads: bool = False) -> None:
        """Name the topology; nothing is made before ``up`` or ``with``.

        prefix, subnet: default to ones that no other test process has. queues: receive and transmit queues of both
        ends. offloads: leave the kernel's offloads on (they are off otherwise).
        """
        self.prefix = prefix or unique_prefix()
        subnet = subnet or unique_subnet()
        self.srv_ns, self.cli_ns = f"{self.prefix}-srv", f"{self.prefix}-cli"
        self.srv_if, self.cli_if = f"{self.prefix}-v0", f"{self.prefix}-v1"
        self.srv_ip, self.cli_ip = f"{subnet}.1", f"{subnet}.2"
        super().__init__({"srv": self.srv_ns, "cli": self.cli_ns})
        self._argv = [str(TOPO_SH), "--prefix", self.prefix, "--subnet", subnet]
        self._argv += ["--queues", str(queues), "--mtu", str(mtu)]
        if offloads:
            self._argv.append("--offloads")

    def _run(self, verb: str) -> None:
        done = subprocess.run([*self._argv, verb], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"vm/topo.sh {verb}: {done.stderr.strip()}")

    def up(self) -> None:
        """Make it; what was made is removed again when that fails."""
        self._run("up")

    def down(self) -> None:
        """Remove it. Processes that still run in the namespaces lose their interfaces and keep running."""
        self._run("down")

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.down()

    def mac(self, side: str) -> str:
        """Return the MAC address of a side's interface, ``aa:bb:cc:dd:ee:ff``."""
        with entered(self.netns(side)):
            return interface_mac(self.srv_if if side == "srv" else self.cli_if)


def interface_mac(name: str) -> str:
    """Return the MAC address of an interface of the current namespace (SIOCGIFHWADDR)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        reply = fcntl.ioctl(sock, 0x8927, struct.pack("256s", name.encode()))
    return reply[18:24].hex(":")
