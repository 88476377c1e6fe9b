"""What netlink and ethtool tell about the host, as plain values. IPv4 only; addresses are `ipaddress.IPv4Address`."""
from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv4Address, IPv4Interface, IPv4Network


class Nud(IntFlag):
    """Neighbour states of <linux/neighbour.h>."""

    NONE = 0
    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20
    NOARP = 0x40
    PERMANENT = 0x80


#: States in which the kernel itself would send to the entry's MAC (NUD_VALID).
NUD_USABLE = Nud.REACHABLE | Nud.STALE | Nud.DELAY | Nud.PROBE | Nud.NOARP | Nud.PERMANENT


@dataclass(frozen=True, slots=True)
class XdpAttached:
    """An XDP program on an interface. `mode`: "native", "generic", "offload" or "multi"."""

    mode: str
    prog_id: int


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """An interface as the kernel describes it.

    `kind` is rtnetlink's ("veth", "vlan", "bond", …; "" for hardware), `link_index` the interface below it (for
    veth: its peer's index, which counts in the namespace `link_nsid` if that is not None), `master_index` the bridge
    or bond it is a port of.
    """

    index: int
    name: str
    mac: bytes
    mtu: int
    up: bool = True
    carrier: bool = True
    loopback: bool = False
    kind: str = ""
    rx_queues: int = 1
    tx_queues: int = 1
    xdp: tuple[XdpAttached, ...] = ()
    link_index: int | None = None
    link_nsid: int | None = None
    master_index: int | None = None
    vlan_id: int | None = None
    vlan_protocol: int | None = None
    alt_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressInfo:
    """An IPv4 address of an interface. `secondary`: not the first of its network."""

    index: int
    address: IPv4Interface
    secondary: bool = False


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """The kernel's answer for one destination.

    `kind`: "unicast", "local", "broadcast", "multicast", "blackhole", "unreachable", "prohibit", "behind an IPv6
    gateway" or "other".
    `mtu`: of the route (metric or a learned path MTU), None if it is the interface's.
    `network`: the table entry that matched, None where that was not asked.
    """

    destination: IPv4Address
    kind: str
    out_index: int | None = None
    source: IPv4Address | None = None
    gateway: IPv4Address | None = None
    mtu: int | None = None
    network: IPv4Network | None = None

    @property
    def next_hop(self) -> IPv4Address:
        """The address whose MAC the packets carry: the gateway, or the destination itself on its own link."""
        return self.gateway or self.destination


@dataclass(frozen=True, slots=True)
class NeighbourInfo:
    """An entry of the kernel's ARP table. `mac` is None while it is not known."""

    index: int
    ip: IPv4Address
    state: Nud
    mac: bytes | None = None

    @property
    def usable(self) -> bool:
        """True if the kernel itself would send to `mac` now."""
        return self.mac is not None and bool(self.state & NUD_USABLE)


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """A netlink notification about an interface; `gone`: it was removed."""

    link: LinkInfo
    gone: bool = False


@dataclass(frozen=True, slots=True)
class NeighbourEvent:
    """A netlink notification about a neighbour; `gone`: the entry was removed."""

    neighbour: NeighbourInfo
    gone: bool = False


@dataclass(frozen=True, slots=True)
class RouteEvent:
    """A netlink notification about an IPv4 routing table entry; `out_index` None: several next hops."""

    network: IPv4Network
    gateway: IPv4Address | None
    out_index: int | None
    table: int
    gone: bool = False


Event = LinkEvent | NeighbourEvent | RouteEvent


@dataclass(frozen=True, slots=True)
class NapiInfo:
    """One NAPI context of an interface. None: this kernel does not say."""

    napi_id: int
    irq: int | None = None
    defer_hard_irqs: int | None = None
    gro_flush_timeout_ns: int | None = None


@dataclass(frozen=True, slots=True)
class XdpCapabilities:
    """What the netdev netlink family says an interface can do (kernel 6.3 and later)."""

    features: frozenset[str] = frozenset()
    zc_max_segs: int | None = None
    rx_metadata: frozenset[str] = frozenset()
    xsk_features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Channels:
    """Channel counts of ethtool -l: what is set, and the most that can be set."""

    rx: int
    tx: int
    combined: int
    max_rx: int
    max_tx: int
    max_combined: int

    @property
    def receive(self) -> int:
        """How many receive queues carry packets."""
        return self.rx + self.combined


def mac_text(mac: bytes | None) -> str:
    """A MAC address as people write it; "?" for None."""
    return mac.hex(":") if mac else "?"
