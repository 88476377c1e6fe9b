"""What tests of the host around an attachment need: counters of a namespace, XDP state, kernel TCP peers, waiting."""
from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from topology import Namespaces, Topology

PATTERN = bytes(range(251)) * 1045
"""262,295 bytes whose period is no power of two: a piece at the wrong place changes the hash."""


def await_true(what: str, condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Ask `condition` until it gives something true, which is returned; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def snmp(topo: Namespaces, side: str) -> dict[str, int]:
    """Counters of the kernel's stack in a namespace as ``TcpInSegs``, ``IcmpInEchos``, ``IpExtInOctets``…"""
    with topo.entered(side):
        text = Path("/proc/thread-self/net/snmp").read_text() + Path("/proc/thread-self/net/netstat").read_text()
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group = names.partition(":")[0]
        found |= {group + name: int(value) for name, value in zip(names.split()[1:], values.split()[1:], strict=True)}
    return found


def xdp_program(topo: Topology, side: str = "cli") -> int:
    """The id of the XDP program on a side's interface, 0 if there is none."""
    name = topo.srv_if if side == "srv" else topo.cli_if
    link = json.loads(topo.exec(side, "ip", "-j", "-d", "link", "show", "dev", name).stdout)[0]
    return int(link.get("xdp", {}).get("prog", {}).get("id", 0))


def tcp_sockets(topo: Namespaces, side: str) -> list[tuple[str, int, str, int, int]]:
    """Kernel TCP sockets of a namespace: (local address, port, remote address, port, state as in tcp_states.h)."""
    with topo.entered(side):
        lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]

    def end(text: str) -> tuple[str, int]:
        host, port = text.split(":")
        return socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)

    return [(*end(f[1]), *end(f[2]), int(f[3], 16)) for f in (line.split() for line in lines)]


def source_port(topo: Topology, port: int, side: str = "srv") -> int:
    """The client's port of the one established connection to `port` of the server, 0 if there is none."""
    return next((s[3] for s in tcp_sockets(topo, side) if s[1] == port and s[4] == 1), 0)


def received_bytes(topo: Topology) -> int:
    """Bytes that the client's interface has received, those that XDP took among them."""
    with topo.entered("srv"):
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return int(next(line for line in lines if topo.srv_if in line).split(":")[1].split()[8])


def ping(topo: Namespaces, side: str, address: str, count: int = 1, interval: float = 0.05) -> None:
    """Echo requests from a side; every one must be answered."""
    done = topo.exec(side, "ping", "-c", str(count), "-i", str(interval), "-W", "2", address, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} received" in done.stdout, done.stdout


class KernelPeer:
    """A server over a kernel socket in one of the namespaces; `serve(connection)` runs in a thread per client."""

    def __init__(self, topo: Namespaces, side: str, address: str, serve: Callable[[socket.socket], None]) -> None:
        with topo.entered(side):
            self._listener = socket.create_server((address, 0))
        self.address, self.port = self._listener.getsockname()
        self._serve = serve
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(30)
            try:
                self._serve(connection)
            except BaseException as error:  # the test looks at them
                self.errors.append(error)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def __enter__(self) -> KernelPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def echo(connection: socket.socket) -> None:
    """Send back what comes until its end."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(65536):
        connection.sendall(data)


def patterned(length: int) -> Iterator[bytes]:
    """`length` bytes of PATTERN over and over, in pieces."""
    while length > 0:
        piece = PATTERN[:length]
        length -= len(piece)
        yield piece


def patterned_hash(length: int) -> str:
    """SHA-256 of what `patterned(length)` gives."""
    digest = hashlib.sha256()
    for piece in patterned(length):
        digest.update(piece)
    return digest.hexdigest()


def kernel_dialogue(topo: Namespaces, side: str, peer: KernelPeer, rounds: int) -> None:
    """As ssh would: small questions, each answered before the next, over a kernel connection from `side`."""
    with topo.entered(side):
        sock = socket.create_connection((peer.address, peer.port), timeout=5)
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(rounds):
            question = b"%06d keystroke" % number
            sock.sendall(question)
            answer = b""
            while len(answer) < len(question):
                piece = sock.recv(1000)
                assert piece, "the peer has gone"
                answer += piece
            assert answer == question


def kernel_transfer(topo: Namespaces, side: str, peer: KernelPeer, length: int) -> None:
    """`length` bytes to an echoing peer and back over a kernel connection from `side`, compared by hash."""
    with topo.entered(side):
        sock = socket.create_connection((peer.address, peer.port), timeout=30)

    def send() -> None:
        for piece in patterned(length):
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)

    digest, count = hashlib.sha256(), 0
    with sock:
        sender = threading.Thread(target=send)
        sender.start()
        while data := sock.recv(1 << 18):
            digest.update(data)
            count += len(data)
        sender.join()
    assert count == length
    assert digest.hexdigest() == patterned_hash(length)
