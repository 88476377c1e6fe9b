"""The facts on which `host.plan_xdp` decides, and how they are gathered. Reading only; nothing is sent or changed."""
from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from xdpws.control.ethtool import Ethtool, Feature
from xdpws.control.link import lower_link
from xdpws.control.model import AddressInfo, Channels, LinkInfo, NeighbourInfo, RouteInfo, XdpCapabilities
from xdpws.control.neighbour import find_neighbour
from xdpws.control.netlink import Netlink, opened
from xdpws.control.privilege import read_capabilities
from xdpws.errors import SetupError


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The host as far as one destination and one interface are concerned.

    `wanted` is the interface that was asked for (None: the one the route takes). `route` goes through it (or a VLAN on
    top of it), `kernel_route` is the kernel's own choice; each None where there is none, with the reason in
    `route_error`. `top` has the route and the addresses, `lower` carries the frames (the same without VLANs).
    """

    destination: IPv4Address
    wanted: str | None
    release: str
    capabilities: frozenset[str]
    links: tuple[LinkInfo, ...]
    kernel_route: RouteInfo | None = None
    route: RouteInfo | None = None
    route_error: str = ""
    top: LinkInfo | None = None
    lower: LinkInfo | None = None
    addresses: tuple[AddressInfo, ...] = ()
    neighbour: NeighbourInfo | None = None
    driver: str = ""
    channels: Channels | None = None
    features: dict[str, Feature] = field(default_factory=dict)
    xdp: XdpCapabilities | None = None
    peer_mtu: int | None = None

    def link_name(self, index: int | None) -> str:
        """The name of an interface by its index; "?" if there is none."""
        return next((link.name for link in self.links if link.index == index), "?")


def gather(ifname: str | None, destination: IPv4Address, nl: Netlink | None = None) -> HostFacts:
    """The facts for one destination. Sends nothing and changes nothing; takes about a millisecond.

    Raises `SetupError` only if netlink itself does not work: what is missing is for `plan_xdp` to tell.
    """
    try:
        if nl is not None:
            return _gather(ifname, destination, nl)
        with opened() as own:
            return _gather(ifname, destination, own)
    except OSError as e:
        raise SetupError("ask the kernel about links and routes", e.strerror or str(e), errno=e.errno) from e


def _gather(ifname: str | None, destination: IPv4Address, nl: Netlink) -> HostFacts:
    links = tuple(nl.links())
    base = HostFacts(destination, ifname, os.uname().release, read_capabilities(), links)
    kernel_route, error = _try_route(nl, destination, None)
    lower, top, route = _pick_links(nl, ifname, destination, links, kernel_route)
    if lower is None or top is None:
        return HostFacts(base.destination, ifname, base.release, base.capabilities, links, kernel_route,
                         route_error=error)
    if route is None and kernel_route is not None:
        _, error = _try_route(nl, destination, top.index)
    driver, channels, features = _device(lower.name)
    return HostFacts(
        destination, ifname, base.release, base.capabilities, links, kernel_route, route, "" if route else error, top,
        lower, tuple(nl.addresses(top.index)), find_neighbour(nl, top.index, route.next_hop) if route else None,
        driver, channels, features, _capabilities(nl, lower.index), _peer_mtu(nl, lower, links))


def _try_route(nl: Netlink, destination: IPv4Address, index: int | None) -> tuple[RouteInfo | None, str]:
    try:
        return nl.route(destination, index), ""
    except OSError as e:
        return None, e.strerror or str(e)


def _pick_links(nl: Netlink, ifname: str | None, destination: IPv4Address, links: tuple[LinkInfo, ...],
                kernel_route: RouteInfo | None) -> tuple[LinkInfo | None, LinkInfo | None, RouteInfo | None]:
    """(lower, top, route through top)"""
    out = next((link for link in links if kernel_route and link.index == kernel_route.out_index), None)
    if ifname is None:
        return (lower_link(links, out)[0], out, kernel_route) if out is not None else (None, None, None)
    named = next((link for link in links if link.name == ifname or ifname in link.alt_names), None)
    if named is None:
        return None, None, None
    if out is not None and out.index != named.index and lower_link(links, out)[0].index == named.index:
        return named, out, kernel_route  # the route takes a VLAN on top of the named interface
    return lower_link(links, named)[0], named, _try_route(nl, destination, named.index)[0]


def _device(name: str) -> tuple[str, Channels | None, dict[str, Feature]]:
    """(driver, channels, offloads); an interface that left in between, or one that does not tell, has none."""
    with Ethtool() as tool:
        try:
            driver = tool.driver(name)
            return driver.driver if driver else "", tool.channels(name), tool.features(name)
        except OSError:
            return "", None, {}


def _capabilities(nl: Netlink, index: int) -> XdpCapabilities | None:
    try:
        return nl.xdp_capabilities(index)
    except OSError:
        return None


def _peer_mtu(nl: Netlink, lower: LinkInfo, links: tuple[LinkInfo, ...]) -> int | None:
    """The MTU of a veth's peer, None for other links or where it cannot be seen."""
    if lower.kind != "veth" or lower.link_index is None:
        return None
    try:
        if lower.link_nsid is not None:
            return nl.link_in(lower.link_nsid, lower.link_index).mtu
    except OSError:
        return None
    return next((link.mtu for link in links if link.index == lower.link_index), None)
