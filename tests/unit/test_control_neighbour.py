"""control/neighbour.py on a fake netlink: resolving, keeping alive, and what the watch tells."""
from __future__ import annotations

import errno
import select
from ipaddress import IPv4Address, IPv4Network

import pytest
from control_fake import MAC_A, MAC_B, FakeNetlink

from xdpws.control.model import LinkEvent, LinkInfo, NeighbourEvent, NeighbourInfo, Nud, RouteEvent
from xdpws.control.neighbour import (
    LinkChange,
    NeighbourChange,
    NeighbourWatch,
    RouteChange,
    WatchState,
    keepalive,
    resolve,
    verify,
)
from xdpws.errors import SetupError

ETH = LinkInfo(7, "eth7", MAC_A, 1500)
GW = IPv4Address("10.0.0.1")


def entry(state: Nud, mac: bytes | None = MAC_A, ip: IPv4Address = GW) -> NeighbourInfo:
    return NeighbourInfo(7, ip, state, mac)


@pytest.mark.parametrize(("state", "mac", "usable"), [
    (Nud.REACHABLE, MAC_A, True), (Nud.STALE, MAC_A, True), (Nud.DELAY, MAC_A, True), (Nud.PROBE, MAC_A, True),
    (Nud.PERMANENT, MAC_A, True), (Nud.NOARP, MAC_A, True), (Nud.INCOMPLETE, None, False), (Nud.FAILED, None, False),
    (Nud.FAILED, MAC_A, False), (Nud.NONE, MAC_A, False), (Nud.REACHABLE, None, False),
])
def test_which_entries_are_usable(state: Nud, mac: bytes | None, usable: bool) -> None:
    assert entry(state, mac).usable is usable


def test_resolve_takes_what_is_known_without_asking() -> None:
    nl = FakeNetlink(ETH)
    nl.neighbour_table = [entry(Nud.STALE)]
    assert resolve(nl, ETH, GW).mac == MAC_A
    assert nl.used == []
    assert nl.monitors[0].closed


def test_resolve_asks_and_waits_for_the_notification() -> None:
    nl = FakeNetlink(ETH)
    nl.on_use = lambda: (nl.tell(entry(Nud.INCOMPLETE, None)), nl.tell(entry(Nud.REACHABLE, MAC_B)))[0]
    assert resolve(nl, ETH, GW).mac == MAC_B
    assert nl.used == [(7, GW)]


def test_resolve_reads_the_table_when_notifications_were_lost() -> None:
    nl = FakeNetlink(ETH)

    def lose() -> None:
        nl.monitors[0].put(None)
        nl.neighbour_table = [entry(Nud.REACHABLE)]

    nl.on_use = lose
    assert resolve(nl, ETH, GW).mac == MAC_A


def test_resolve_says_that_nobody_answers() -> None:
    nl = FakeNetlink(ETH)
    nl.on_use = lambda: nl.tell(entry(Nud.FAILED, None))
    with pytest.raises(SetupError, match=r"resolve 10.0.0.1 on eth7: nobody answers ARP; try: arping"):
        resolve(nl, ETH, GW)
    assert nl.monitors[0].closed


def test_resolve_ends_at_its_timeout_and_ignores_other_neighbours() -> None:
    nl = FakeNetlink(ETH)
    nl.on_use = lambda: nl.tell(entry(Nud.REACHABLE, MAC_B, IPv4Address("10.0.0.9")))
    with pytest.raises(SetupError, match=r"no ARP answer within 0.05 s"):
        resolve(nl, ETH, GW, 0.05)


def test_keepalive_marks_the_entry_as_used() -> None:
    nl = FakeNetlink(ETH)
    keepalive(nl, 7, GW)
    assert nl.used == [(7, GW)]


def test_verify_has_the_kernel_poll_what_it_trusts() -> None:
    nl = FakeNetlink(ETH)
    verify(nl, 7, GW)
    assert (nl.used, nl.probed) == ([(7, GW)], []), "nothing known: asked for"
    nl.neighbour_table.append(NeighbourInfo(7, GW, Nud.REACHABLE, b"\2\0\0\0\0\1"))
    verify(nl, 7, GW)
    assert nl.probed == [(7, GW, b"\2\0\0\0\0\1")]


def test_verify_leaves_the_administrators_entry_alone() -> None:
    nl = FakeNetlink(ETH)
    nl.neighbour_table.append(NeighbourInfo(7, GW, Nud.PERMANENT, b"\2\0\0\0\0\1"))
    verify(nl, 7, GW)
    assert not nl.probed
    assert not nl.used


def test_a_refused_keepalive_is_left_to_the_next_one() -> None:
    nl = FakeNetlink(ETH)

    def refuse() -> None:
        raise OSError(errno.ENODEV, "No such device")

    nl.on_use = refuse
    keepalive(nl, 7, GW)
    with pytest.raises(SetupError, match=r"resolve 10\.0\.0\.1 on eth7: No such device"):
        resolve(nl, ETH, GW)
    assert nl.monitors[0].closed


def take(state: WatchState, *infos: NeighbourInfo) -> list[object]:
    return [change for info in infos for change in state.take(NeighbourEvent(info))]


def test_the_watch_tells_macs_and_usability_not_every_state() -> None:
    state = WatchState(frozenset({7}))
    told = take(state, entry(Nud.INCOMPLETE, None), entry(Nud.REACHABLE), entry(Nud.STALE), entry(Nud.DELAY),
                entry(Nud.PROBE), entry(Nud.REACHABLE), entry(Nud.REACHABLE, MAC_B))
    assert told == [NeighbourChange(7, GW, None, Nud.INCOMPLETE, False),
                    NeighbourChange(7, GW, MAC_A, Nud.REACHABLE, True),
                    NeighbourChange(7, GW, MAC_B, Nud.REACHABLE, True)]


def test_a_neighbour_that_fails_or_leaves_keeps_its_last_mac_in_the_change() -> None:
    state = WatchState(frozenset({7}))
    take(state, entry(Nud.REACHABLE))
    assert take(state, entry(Nud.FAILED, None)) == [NeighbourChange(7, GW, MAC_A, Nud.FAILED, False)]
    assert take(state, entry(Nud.REACHABLE)) == [NeighbourChange(7, GW, MAC_A, Nud.REACHABLE, True)]
    gone = NeighbourEvent(entry(Nud.STALE), gone=True)
    assert state.take(gone) == [NeighbourChange(7, GW, MAC_A, Nud.NONE, False)]
    assert state.take(gone) == []


def test_other_interfaces_are_not_told_but_their_routes_are() -> None:
    state = WatchState(frozenset({7}))
    assert state.take(NeighbourEvent(NeighbourInfo(8, GW, Nud.REACHABLE, MAC_A))) == []
    assert state.take(LinkEvent(LinkInfo(8, "eth8", MAC_A, 1500))) == []
    net = IPv4Network("10.1.0.0/16")
    assert state.take(RouteEvent(net, None, 8, 254)) == [RouteChange(net)]
    assert state.take(RouteEvent(net, None, 8, 254, gone=True)) == [RouteChange(net, True)]


def test_link_changes_are_told_once() -> None:
    state = WatchState(frozenset({7}))
    down = LinkInfo(7, "eth7", MAC_A, 1500, up=False, carrier=False)
    assert state.take(LinkEvent(ETH)) == [LinkChange(ETH)]
    assert state.take(LinkEvent(ETH)) == []
    assert state.take(LinkEvent(down)) == [LinkChange(down)]
    assert state.take(LinkEvent(down, gone=True)) == [LinkChange(down, True)]
    assert state.take(LinkEvent(down, gone=True)) == []


def test_after_lost_notifications_the_watch_tells_the_differences() -> None:
    nl = FakeNetlink(ETH)
    other = IPv4Address("10.0.0.2")
    nl.neighbour_table = [entry(Nud.REACHABLE), entry(Nud.REACHABLE, MAC_A, other)]
    with NeighbourWatch(nl, [7]) as watch:
        assert watch.read() == [], "what is there at the beginning is not a change"
        assert watch.mac(7, GW) == MAC_A
        nl.neighbour_table = [entry(Nud.REACHABLE, MAC_B)]
        nl.link_table = []
        nl.monitors[0].put(None)
        assert select.select([watch], [], [], 1)[0], "the descriptor of the watch is readable"
        assert watch.read() == [
            LinkChange(ETH, True), NeighbourChange(7, other, MAC_A, Nud.NONE, False),
            NeighbourChange(7, GW, MAC_B, Nud.REACHABLE, True), RouteChange(None)]
        assert watch.mac(7, GW) == MAC_B
        assert watch.mac(7, other) is None
    assert nl.monitors[0].closed
