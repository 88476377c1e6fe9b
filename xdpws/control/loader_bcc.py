"""Loads the steering program through BCC: its text is compiled on this host, so it can be changed in place.

BCC brings a whole compiler and more than 100 MB of memory into a process, and writes its messages to descriptor 2. So
it works in a child process (`loader_bcc_child`), which sends the descriptors over a socket and ends; what it wrote is
the cause in the error when it fails. The child needs the `bcc` module, not this package: where this interpreter lacks
the module, Debian's own is used.
"""
from __future__ import annotations

import array
import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

from xdpws.control.loader import MAPS, OBJECTS, LoadedProgram
from xdpws.errors import SetupError

CHILD = Path(__file__).resolve().with_name("loader_bcc_child.py")
SYSTEM_PYTHON = "/usr/bin/python3"
TIMEOUT_S = 60.0
"""For compiling: 2.4 s on a slow machine; a minute means that something hangs."""

INSTALL = "apt-get install python3-bpfcc linux-headers-amd64"


def interpreter() -> str:
    """The Python that has BCC: this one, or Debian's."""
    return sys.executable if sys.executable and importlib.util.find_spec("bcc") else SYSTEM_PYTHON


def last_lines(output: str, count: int = 4) -> str:
    """What a compiler or a traceback says at its end, on one line; lines with "error" are preferred."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "cannot" in line.lower()]
    return " | ".join((telling or lines)[-count:])


def receive_fds(sock: socket.socket, count: int) -> list[int]:
    """Up to `count` descriptors that came in one message, and must all be closed by the caller; [] at the end."""
    size = array.array("i").itemsize
    message, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(count * size), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % size])
    return fds.tolist() if message else []


class BccLoader:
    """`BpfLoader` over BCC. `source` is the flattened text (tools/flatten_bpf.py)."""

    name = "bcc"

    def __init__(self, source: Path = OBJECTS / "steer.bcc.c") -> None:
        self._source = source

    def load(self, ifindex: int, nic_time: bool) -> LoadedProgram:
        """Compile and load. `nic_time` is refused: BCC knows neither kfuncs nor device-bound programs."""
        step = "load the steering program by BCC"
        if nic_time:
            raise SetupError(step, "BCC cannot load a program bound to a device, which NIC time needs",
                             "--loader libbpf")
        if not self._source.is_file():
            raise SetupError(step, f"{self._source} is missing", "make bpf")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                command = [interpreter(), "-I", str(CHILD), str(self._source), str(theirs.fileno()), *MAPS]
                done = self._run(step, command, theirs.fileno())
            fds = receive_fds(ours, len(MAPS) + 1)
        if done.returncode != 0 or len(fds) != len(MAPS) + 1:
            for fd in fds:
                os.close(fd)
            cause = last_lines(done.stderr) or f"its helper ended with status {done.returncode}"
            raise SetupError(step, cause, INSTALL if "bcc" in cause or "header" in cause else "--loader libbpf")
        return LoadedProgram(fds[0], dict(zip(MAPS, fds[1:], strict=True)), self.name, False)

    def _run(self, step: str, command: list[str], fd: int) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(command, pass_fds=(fd,), stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, errors="replace", timeout=TIMEOUT_S, check=False)
        except FileNotFoundError:
            raise SetupError(step, f"{command[0]} is missing", INSTALL) from None
        except subprocess.TimeoutExpired:
            raise SetupError(step, f"BCC did not end within {TIMEOUT_S:.0f} s", "--loader libbpf") from None
