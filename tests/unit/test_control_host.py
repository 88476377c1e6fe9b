"""control/host.py: facts in, plan or obstacles out."""
from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from control_fake import MAC_A, MAC_B, FakeNetlink

from xdpws.control.ethtool import Feature
from xdpws.control.host import HostFacts, XdpWish, gather, next_hop_mac, plan_xdp
from xdpws.control.limits import kernel_version, mtu_limit
from xdpws.control.link import find_link, lower_link
from xdpws.control.model import (
    AddressInfo,
    Channels,
    LinkInfo,
    NeighbourInfo,
    Nud,
    RouteInfo,
    XdpAttached,
    XdpCapabilities,
)
from xdpws.control.privilege import capabilities_of, missing_capabilities
from xdpws.errors import SetupError, UsageError

DST, GW, ME = IPv4Address("203.0.113.5"), IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
ETH = LinkInfo(7, "eth7", MAC_A, 1500, rx_queues=4)
LO = LinkInfo(1, "lo", bytes(6), 65536, loopback=True)
VLAN = LinkInfo(9, "eth7.5", MAC_A, 1500, kind="vlan", link_index=7, vlan_id=5, vlan_protocol=0x8100)
CAPS = frozenset({"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF"})
NATIVE = XdpCapabilities(frozenset({"basic", "redirect"}))
ROUTE = RouteInfo(DST, "unicast", 7, ME, GW)
BASE = HostFacts(DST, "eth7", "6.12.0-amd64", CAPS, (LO, ETH), ROUTE, ROUTE, "", ETH, ETH,
                 (AddressInfo(7, IPv4Interface("10.0.0.2/24")),), NeighbourInfo(7, GW, Nud.REACHABLE, MAC_B), "ice",
                 None, {}, NATIVE)


def facts(**changes: Any) -> HostFacts:
    return replace(BASE, **changes)


def test_a_fit_host_gives_a_whole_plan() -> None:
    plan = plan_xdp(BASE, XdpWish()).plan
    assert plan is not None
    assert (plan.ifindex, plan.local, plan.mac, plan.mtu) == (7, IPv4Interface("10.0.0.2/24"), MAC_A, 1500)
    assert (plan.next_hop, plan.gateway, plan.next_hop_mac) == (GW, GW, MAC_B)
    assert (plan.queue_cnt, plan.modes, plan.vlan_ids, plan.dedicated) == (4, ("native", "generic"), (), False)
    assert plan.warnings == ()
    assert plan.watch_indexes == (7,)


def test_a_destination_on_the_link_is_its_own_next_hop() -> None:
    near = IPv4Address("10.0.0.9")
    route = RouteInfo(near, "unicast", 7, ME)
    plan = plan_xdp(facts(destination=near, route=route, kernel_route=route), XdpWish()).plan
    assert plan is not None
    assert (plan.next_hop, plan.gateway) == (near, None)
    assert plan.next_hop_mac is None, "the neighbour in the facts is another one"


def test_an_unusable_neighbour_is_left_to_be_resolved() -> None:
    plan = plan_xdp(facts(neighbour=NeighbourInfo(7, GW, Nud.FAILED, MAC_B)), XdpWish()).plan
    assert plan is not None
    assert plan.next_hop_mac is None
    nl = FakeNetlink(ETH)
    nl.neighbour_table = [NeighbourInfo(7, GW, Nud.REACHABLE, MAC_B)]
    assert next_hop_mac(nl, plan) == MAC_B


def test_mtu_of_the_route_and_of_one_frame() -> None:
    plan = plan_xdp(facts(route=replace(ROUTE, mtu=1300)), XdpWish()).plan
    assert plan is not None
    assert (plan.mtu, plan.route_mtu) == (1500, 1300)
    jumbo = replace(ETH, mtu=9000)
    plan = plan_xdp(facts(top=jumbo, lower=jumbo), XdpWish()).plan
    assert plan is not None
    assert (plan.modes, plan.mtu) == (("generic",), 3046)
    assert "its MTU is 9000, native XDP takes at most 3046" in plan.warnings[0]


def test_vlan_ids_and_the_interface_below() -> None:
    plan = plan_xdp(facts(links=(LO, ETH, VLAN), top=VLAN), XdpWish()).plan
    assert plan is not None
    assert (plan.lower, plan.top, plan.vlan_ids, plan.watch_indexes) == (ETH, VLAN, (5,), (7, 9))


def test_channels_say_how_many_queues() -> None:
    plan = plan_xdp(facts(channels=Channels(0, 0, 2, 0, 0, 8)), XdpWish()).plan
    assert plan is not None
    assert plan.queue_cnt == 2


@pytest.mark.parametrize(("changes", "text"), [
    ({"release": "5.4.0-100"}, "kernel: 5.4.0-100 is too old"),
    ({"capabilities": frozenset()}, "privileges: CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF missing"),
    ({"lower": None, "top": None, "wanted": "eth9"}, "find interface eth9: there is none of that name; there are: "
                                                     "eth7, lo"),
    ({"lower": None, "top": None, "wanted": None, "route_error": "Network is unreachable"},
     "route to 203.0.113.5: Network is unreachable"),
    ({"lower": LO, "top": LO}, "interface lo: it is the loopback interface"),
    ({"lower": replace(ETH, up=False)}, "interface eth7: it is down"),
    ({"lower": replace(ETH, carrier=False)}, "interface eth7: no carrier"),
    ({"lower": replace(ETH, mac=b"")}, "interface eth7: it has no Ethernet address"),
    ({"addresses": ()}, "interface eth7: it has no IPv4 address"),
    ({"route": None, "kernel_route": replace(ROUTE, out_index=1)},
     "route to 203.0.113.5: not through eth7: the kernel's route goes through lo"),
    ({"route": None, "kernel_route": None, "route_error": "Network is unreachable"},
     "route to 203.0.113.5: Network is unreachable"),
    ({"destination": IPv4Address("127.0.0.1")}, "route to 127.0.0.1: the destination is this host"),
    ({"kernel_route": replace(ROUTE, kind="local")}, "route to 203.0.113.5: the destination is this host"),
    ({"kernel_route": replace(ROUTE, kind="multicast")}, "route to 203.0.113.5: the destination is multicast"),
    ({"lower": replace(ETH, xdp=(XdpAttached("native", 42),))},
     "attach to eth7: another XDP program is there: program 42 (native)"),
    ({"channels": Channels(0, 0, 128, 0, 0, 128)}, "bind the queues of eth7: it has 128"),
    ({"links": (LO, ETH, VLAN), "top": VLAN, "features": {"rx-vlan-hw-parse": Feature(True, False)}},
     "VLANs of eth7: the NIC removes the tags"),
    ({"links": (LO, ETH, replace(VLAN, vlan_protocol=0x88A8)), "top": replace(VLAN, vlan_protocol=0x88A8)},
     "VLAN eth7.5: its tags are 802.1ad"),
])
def test_each_obstacle_is_named(changes: dict[str, Any], text: str) -> None:
    if "lower" in changes and changes["lower"] is not None and "top" not in changes:
        changes = {**changes, "top": changes["lower"]}
    decision = plan_xdp(facts(**changes), XdpWish())
    assert decision.plan is None
    assert text in decision.reason
    assert isinstance(decision.error(), SetupError)


def test_a_port_of_a_bridge_names_its_master() -> None:
    bridge = LinkInfo(20, "br0", MAC_A, 1500, kind="bridge")
    port = replace(ETH, master_index=20)
    decision = plan_xdp(facts(links=(port, bridge), lower=port, top=port, route=None,
                              kernel_route=replace(ROUTE, out_index=20)), XdpWish())
    assert "eth7 is a port of br0, which has the route" in decision.reason


def test_every_obstacle_is_told_and_the_first_is_raised() -> None:
    decision = plan_xdp(facts(capabilities=frozenset(), addresses=()), XdpWish())
    assert [o.step for o in decision.obstacles] == ["privileges", "interface eth7"]
    error = decision.error()
    assert error.step == "privileges"
    assert "also: interface eth7: it has no IPv4 address" in error.cause
    assert error.hint


def test_replace_takes_the_place_of_another_program() -> None:
    busy = replace(ETH, xdp=(XdpAttached("generic", 42),))
    plan = plan_xdp(facts(lower=busy, top=busy), XdpWish(replace=True)).plan
    assert plan is not None
    assert plan.replaces == (42,)


@pytest.mark.parametrize(("wish", "xdp", "driver", "peer_mtu", "modes", "text"), [
    ("auto", NATIVE, "ice", None, ("native", "generic"), ""),
    ("native", NATIVE, "ice", None, ("native",), ""),
    ("generic", NATIVE, "ice", None, ("generic",), ""),
    ("auto", XdpCapabilities(), "tg3", None, ("generic",), "generic mode: driver tg3 has no native XDP"),
    ("native", XdpCapabilities(), "tg3", None, None, "driver tg3 has no native XDP"),
    ("auto", None, "ice", None, ("native", "generic"), ""),
    ("auto", None, "tg3", None, ("generic",), "generic mode: driver tg3 has no native XDP"),
    ("auto", NATIVE, "veth", 9000, ("generic",), "the MTU of its peer is 9000, native XDP takes at most 3506"),
    ("native", NATIVE, "veth", 9000, None, "the MTU of its peer is 9000"),
])
def test_modes(wish: Any, xdp: XdpCapabilities | None, driver: str, peer_mtu: int | None,
               modes: tuple[str, ...] | None, text: str) -> None:
    decision = plan_xdp(facts(xdp=xdp, driver=driver, peer_mtu=peer_mtu), XdpWish(mode=wish))
    if modes is None:
        assert decision.plan is None
        assert text in decision.reason
    else:
        assert decision.plan is not None
        assert decision.plan.modes == modes
        assert text in "; ".join(decision.plan.warnings)


def test_dedicated_mode_uses_its_own_address_and_the_hosts_gateway() -> None:
    plan = plan_xdp(facts(addresses=()), XdpWish(address="10.0.0.50/24")).plan
    assert plan is not None
    assert plan.dedicated
    assert (plan.local, plan.next_hop, plan.next_hop_mac) == (IPv4Interface("10.0.0.50/24"), GW, None)


@pytest.mark.parametrize(("address", "changes", "text"), [
    ("10.0.0.2/24", {}, "address 10.0.0.2/24: the host has it already"),
    ("172.16.0.2/24", {}, "the gateway 10.0.0.1 is outside 172.16.0.0/24"),
    ("10.0.0.50/24", {"route": replace(ROUTE, gateway=None)}, "the host has no gateway"),
])
def test_dedicated_mode_obstacles(address: str, changes: dict[str, Any], text: str) -> None:
    assert text in plan_xdp(facts(**changes), XdpWish(address=address)).reason


@pytest.mark.parametrize("address", ["10.0.0.50", "10.0.0.300/24", "10.0.0.0/24", "10.0.0.255/24", "127.0.0.1/8", "x"])
def test_bad_addresses_are_the_callers_mistake(address: str) -> None:
    with pytest.raises(UsageError):
        plan_xdp(BASE, XdpWish(address=address))


def test_gather_finds_the_vlan_that_the_route_takes() -> None:
    nl = FakeNetlink(LO, ETH, VLAN)
    route = RouteInfo(DST, "unicast", 9, ME, GW)
    nl.route_table = {(DST, None): route, (DST, 9): route}
    nl.address_table = [AddressInfo(9, IPv4Interface("10.0.0.2/24"))]
    nl.neighbour_table = [NeighbourInfo(9, GW, Nud.STALE, MAC_B)]
    for name in ("eth7", "eth7.5", None):
        found = gather(name, DST, nl)
        assert (found.lower, found.top, found.route) == (ETH, VLAN, route)
        assert found.neighbour == nl.neighbour_table[0]
        assert found.xdp is None


def test_gather_of_what_is_not_there_tells_in_the_facts() -> None:
    nl = FakeNetlink(LO, ETH)
    found = gather("eth9", DST, nl)
    assert (found.lower, found.route_error) == (None, "Network is unreachable")
    found = gather("eth7", DST, nl)
    assert (found.lower, found.route, found.route_error) == (ETH, None, "Network is unreachable")
    assert gather(None, DST, nl).top is None


def test_find_link_by_name_and_alternative_name() -> None:
    named = replace(ETH, alt_names=("enp1s0",))
    assert find_link([LO, named], "enp1s0") is named
    with pytest.raises(SetupError, match="there are: eth7, lo"):
        find_link([LO, ETH], "eth0")


def test_lower_link_collects_tags_outer_first() -> None:
    inner = LinkInfo(11, "eth7.5.6", MAC_A, 1500, kind="vlan", link_index=9, vlan_id=6)
    assert lower_link([ETH, VLAN, inner], inner) == (ETH, (5, 6))
    assert lower_link([ETH], ETH) == (ETH, ())
    moved = replace(VLAN, link_nsid=0)
    assert lower_link([ETH, moved], moved) == (moved, ())


@pytest.mark.parametrize(("release", "version"), [
    ("6.18.44-fc-v595", (6, 18)), ("6.1.0-56-amd64", (6, 1)), ("5.15", (5, 15)), ("4.19+", (4, 19)), ("x", (0, 0)),
])
def test_kernel_versions(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


def test_mtu_limits() -> None:
    assert (mtu_limit("veth"), mtu_limit("ena"), mtu_limit("mlx5_core"), mtu_limit("")) == (3506, 3498, 3498, 3506)


def test_capabilities() -> None:
    status = "Name:\tx\nCapEff:\t000001ffffffffff\n"
    assert missing_capabilities(capabilities_of(status)) == ()
    only_admin = capabilities_of(f"CapEff:\t{1 << 12:016x}\n")
    assert missing_capabilities(only_admin) == ("CAP_NET_RAW", "CAP_BPF")
    old = capabilities_of(f"CapEff:\t{1 << 12 | 1 << 13 | 1 << 21:016x}\n")
    assert missing_capabilities(old) == (), "CAP_SYS_ADMIN stands for CAP_BPF"
    assert capabilities_of("") == frozenset()
