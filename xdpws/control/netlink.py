"""What xdpws asks of netlink, as protocols: the real thing is `netlink_pyroute2`, tests put a fake in its place."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Protocol

from xdpws.control.model import (
    AddressInfo,
    Event,
    LinkInfo,
    NapiInfo,
    NeighbourInfo,
    RouteInfo,
    XdpCapabilities,
)


class Monitor(Protocol):
    """A stream of notifications about links, IPv4 routes and neighbours."""

    def fileno(self) -> int:
        """A descriptor that is readable when `read` has something."""

    def read(self) -> list[Event] | None:
        """All notifications that wait; [] if none does; None if the kernel dropped some (ENOBUFS): re-read all."""

    def close(self) -> None:
        """Gives the descriptor back; may be called twice."""


class Netlink(Protocol):
    """Requests to the kernel in the network namespace of the thread that made the object.

    Every method raises `OSError` with the kernel's errno when the request is refused. None of them blocks for longer
    than the kernel takes to answer, so they may be called from within a running asyncio loop.
    """

    def links(self) -> list[LinkInfo]:
        """All interfaces."""

    def link_in(self, nsid: int, index: int) -> LinkInfo:
        """An interface of another namespace, by the id that namespace has in this one."""

    def namespace_id(self, fd: int) -> int | None:
        """The id of the namespace behind a descriptor of /run/netns/… or /proc/…/ns/net; None if it has none here."""

    def set_link(self, index: int, *, mtu: int | None = None, up: bool | None = None) -> None:
        """Changes an interface."""

    def addresses(self, index: int) -> list[AddressInfo]:
        """The IPv4 addresses of an interface."""

    def route(self, destination: IPv4Address, out_index: int | None = None) -> RouteInfo:
        """The route to a destination; with `out_index` only a table entry through that interface counts."""

    def neighbours(self, index: int) -> list[NeighbourInfo]:
        """The IPv4 neighbours of an interface."""

    def use_neighbour(self, index: int, ip: IPv4Address) -> None:
        """Says that the entry is in use (NTF_USE): the kernel resolves what is unknown and verifies what is stale."""

    def probe_neighbour(self, index: int, ip: IPv4Address, mac: bytes) -> None:
        """Puts the entry, with the MAC that it has, into the state in which the kernel polls it (NUD_PROBE)."""

    def xdp_capabilities(self, index: int) -> XdpCapabilities:
        """XDP features of an interface; ENOENT where the kernel has no netdev family."""

    def napis(self, index: int) -> list[NapiInfo]:
        """The NAPI contexts of an interface; [] where the driver or the kernel does not tell."""

    def monitor(self) -> Monitor:
        """Subscribes to notifications from now on."""

    def close(self) -> None:
        """Gives the socket back; may be called twice."""


@contextmanager
def opened() -> Iterator[Netlink]:
    """A `Netlink` to the kernel for the length of a `with`."""
    from xdpws.control.netlink_pyroute2 import Pyroute2Netlink

    nl = Pyroute2Netlink()
    try:
        yield nl
    finally:
        nl.close()
