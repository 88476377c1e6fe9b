"""A `Netlink` without a kernel: its tables are plain attributes, and it records what was asked."""
from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ipaddress import IPv4Address

from xdpws.control.model import (
    AddressInfo,
    Event,
    LinkInfo,
    NapiInfo,
    NeighbourEvent,
    NeighbourInfo,
    RouteInfo,
    XdpCapabilities,
)

MAC_A, MAC_B = bytes.fromhex("020000000a01"), bytes.fromhex("020000000b01")


class FakeMonitor:
    """`Monitor` fed by `FakeNetlink.tell`; the descriptor is a pipe that is readable while something waits."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe()
        self.waiting: list[Event] | None = []
        self.closed = False

    def fileno(self) -> int:
        return self._read_fd

    def put(self, events: list[Event] | None) -> None:
        self.waiting = None if events is None or self.waiting is None else [*self.waiting, *events]
        os.write(self._write_fd, b"!")

    def read(self) -> list[Event] | None:
        events, self.waiting = self.waiting, []
        os.set_blocking(self._read_fd, False)
        try:
            os.read(self._read_fd, 4096)
        except BlockingIOError:
            pass
        return events

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._read_fd)
            os.close(self._write_fd)


class FakeNetlink:
    """The tables of a host; `on_use` is called by `use_neighbour`, to play the answer."""

    def __init__(self, *links: LinkInfo) -> None:
        self.link_table = list(links)
        self.address_table: list[AddressInfo] = []
        self.route_table: dict[tuple[IPv4Address, int | None], RouteInfo] = {}
        self.neighbour_table: list[NeighbourInfo] = []
        self.used: list[tuple[int, IPv4Address]] = []
        self.probed: list[tuple[int, IPv4Address, bytes]] = []
        self.monitors: list[FakeMonitor] = []
        self.on_use: Callable[[], None] = lambda: None
        self.changes: list[tuple[int, int | None, bool | None]] = []

    def tell(self, neighbour: NeighbourInfo) -> None:
        """Changes an entry and notifies."""
        self.neighbour_table = [n for n in self.neighbour_table if (n.index, n.ip) != (neighbour.index, neighbour.ip)]
        self.neighbour_table.append(neighbour)
        for monitor in self.monitors:
            if not monitor.closed:
                monitor.put([NeighbourEvent(neighbour)])

    def links(self) -> list[LinkInfo]:
        return list(self.link_table)

    def link_in(self, nsid: int, index: int) -> LinkInfo:
        raise OSError(errno.EPERM, "Operation not permitted")

    def namespace_id(self, fd: int) -> int | None:
        return None

    def set_link(self, index: int, *, mtu: int | None = None, up: bool | None = None) -> None:
        self.changes.append((index, mtu, up))

    def addresses(self, index: int) -> list[AddressInfo]:
        return [a for a in self.address_table if a.index == index]

    def route(self, destination: IPv4Address, out_index: int | None = None) -> RouteInfo:
        try:
            return self.route_table[destination, out_index]
        except KeyError:
            raise OSError(errno.ENETUNREACH, "Network is unreachable") from None

    def neighbours(self, index: int) -> list[NeighbourInfo]:
        return [n for n in self.neighbour_table if n.index == index]

    def use_neighbour(self, index: int, ip: IPv4Address) -> None:
        self.used.append((index, ip))
        self.on_use()

    def probe_neighbour(self, index: int, ip: IPv4Address, mac: bytes) -> None:
        self.probed.append((index, ip, mac))

    def xdp_capabilities(self, index: int) -> XdpCapabilities:
        raise OSError(errno.ENOENT, "No such file or directory")

    def napis(self, index: int) -> list[NapiInfo]:
        return []

    def monitor(self) -> FakeMonitor:
        self.monitors.append(FakeMonitor())
        return self.monitors[-1]

    def close(self) -> None:
        pass
