"""Interfaces: finding one by name, and changes to one as steps of a plan."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from xdpws.control.ethtool import Ethtool
from xdpws.control.model import LinkInfo
from xdpws.control.netlink import Netlink
from xdpws.control.plan import Plan, Step
from xdpws.errors import SetupError


def find_link(links: Iterable[LinkInfo], name: str) -> LinkInfo:
    """The interface of that name (or alternative name). `SetupError` names those that exist."""
    known = list(links)
    for link in known:
        if link.name == name or name in link.alt_names:
            return link
    names = ", ".join(sorted(link.name for link in known)) or "none"
    raise SetupError(f"find interface {name}", f"there is none of that name; there are: {names}", "ip -br link")


def lower_link(links: Iterable[LinkInfo], link: LinkInfo) -> tuple[LinkInfo, tuple[int, ...]]:
    """The interface that carries the frames of `link`, and the VLAN ids they bear there, outer first.

    An interface that is no VLAN carries its own. A VLAN whose parent is in another namespace is returned as it is.
    """
    by_index = {each.index: each for each in links}
    tags: list[int] = []
    while link.kind == "vlan" and link.link_nsid is None and link.link_index in by_index:
        if link.vlan_id is not None:
            tags.insert(0, link.vlan_id)
        link = by_index[link.link_index]
    return link, tuple(tags)


def mtu_step(nl: Netlink, link: LinkInfo, mtu: int) -> Step:
    """Sets the MTU; taken back to what `link` says."""
    return Step(f"{link.name}: mtu {link.mtu} to {mtu}", lambda: nl.set_link(link.index, mtu=mtu),
                lambda: nl.set_link(link.index, mtu=link.mtu), f"ip link set {link.name} mtu {mtu}")


def up_step(nl: Netlink, link: LinkInfo) -> Step:
    """Brings the interface up; taken back to down."""
    return Step(f"{link.name}: up", lambda: nl.set_link(link.index, up=True),
                lambda: nl.set_link(link.index, up=False), f"ip link set {link.name} up")


def feature_step(tool: Ethtool, name: str, wanted: Mapping[str, bool]) -> Step | None:
    """Switches offloads of an interface all at once (some depend on others, so that one by one they could not be
    switched back). None if all are as wanted already; those that the interface lacks are left out. One that is fixed
    otherwise makes the step fail with the reason."""
    now = tool.features(name)
    change = {feature: on for feature, on in wanted.items() if feature in now and now[feature].on != on}
    if not change:
        return None
    before = {feature: now[feature].on for feature in change}
    words = [f"{feature} {'on' if on else 'off'}" for feature, on in change.items()]
    return Step(f"{name}: {', '.join(words)}", lambda: tool.set_features(name, change),
                lambda: tool.set_features(name, before), f"ethtool -K {name} {' '.join(words)}")


#: Offloads whose work arrives half done on a virtual link, by the kernel's names: what the sender must do itself.
PEER_OFFLOADS_OFF = ("tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-generic-segmentation")
#: Offloads that merge received segments: the stack would see frames that were never on the wire.
MERGE_OFFLOADS_OFF = ("rx-gro", "rx-lro", "rx-gro-hw")


def wire_like_plan(tool: Ethtool, names: Iterable[str]) -> Plan:
    """Makes veth interfaces of this namespace carry whole, checksummed frames, as a wire would."""
    wanted = dict.fromkeys(PEER_OFFLOADS_OFF + MERGE_OFFLOADS_OFF, False)
    steps = (feature_step(tool, name, wanted) for name in names)
    return Plan("offloads of the test link", tuple(step for step in steps if step is not None))
