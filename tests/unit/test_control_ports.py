"""control/ports.py: what can be said without a topology; addresses are 127.0.0.x of this host."""
from __future__ import annotations

import errno
import random
import socket
from ipaddress import IPv4Address

import pytest

from xdpws.control.ports import (
    DedicatedPorts,
    candidates,
    local_ports,
    parse_port_set,
    reserve_port,
)
from xdpws.errors import SetupError, UsageError

HOME = IPv4Address("127.0.0.77")


@pytest.fixture
def free_port() -> int:
    with reserve_port(HOME) as found:
        port = found.port
    return port


@pytest.mark.parametrize(("text", "ports"), [
    ("", set()), ("80", {80}), ("8080,9000-9002\n", {8080, 9000, 9001, 9002}), ("x,5,7-y,-3", {5}),
])
def test_port_sets(text: str, ports: set[int]) -> None:
    assert parse_port_set(text) == ports


def test_candidates_are_all_allowed_ports_in_an_order_that_depends_on_the_generator() -> None:
    first = list(candidates(range(100, 200), frozenset({150}), lambda p: p % 2 == 0, random.Random(1)))
    again = list(candidates(range(100, 200), frozenset({150}), lambda p: p % 2 == 0, random.Random(1)))
    other = list(candidates(range(100, 200), frozenset({150}), lambda p: p % 2 == 0, random.Random(2)))
    assert sorted(first) == [p for p in range(100, 200, 2) if p != 150]
    assert first == again != other


def test_a_reserved_port_is_the_callers_alone_until_closed() -> None:
    with reserve_port(HOME) as held:
        assert held.port in local_ports()
        with socket.socket() as other, pytest.raises(OSError, match="in use") as e:
            other.bind((str(HOME), held.port))
        assert e.value.errno == errno.EADDRINUSE
        with pytest.raises(SetupError, match=f"port {held.port} is taken"):
            reserve_port(HOME, held.port)
    assert not held.open
    with reserve_port(HOME, held.port) as again:
        assert again.port == held.port


def test_the_kernel_gives_a_reserved_port_to_no_connection_of_its_own() -> None:
    with socket.socket() as server, reserve_port(HOME) as held:
        server.bind((str(HOME), 0))
        server.listen()
        with socket.socket() as client:
            client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect
            client.bind((str(HOME), 0))
            client.connect(server.getsockname())
            assert client.getsockname()[1] != held.port


def test_a_segment_for_a_reserved_port_is_answered_by_reset() -> None:
    with reserve_port(HOME) as held, socket.socket() as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect((str(HOME), held.port))


def test_the_predicate_chooses() -> None:
    with reserve_port(HOME, accept=lambda port: port % 8 == 3) as held:
        assert held.port % 8 == 3
    with pytest.raises(SetupError, match="no port is acceptable"):
        reserve_port(HOME, accept=lambda port: False)


def test_a_range_that_is_used_up(free_port: int) -> None:
    with reserve_port(HOME, ports=[free_port]), pytest.raises(SetupError, match="all 1 ports are taken"):
        reserve_port(HOME, ports=[free_port])


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_ports_are_the_callers_mistake(port: int) -> None:
    with pytest.raises(UsageError):
        reserve_port(HOME, port)


def test_an_address_of_somebody_else() -> None:
    with pytest.raises(SetupError) as e:
        reserve_port(IPv4Address("192.0.2.123"))
    assert e.value.errno == errno.EADDRNOTAVAIL


def test_dedicated_ports_are_counted() -> None:
    ports = DedicatedPorts([1000, 1001], random.Random(1))
    assert {ports.take(), ports.take()} == {1000, 1001}
    with pytest.raises(SetupError):
        ports.take()
    ports.give_back(1001)
    assert ports.take() == 1001
