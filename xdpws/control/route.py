"""Routes: how the kernel would send to a destination."""
from __future__ import annotations

from ipaddress import IPv4Address

from xdpws.control.model import RouteInfo
from xdpws.control.netlink import Netlink
from xdpws.errors import SetupError


def find_route(nl: Netlink, destination: IPv4Address, out_index: int | None = None) -> RouteInfo:
    """The route to `destination`; with `out_index`, the best one through that interface.

    Raises `SetupError` where there is none. A local, broadcast, … destination has a route: look at its `kind`.
    """
    try:
        return nl.route(destination, out_index)
    except OSError as e:
        where = "" if out_index is None else " through this interface"
        raise SetupError(f"route to {destination}", f"{e.strerror or e}{where}", f"ip route get {destination}",
                         e.errno) from e
