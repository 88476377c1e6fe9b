"""control/netlink_pyroute2.py: messages made by hand, and requests that need no privilege."""
from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv4Network

import pytest
from control_fake import MAC_A

from xdpws.control import netlink_pyroute2 as real
from xdpws.control.model import LinkEvent, NeighbourEvent, NeighbourInfo, Nud, RouteEvent
from xdpws.control.netlink import opened


def message(kind: int, body: bytes, flags: int = 0, seq: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def neighbour(state: int, *attributes: bytes, family: int = socket.AF_INET) -> bytes:
    return struct.pack("=B3xiHBB", family, 7, state, 0, 1) + b"".join(attributes)


DST = attribute(1, IPv4Address("10.0.0.1").packed)


def test_a_datagram_is_split_into_its_messages() -> None:
    two = message(3, b"", seq=1) + message(2, b"abcd", flags=2, seq=9)
    assert [(k, f, s, len(raw)) for k, f, s, raw in real._split(two)] == [(3, 0, 1, 16), (2, 2, 9, 20)]


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_cut_datagram_gives_no_message(cut: int) -> None:
    assert list(real._split(message(2, b"abcd")[:cut])) == []


def test_an_impossible_length_ends_the_datagram() -> None:
    assert list(real._split(struct.pack("=IHHII", 0, 2, 0, 0, 0) * 4)) == []


def test_neighbour_notifications() -> None:
    raw = message(28, neighbour(2, DST, attribute(2, MAC_A)))
    assert real._event(28, raw) == NeighbourEvent(NeighbourInfo(7, IPv4Address("10.0.0.1"), Nud.REACHABLE, MAC_A))
    raw = message(29, neighbour(0x20, DST))
    assert real._event(29, raw) == NeighbourEvent(NeighbourInfo(7, IPv4Address("10.0.0.1"), Nud.FAILED, None), True)
    ipv6 = neighbour(2, attribute(1, bytes(16)), family=socket.AF_INET6)
    assert real._event(28, message(28, ipv6)) is None


def test_route_notifications() -> None:
    body = struct.pack("=8BI", socket.AF_INET, 16, 0, 0, 254, 3, 0, 1, 0)
    attributes = attribute(1, IPv4Address("10.1.0.0").packed) + attribute(5, IPv4Address("10.0.0.1").packed)
    attributes += attribute(4, struct.pack("=I", 7)) + attribute(15, struct.pack("=I", 1000))
    assert real._event(24, message(24, body + attributes)) == RouteEvent(
        IPv4Network("10.1.0.0/16"), IPv4Address("10.0.0.1"), 7, 1000)
    assert real._event(20, message(20, b"")) is None


def test_link_notifications_and_not_those_of_bridge_ports() -> None:
    body = struct.pack("=BxHiII", 0, 1, 7, 0x10001, 0)
    attributes = attribute(3, b"eth7\0") + attribute(1, MAC_A) + attribute(4, struct.pack("=I", 1500))
    event = real._event(17, message(17, body + attributes))
    assert isinstance(event, LinkEvent)
    assert (event.gone, event.link.name, event.link.mac, event.link.mtu) == (True, "eth7", MAC_A, 1500)
    assert (event.link.up, event.link.carrier) == (True, True)
    bridge = struct.pack("=BxHiII", 7, 1, 7, 0x10001, 0)
    assert real._event(16, message(16, bridge + attributes)) is None


def test_requests_without_privilege() -> None:
    with opened() as nl:
        assert "lo" in [link.name for link in nl.links()]
        assert nl.route(IPv4Address("127.0.0.1")).kind == "local"
        assert nl.neighbours(0x7FFFFFF0) == []
        with pytest.raises(OSError, match=r"^\[Errno ") as e:
            nl.set_link(0x7FFFFFF0, mtu=1500)
        assert e.value.errno in (errno.ENODEV, errno.EPERM)
        nl.close()
