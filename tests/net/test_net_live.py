"""Our network layer on a real link with the kernel as the peer: ARP, echo, address conflicts, a changed neighbour."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from topology import Topology, needs_topology
from wirelib import Layer

pytestmark = needs_topology

ETH_P_ALL = 3
PACKET_OUTGOING = 4


class Host:
    """A host on the client's interface: our layer between packet sockets, driven by ``run``."""

    def __init__(self, topo: Topology, address: str, *, claim: int) -> None:
        self.address = address
        self.net = Layer(int(ipaddress.IPv4Address(address)), topo.mac("cli"), claim=claim, now=time.monotonic_ns())
        self.tcp: list[bytes] = []
        with topo.entered("cli"):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.sock.bind((topo.cli_if, ETH_P_ALL))

    def run(self, until: Callable[[], bool], seconds: float = 10) -> None:
        """Carry frames until a condition holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "it did not happen"
            self.net.tick(time.monotonic_ns() - self.net.now)
            while frame := self.net.output():
                self.sock.send(frame)
            if select.select([self.sock], [], [], 0.01)[0]:
                frame, where = self.sock.recvfrom(65536)
                if where[2] != PACKET_OUTGOING and self.net.input(frame)[0] == Layer.TCP:
                    self.tcp.append(frame)

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Carry frames until a process has ended; return what it printed."""
        self.run(lambda: process.poll() is not None)
        assert process.stdout is not None
        return process.stdout.read()


@pytest.fixture
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


Hosts = Callable[..., Host]


@pytest.fixture
def hosts(topo: Topology) -> Iterator[Hosts]:
    """Make hosts on the client's interface; their sockets are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(address: str, *, claim: int) -> Host:
            host = Host(topo, address, claim=claim)
            stack.callback(host.sock.close)
            return host

        yield make


def third_address(topo: Topology) -> str:
    return topo.srv_ip.rsplit(".", 1)[0] + ".3"


def ping(topo: Topology, address: str, *options: str) -> subprocess.Popen[str]:
    return topo.popen("srv", "ping", "-i0.01", "-W3", *options, address, stdout=subprocess.PIPE, text=True)


def test_kernel_pings_us(topo: Topology, hosts: Hosts) -> None:
    host = hosts(third_address(topo), claim=1)
    host.run(lambda: host.net.address_state == Layer.OK)
    for size in ("0", "56", "1472"):
        said = host.finish(ping(topo, host.address, "-c5", "-s", size))
        assert "5 received, 0% packet loss" in said
    assert topo.mac("cli") in topo.exec("srv", "ip", "neighbour", "show", host.address).stdout


def test_kernel_has_the_address_already(topo: Topology, hosts: Hosts) -> None:
    host = hosts(topo.srv_ip, claim=1)
    host.run(lambda: host.net.address_state == Layer.CONFLICT)


def test_kernel_hears_a_segment_of_ours_and_answers(topo: Topology, hosts: Hosts) -> None:
    """A SYN to a closed port, with the neighbour resolved by ARP: the kernel's RST comes back."""
    host = hosts(third_address(topo), claim=0)
    peer = int(ipaddress.IPv4Address(topo.srv_ip))
    scapy = pytest.importorskip("scapy.all")
    syn = scapy.IP(src=host.address, dst=topo.srv_ip) / scapy.TCP(sport=40000, dport=9, flags="S", seq=1)
    sent: list[bytes] = []

    def answered() -> bool:
        if not sent and isinstance(frame := host.net.send(peer, bytes(syn)[20:]), bytes):
            sent.append(frame)
            host.sock.send(frame)
        return bool(host.tcp)

    host.run(answered)
    reply = scapy.Ether(host.tcp[0])[scapy.TCP]
    assert (str(reply.flags), reply.sport, reply.dport, reply.ack) == ("RA", 9, 40000, 2)


def test_kernel_changes_its_mac(topo: Topology, hosts: Hosts) -> None:
    """The kernel announces a new MAC by asking for us with it; the next packet goes there."""
    host = hosts(third_address(topo), claim=0)
    peer = int(ipaddress.IPv4Address(topo.srv_ip))
    host.run(lambda: isinstance(host.net.send(peer, b"\0" * 20), bytes))
    topo.exec("srv", "ip", "link", "set", "dev", topo.srv_if, "address", "02:00:00:00:aa:01")
    topo.exec("srv", "ip", "neighbour", "flush", "all")
    assert "1 received" in host.finish(ping(topo, host.address, "-c1"))
    frame = host.net.send(peer, b"\0" * 20)
    assert isinstance(frame, bytes)
    assert frame[:6].hex(":") == "02:00:00:00:aa:01"
