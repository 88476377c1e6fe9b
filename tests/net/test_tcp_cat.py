"""The stack in a box against the kernel: ``tcp_cat`` over TUN, TAP and a packet socket, in both roles."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from topology import Topology, needs_topology

pytestmark = [needs_topology, pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="needs /dev/net/tun")]

ROOT = Path(__file__).resolve().parents[2]
SIZE = 5_000_000
PORT = 7001


@pytest.fixture(scope="module")
def tcp_cat() -> Path:
    subprocess.run(["make", "-s", "tcp-cat"], cwd=ROOT, check=True, timeout=300)
    return ROOT / "build" / "tcp_cat"


@pytest.fixture
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


class Place:
    """Where the program runs: its device, its address, the kernel's address and the side whose kernel is the peer."""

    def __init__(self, topo: Topology, kind: str) -> None:
        self.topo, self.kind = topo, kind
        if kind == "packet":  # the client's end of the veth, with an address beside the kernel's
            self.peer_side, self.device, self.peer_ip = "srv", topo.cli_if, topo.srv_ip
            self.ip = topo.cli_ip.rsplit(".", 1)[0] + ".77"
            return
        self.peer_side, self.device, self.peer_ip, self.ip = "cli", f"{topo.cli_if}t", "10.222.0.1", "10.222.0.2"
        topo.exec("cli", "ip", "tuntap", "add", "dev", self.device, "mode", kind)
        topo.exec("cli", "ip", "addr", "add", f"{self.peer_ip}/24", "dev", self.device)
        topo.exec("cli", "ip", "link", "set", self.device, "up")

    def socket(self) -> socket.socket:
        """A kernel socket of the peer."""
        with self.topo.entered(self.peer_side):
            made = socket.socket()
        made.settimeout(60)
        return made

    def start(self, program: Path, *argv: str) -> subprocess.Popen[bytes]:
        """The program with pipes."""
        return self.topo.popen("cli", program, self.kind, self.device, f"{self.ip}/24", *argv,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kernel_side(conn: socket.socket, data: bytes, result: dict[str, str]) -> None:
    """Read to the end in one thread while another sends, then close our half; the peer's half closed first."""

    def send() -> None:
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    digest = hashlib.sha256()
    while chunk := conn.recv(65536):
        digest.update(chunk)
    sender.join()
    conn.close()
    result["sha256"] = digest.hexdigest()


@pytest.mark.parametrize("role", ["connect", "listen"])
@pytest.mark.parametrize("kind", ["tun", "tap", "packet"])
def test_five_megabytes_each_way(topo: Topology, tcp_cat: Path, kind: str, role: str) -> None:
    place = Place(topo, kind)
    ours, theirs = (random.Random(seed).randbytes(SIZE) for seed in (1, 2))
    result: dict[str, str] = {}
    with place.socket() as peer:
        if role == "connect":
            peer.bind((place.peer_ip, PORT))
            peer.listen(1)
            program = place.start(tcp_cat, "connect", place.peer_ip, str(PORT))
        else:
            program = place.start(tcp_cat, "listen", str(PORT))
        with program:
            if role == "connect":
                conn = peer.accept()[0]
                conn.settimeout(60)
            else:  # a SYN before the program listens is repeated after a second
                peer.connect((place.ip, PORT))
                conn = peer
            kernel = threading.Thread(target=kernel_side, args=(conn, theirs, result))
            kernel.start()
            out, err = program.communicate(ours, timeout=90)
            kernel.join(60)
    assert program.returncode == 0, err
    assert hashlib.sha256(out).hexdigest() == hashlib.sha256(theirs).hexdigest()
    assert result.get("sha256") == hashlib.sha256(ours).hexdigest()


@pytest.mark.parametrize("kind", ["tun", "packet"])
def test_half_close(topo: Topology, tcp_cat: Path, kind: str) -> None:
    """The peer answers only when it has seen the end of our half."""
    place = Place(topo, kind)
    with place.socket() as peer:
        peer.bind((place.peer_ip, PORT))
        peer.listen(1)
        with place.start(tcp_cat, "connect", place.peer_ip, str(PORT)) as program:
            conn = peer.accept()[0]
            conn.settimeout(30)
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write(b"question")
            program.stdin.close()
            asked = b""
            while chunk := conn.recv(100):
                asked += chunk
            assert asked == b"question"
            conn.sendall(b"answer")
            conn.close()
            assert program.stdout.read() == b"answer"
            assert program.wait(30) == 0


def test_refused(topo: Topology, tcp_cat: Path) -> None:
    place = Place(topo, "tun")
    with place.start(tcp_cat, "connect", place.peer_ip, str(PORT)) as program:
        _, err = program.communicate(b"", timeout=30)
    assert program.returncode == 1
    assert b"refused" in err
