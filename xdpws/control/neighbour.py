"""Neighbours: the MAC of the next hop, getting the kernel to find it, and watching it.

What AF_XDP sends does not pass the kernel's neighbour table, so the kernel neither resolves a next hop for us nor sees
that its entry is in use: after some minutes it forgets it, and a gateway that moves to another MAC goes unnoticed.
Therefore

* `resolve` makes the kernel ask, and waits for its notification (no polling),
* `keepalive` says "in use" (NTF_USE): an entry that has gone stale is then verified by a unicast request, one that has
  failed or gone is asked for anew. Call it every `KEEPALIVE_S` seconds for each next hop in use, and at once when the
  watch reports a next hop that is not usable. It costs one system call of some microseconds.
* `verify` has the kernel ask at once whether the entry still holds: when what is sent over it seems not to arrive.
* `NeighbourWatch` is a descriptor for an event loop that tells what changed.
"""
from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from xdpws.control.model import (
    Event,
    LinkEvent,
    LinkInfo,
    NeighbourEvent,
    NeighbourInfo,
    Nud,
    RouteEvent,
)
from xdpws.control.netlink import Monitor, Netlink
from xdpws.errors import SetupError

#: Seconds between two `keepalive` calls. Below the kernel's gc_stale_time (60 s) and base_reachable_time (30 s, times
#: 0.5 to 1.5): the entry never stays stale for long, and a gateway that answers no more is noticed.
KEEPALIVE_S = 10.0
#: Seconds that `resolve` waits by default: the kernel asks three times, one second apart, before it gives up.
RESOLVE_S = 4.0
_DISCARD_PORT = 9


def find_neighbour(nl: Netlink, index: int, ip: IPv4Address) -> NeighbourInfo | None:
    """The kernel's entry for `ip` on an interface, None if there is none."""
    return next((n for n in nl.neighbours(index) if n.ip == ip), None)


def keepalive(nl: Netlink, index: int, ip: IPv4Address) -> None:
    """Keeps the kernel's entry for `ip` alive and verified. Never blocks and never raises.

    Without CAP_NET_ADMIN a datagram to the discard port does the same. A refusal is of no consequence: the next call
    tries again, and that an interface is down or gone is the watch's to tell. An entry that the administrator made is
    left alone: Linux takes its permanence away when it is told of its use.
    """
    try:
        entry = find_neighbour(nl, index, ip)
        if entry is None or entry.state not in (Nud.PERMANENT, Nud.NOARP):
            _use(nl, index, ip)
    except OSError:
        pass


def verify(nl: Netlink, index: int, ip: IPv4Address) -> None:
    """Has the kernel poll the neighbour now, however fresh its entry. Never blocks and never raises.

    An entry that does not answer fails within three seconds (ucast_solicit); the watch tells, and it is asked for anew.
    One that the administrator made is left alone.
    """
    try:
        entry = find_neighbour(nl, index, ip)
        if entry is None or entry.mac is None or not entry.usable:
            _use(nl, index, ip)
        elif entry.state not in (Nud.PERMANENT, Nud.NOARP):
            nl.probe_neighbour(index, ip, entry.mac)
    except OSError:
        pass


def _use(nl: Netlink, index: int, ip: IPv4Address) -> None:
    try:
        nl.use_neighbour(index, ip)
    except OSError as e:
        if e.errno != errno.EPERM:
            raise
        _nudge(index, ip)


def _nudge(index: int, ip: IPv4Address) -> None:
    """Lets the kernel send something to `ip`, which makes it resolve the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, socket.if_indextoname(index).encode() + b"\0")
            sock.sendto(b"", (str(ip), _DISCARD_PORT))
        except OSError:
            pass


def resolve(nl: Netlink, link: LinkInfo, ip: IPv4Address, timeout_s: float = RESOLVE_S) -> NeighbourInfo:
    """The usable entry for `ip` on `link`; makes the kernel ask for it and blocks up to `timeout_s` seconds.

    Raises `SetupError` when nobody answers. (In an asyncio program call it by `asyncio.to_thread`.)
    """
    monitor = nl.monitor()  # before the first look, so that no answer falls in between
    try:
        entry = find_neighbour(nl, link.index, ip)
        if entry is not None and entry.usable:
            return entry
        _use(nl, link.index, ip)
        deadline = time.monotonic() + timeout_s
        while True:
            entry = find_neighbour(nl, link.index, ip)
            if entry is not None and entry.usable:
                return entry
            if entry is not None and entry.state == Nud.FAILED:
                raise _silent(link, ip, "nobody answers ARP")
            if not _await_neighbour(monitor, link.index, ip, deadline):
                raise _silent(link, ip, f"no ARP answer within {timeout_s:g} s")
    except OSError as e:
        raise SetupError.from_errno(f"resolve {ip} on {link.name}", e.errno or errno.EIO) from e
    finally:
        monitor.close()


def _silent(link: LinkInfo, ip: IPv4Address, cause: str) -> SetupError:
    return SetupError(f"resolve {ip} on {link.name}", cause, f"arping -I {link.name} {ip}", errno.EHOSTUNREACH)


def _await_neighbour(monitor: Monitor, index: int, ip: IPv4Address, deadline: float) -> bool:
    """Waits for a notification about the neighbour (or for lost ones); False: the deadline has come."""
    poller = select.poll()
    poller.register(monitor.fileno(), select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            return False
        events = monitor.read()
        if events is None:
            return True
        for event in events:
            if isinstance(event, NeighbourEvent) and (event.neighbour.index, event.neighbour.ip) == (index, ip):
                return True


@dataclass(frozen=True, slots=True)
class NeighbourChange:
    """A neighbour's MAC or usability changed. `mac`: the last known one is still the best guess while not `usable`."""

    index: int
    ip: IPv4Address
    mac: bytes | None
    state: Nud
    usable: bool


@dataclass(frozen=True, slots=True)
class RouteChange:
    """The routing table changed: ask for the routes in use anew. `network` None: notifications were lost."""

    network: IPv4Network | None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class LinkChange:
    """An interface changed its state, MTU, MAC or XDP program. `gone`: it was removed."""

    link: LinkInfo
    gone: bool = False


Change = NeighbourChange | RouteChange | LinkChange


@dataclass(slots=True)
class WatchState:
    """What the watch has told so far; pure: notifications in, changes out."""

    indexes: frozenset[int]
    neighbours: dict[tuple[int, IPv4Address], NeighbourInfo] = field(default_factory=dict)
    links: dict[int, LinkInfo] = field(default_factory=dict)

    def take(self, event: Event) -> list[Change]:
        """The changes that one notification means for the watched interfaces."""
        if isinstance(event, NeighbourEvent):
            return self._neighbour(event.neighbour, event.gone)
        if isinstance(event, LinkEvent):
            return self._link(event.link, event.gone)
        return self._route(event)

    def resync(self, links: Iterable[LinkInfo], neighbours: Iterable[NeighbourInfo]) -> list[Change]:
        """The changes between what was told and the whole of what is now; routes count as changed."""
        changes: list[Change] = []
        now_links = {link.index: link for link in links if link.index in self.indexes}
        now_neighbours = {(n.index, n.ip): n for n in neighbours}
        for link in [link for index, link in self.links.items() if index not in now_links]:
            changes += self._link(link, True)
        for link in now_links.values():
            changes += self._link(link, False)
        for neighbour in [n for key, n in self.neighbours.items() if key not in now_neighbours]:
            changes += self._neighbour(neighbour, True)
        for neighbour in now_neighbours.values():
            changes += self._neighbour(neighbour, False)
        changes.append(RouteChange(None))
        return changes

    def _neighbour(self, now: NeighbourInfo, gone: bool) -> list[Change]:
        if now.index not in self.indexes:
            return []
        key = (now.index, now.ip)
        old = self.neighbours.pop(key, None)
        if gone:
            if old is None:
                return []
            return [NeighbourChange(now.index, now.ip, old.mac, Nud.NONE, False)]
        if now.mac is None and old is not None:
            now = replace(now, mac=old.mac)
        self.neighbours[key] = now
        if old is not None and (old.mac, old.usable) == (now.mac, now.usable):
            return []  # reachable, stale, delay, probe: the same MAC all along
        return [NeighbourChange(now.index, now.ip, now.mac, now.state, now.usable)]

    def _link(self, now: LinkInfo, gone: bool) -> list[Change]:
        if now.index not in self.indexes:
            return []
        old = self.links.pop(now.index, None)
        if gone:
            return [LinkChange(now, True)] if old is not None else []
        self.links[now.index] = now
        return [LinkChange(now)] if old != now else []

    def _route(self, event: RouteEvent) -> list[Change]:
        # A route through another interface matters too: it may take over a destination of ours. So all are told.
        return [RouteChange(event.network, event.gone)]


class NeighbourWatch:
    """Tells what changes about the neighbours and the state of some interfaces, and that routes changed.

    Put `fileno()` into the event loop and call `read()` when it is readable; it never blocks. The first state is known
    from the beginning and is not told. When the kernel had to drop notifications everything is read anew, and the
    differences are told. `SetupError` if the kernel refuses a descriptor or a request.
    """

    def __init__(self, nl: Netlink, indexes: Iterable[int]) -> None:
        self._nl = nl
        self._state = WatchState(frozenset(indexes))
        try:
            self._monitor = nl.monitor()
            try:
                self._read_all()
            except OSError:
                self._monitor.close()
                raise
        except OSError as e:
            raise SetupError.from_errno("watch neighbours", e.errno or errno.EIO) from e

    def _read_all(self) -> list[Change]:
        neighbours = [n for index in sorted(self._state.indexes) for n in self._neighbours(index)]
        return self._state.resync(self._nl.links(), neighbours)

    def _neighbours(self, index: int) -> list[NeighbourInfo]:
        try:
            return self._nl.neighbours(index)
        except OSError as e:
            if e.errno == errno.ENODEV:
                return []  # the interface is gone: its link change tells
            raise

    def fileno(self) -> int:
        """The descriptor to poll for readability."""
        return self._monitor.fileno()

    def mac(self, index: int, ip: IPv4Address) -> bytes | None:
        """The MAC of a neighbour as last told, None if it is not usable."""
        entry = self._state.neighbours.get((index, ip))
        return entry.mac if entry is not None and entry.usable else None

    def read(self) -> list[Change]:
        """The changes since the last call, in order; [] if there are none."""
        try:
            events = self._monitor.read()
            if events is None:
                return self._read_all()
        except OSError as e:
            raise SetupError.from_errno("watch neighbours", e.errno or errno.EIO) from e
        return [change for event in events for change in self._state.take(event)]

    def close(self) -> None:
        """Gives the descriptor back; may be called twice."""
        self._monitor.close()

    def __enter__(self) -> NeighbourWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
