"""Whether a destination can be reached over AF_XDP, and with which settings.

`gather` reads the facts (netlink, ethtool, /proc), `plan_xdp` decides and is pure:

    facts = gather("eth0", IPv4Address("192.0.2.1"))
    decision = plan_xdp(facts, XdpWish())
    if decision.plan is None:
        raise decision.error()              # or, with transport="auto": use the socket and say decision.reason
    mac = next_hop_mac(nl, decision.plan)   # may block while the kernel resolves
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Literal

from xdpws.control.host_facts import HostFacts, gather
from xdpws.control.limits import KERNEL_MIN, MAX_QUEUES, NATIVE_DRIVERS, kernel_version, mtu_limit
from xdpws.control.link import lower_link
from xdpws.control.model import LinkInfo, XdpCapabilities
from xdpws.control.neighbour import RESOLVE_S, resolve
from xdpws.control.netlink import Netlink
from xdpws.control.privilege import missing_capabilities
from xdpws.errors import SetupError, UsageError

__all__ = ["Decision", "HostFacts", "Obstacle", "XdpPlan", "XdpWish", "gather", "native_supported", "next_hop_mac",
           "parse_own_address", "plan_xdp"]

Mode = Literal["native", "generic"]
_CTAG = 0x8100


@dataclass(frozen=True, slots=True)
class XdpWish:
    """What the user asked for: attach mode, an address of the stack's own ("IP/LEN", None: the host's), and whether
    another XDP program on the interface is to be replaced."""

    mode: Literal["auto", "native", "generic"] = "auto"
    address: str | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why AF_XDP cannot be had, with what to type."""

    step: str
    cause: str
    hint: str = ""

    def error(self) -> SetupError:
        """The same as an exception."""
        return SetupError(self.step, self.cause, self.hint)


@dataclass(frozen=True, slots=True)
class XdpPlan:
    """All that attaching for one destination needs.

    The program goes to `lower` (`ifindex`, all of `queue_cnt` queues from 0), in the first of `modes` that the kernel
    accepts. Packets carry `mac` as source and `vlan_ids`, outer first. `next_hop` is a neighbour on `top`; `gateway`
    is None on the own link. `mtu` is what one frame may carry; `route_mtu` is of the route (None: the same).
    `warnings` are things that work, but not as well as they could.
    """

    destination: IPv4Address
    lower: LinkInfo
    top: LinkInfo
    dedicated: bool
    local: IPv4Interface
    mac: bytes
    mtu: int
    vlan_ids: tuple[int, ...]
    next_hop: IPv4Address
    gateway: IPv4Address | None
    next_hop_mac: bytes | None
    route_mtu: int | None
    queue_cnt: int
    modes: tuple[Mode, ...]
    replaces: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ifindex(self) -> int:
        """Index of the interface that the program is attached to."""
        return self.lower.index

    @property
    def watch_indexes(self) -> tuple[int, ...]:
        """The interfaces for `NeighbourWatch`."""
        return tuple(dict.fromkeys((self.lower.index, self.top.index)))


@dataclass(frozen=True, slots=True)
class Decision:
    """Either a plan, or at least one obstacle."""

    plan: XdpPlan | None
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def reason(self) -> str:
        """Why AF_XDP is not possible, for people; "" if it is."""
        return "; ".join(f"{o.step}: {o.cause}" for o in self.obstacles)

    def error(self) -> SetupError:
        """The first obstacle as an exception, with the others named in its cause."""
        first = self.obstacles[0]
        more = "".join(f"; also: {o.step}: {o.cause}" for o in self.obstacles[1:])
        return SetupError(first.step, first.cause + more, first.hint)


def plan_xdp(facts: HostFacts, wish: XdpWish) -> Decision:
    """The plan for AF_XDP, or every obstacle that can be told from the facts. Raises `UsageError` for a bad address."""
    own = parse_own_address(wish.address)
    obstacles = list(_host_obstacles(facts))
    if _is_local(facts):
        obstacles.append(Obstacle(f"route to {facts.destination}", "the destination is this host",
                                  "--transport socket"))
        return Decision(None, tuple(obstacles))
    obstacles += _link_obstacles(facts)
    if facts.lower is None or facts.top is None:
        return Decision(None, tuple(obstacles))
    obstacles += _route_obstacles(facts, own)
    modes, warnings, refused = _choose_modes(facts, facts.lower, wish.mode)
    obstacles += refused
    if facts.lower.xdp and not wish.replace:
        obstacles.append(_occupied(facts.lower))
    queues = facts.channels.receive if facts.channels and facts.channels.receive else facts.lower.rx_queues
    if queues > MAX_QUEUES:
        obstacles.append(Obstacle(f"bind the queues of {facts.lower.name}", f"it has {queues}, at most {MAX_QUEUES} "
                                  "can be served", f"ethtool -L {facts.lower.name} combined {MAX_QUEUES}"))
    if obstacles:
        return Decision(None, tuple(obstacles))
    return Decision(_plan(facts, facts.lower, facts.top, own, queues, modes, warnings))


def parse_own_address(text: str | None) -> IPv4Interface | None:
    """The value of --address ("IP/LEN"). Raises `UsageError`."""
    if text is None:
        return None
    try:
        own = IPv4Interface(text)
    except ValueError as e:
        raise UsageError(f"address {text!r}: {e}") from e
    net = own.network
    if "/" not in text:
        raise UsageError(f"address {text!r} lacks the length of its network, as in {text}/24")
    if net.prefixlen < 31 and own.ip in (net.network_address, net.broadcast_address):
        raise UsageError(f"address {text!r} is the network or broadcast address of {net}")
    if own.ip.is_loopback or own.ip.is_multicast or own.ip.is_unspecified:
        raise UsageError(f"address {text!r} cannot be a host's")
    return own


def _is_local(facts: HostFacts) -> bool:
    kernel = facts.kernel_route
    return facts.destination.is_loopback or (kernel is not None and kernel.kind == "local")


def _host_obstacles(facts: HostFacts) -> Iterator[Obstacle]:
    if kernel_version(facts.release) < KERNEL_MIN:
        yield Obstacle("kernel", f"{facts.release} is too old: AF_XDP by a BPF link needs "
                       f"{KERNEL_MIN[0]}.{KERNEL_MIN[1]}", "uname -r")
    missing = missing_capabilities(facts.capabilities)
    if missing:
        yield Obstacle("privileges", f"{', '.join(missing)} missing", "sudo, or setcap on the interpreter")


def _link_obstacles(facts: HostFacts) -> Iterator[Obstacle]:
    if facts.lower is None or facts.top is None:
        if facts.wanted is not None:
            names = ", ".join(sorted(link.name for link in facts.links))
            yield Obstacle(f"find interface {facts.wanted}", f"there is none of that name; there are: {names}",
                           "ip -br link")
        else:
            yield Obstacle(f"route to {facts.destination}", facts.route_error or "there is none",
                           f"ip route get {facts.destination}")
        return
    if facts.lower.loopback:
        yield Obstacle(f"interface {facts.lower.name}", "it is the loopback interface", "name a network interface")
        return
    if len(facts.lower.mac) != 6:
        yield Obstacle(f"interface {facts.lower.name}", "it has no Ethernet address", "name an Ethernet interface")
    for link in dict.fromkeys((facts.lower, facts.top)):
        if not link.up:
            yield Obstacle(f"interface {link.name}", "it is down", f"ip link set {link.name} up")
        elif not link.carrier:
            yield Obstacle(f"interface {link.name}", "no carrier", f"ethtool {link.name}")
    if facts.top is not facts.lower:
        yield from _vlan_obstacles(facts, facts.lower)


def _vlan_obstacles(facts: HostFacts, lower: LinkInfo) -> Iterator[Obstacle]:
    _, tags = lower_link(facts.links, facts.top) if facts.top else (lower, ())
    if len(tags) > 2:
        yield Obstacle(f"VLANs of {lower.name}", f"{len(tags)} tags, at most two are supported")
    if facts.top is not None and facts.top.vlan_protocol not in (None, _CTAG):
        yield Obstacle(f"VLAN {facts.top.name}", "its tags are 802.1ad; only 802.1Q is supported")
    strip = facts.features.get("rx-vlan-hw-parse")
    if lower.kind == "" and strip is not None and strip.on:
        yield Obstacle(f"VLANs of {lower.name}", "the NIC removes the tags before the program sees them",
                       f"ethtool -K {lower.name} rxvlan off")


def _route_obstacles(facts: HostFacts, own: IPv4Interface | None) -> Iterator[Obstacle]:
    step = f"route to {facts.destination}"
    kernel = facts.kernel_route
    if kernel is not None and kernel.kind != "unicast":
        yield Obstacle(step, f"the destination is {kernel.kind}", f"ip route get {facts.destination}")
        return
    if own is not None:
        yield from _own_address_obstacles(facts, own)
        return
    if not facts.addresses:
        name = facts.top.name if facts.top else "?"
        yield Obstacle(f"interface {name}", "it has no IPv4 address", f"ip address add IP/LEN dev {name}")
    elif facts.route is None:
        yield _no_route(facts, step)
    elif facts.route.source is None:
        yield Obstacle(step, "the kernel names no source address", f"ip route get {facts.destination}")


def _no_route(facts: HostFacts, step: str) -> Obstacle:
    cause = facts.route_error or "there is none"
    if facts.kernel_route is not None and facts.lower is not None:
        via = facts.link_name(facts.kernel_route.out_index)
        cause = f"not through {facts.lower.name}: the kernel's route goes through {via}"
        if facts.lower.master_index == facts.kernel_route.out_index:
            cause = f"{facts.lower.name} is a port of {via}, which has the route"
    return Obstacle(step, cause, f"ip route get {facts.destination}")


def _own_address_obstacles(facts: HostFacts, own: IPv4Interface) -> Iterator[Obstacle]:
    """Dedicated mode: the address must be free, and the next hop within its network."""
    if any(a.address.ip == own.ip for a in facts.addresses):
        yield Obstacle(f"address {own}", "the host has it already", "leave out --address to share it")
    if facts.destination in own.network:
        return
    gateway = facts.route.gateway if facts.route else None
    if gateway is None:
        yield Obstacle(f"route to {facts.destination}", f"it is outside {own.network}, and the host has no gateway for "
                       "it on this interface", f"ip route get {facts.destination}")
    elif gateway not in own.network:
        yield Obstacle(f"route to {facts.destination}", f"the gateway {gateway} is outside {own.network}")


def _occupied(link: LinkInfo) -> Obstacle:
    which = ", ".join(f"program {x.prog_id} ({x.mode})" for x in link.xdp)
    return Obstacle(f"attach to {link.name}", f"another XDP program is there: {which}",
                    f"bpftool prog show id {link.xdp[0].prog_id}, then --replace or ip link set {link.name} xdp off")


def native_supported(driver: str, xdp: XdpCapabilities | None) -> bool:
    """Whether the driver runs XDP programs and redirects: as the kernel says, or as known for older kernels."""
    if xdp is not None:
        return {"basic", "redirect"} <= xdp.features
    return driver in NATIVE_DRIVERS


def _choose_modes(facts: HostFacts, lower: LinkInfo,
                  wanted: str) -> tuple[tuple[Mode, ...], list[str], list[Obstacle]]:
    """(modes to try in order, warnings, obstacles)"""
    step = f"attach to {lower.name}"
    limit = mtu_limit(facts.driver)
    mtu = facts.peer_mtu if facts.peer_mtu is not None else lower.mtu  # a veth is bounded by what its peer may send
    why = hint = ""
    if not native_supported(facts.driver, facts.xdp):
        why, hint = f"driver {facts.driver or 'unknown'} has no native XDP", "--mode generic"
    elif mtu > limit:
        owner = "the MTU of its peer" if facts.peer_mtu is not None else "its MTU"
        why, hint = f"{owner} is {mtu}, native XDP takes at most {limit}", f"ip link set {lower.name} mtu {limit}"
    warnings = [f"MTU {lower.mtu} is above {limit}: larger packets of other senders are not steered"]
    warnings = warnings if lower.mtu > limit else []
    if wanted == "generic":
        return ("generic",), warnings, []
    if not why:
        return (("native",) if wanted == "native" else ("native", "generic")), warnings, []
    if wanted == "native":
        return (), [], [Obstacle(step, why, hint)]
    return ("generic",), [f"generic mode: {why}", *warnings], []


def _plan(facts: HostFacts, lower: LinkInfo, top: LinkInfo, own: IPv4Interface | None, queues: int,
          modes: tuple[Mode, ...], warnings: list[str]) -> XdpPlan:
    """The plan, once nothing is in the way."""
    _, tags = lower_link(facts.links, top)
    route = facts.route
    gateway = route.gateway if route is not None else None
    if own is not None:
        local = own
        gateway = None if facts.destination in own.network else gateway
    else:
        source = route.source if route is not None else None
        assert source is not None  # else it was an obstacle
        local = next((a.address for a in facts.addresses if a.address.ip == source), IPv4Interface((source, 32)))
    next_hop = gateway or facts.destination
    known = facts.neighbour
    mac = known.mac if own is None and known is not None and known.usable and known.ip == next_hop else None
    limit = mtu_limit(facts.driver)
    mtu = min(top.mtu, limit)
    route_mtu = min(route.mtu, mtu) if route is not None and route.mtu else None
    return XdpPlan(facts.destination, lower, top, own is not None, local, top.mac, mtu, tags, next_hop, gateway, mac,
                   route_mtu, queues, modes, tuple(x.prog_id for x in lower.xdp), tuple(warnings))


def next_hop_mac(nl: Netlink, plan: XdpPlan, timeout_s: float = RESOLVE_S) -> bytes:
    """The MAC for the plan's next hop (shared mode); blocks while the kernel resolves it. Raises `SetupError`."""
    if plan.next_hop_mac is not None:
        return plan.next_hop_mac
    mac = resolve(nl, plan.top, plan.next_hop, timeout_s).mac
    assert mac is not None  # a usable entry has one
    return mac
