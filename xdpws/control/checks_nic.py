"""Checks of the interface itself: state, driver, XDP, MTU, queues, offloads. Pure: facts in, checks out."""
from __future__ import annotations

from collections.abc import Iterator

from xdpws.control.checks import Check, fail, listed, ok, warn
from xdpws.control.ethtool import Feature
from xdpws.control.facts import Facts
from xdpws.control.host import native_supported
from xdpws.control.limits import MAX_QUEUES, mtu_limit

#: What a veth's peer must not leave to us: (kernel's name of the offload, ethtool -K's word).
_PEER_OFFLOADS = (("tx-checksum-ip-generic", "tx"), ("tx-tcp-segmentation", "tso"),
                  ("tx-generic-segmentation", "gso"))


def nic_checks(facts: Facts) -> Iterator[Check]:
    """All checks of the interface."""
    yield _link(facts)
    yield _address(facts)
    yield _driver(facts)
    yield _native(facts)
    yield _zero_copy(facts)
    yield _nic_time(facts)
    yield _occupied(facts)
    yield _mtu(facts)
    yield from _queues(facts)
    yield from _merging(facts)
    yield from _peer(facts)
    yield from _vlan(facts)


def _link(facts: Facts) -> Check:
    link = facts.link
    if link.loopback:
        return fail("link", f"{link.name} is the loopback interface")
    if not link.up:
        return fail("link", "down", f"ip link set {link.name} up")
    if not link.carrier:
        peer = facts.peer
        up = f"{peer.prefix}ip link set {peer.name} up" if peer else f"ethtool {link.name}"
        return fail("link", "no carrier", up)
    if link.master_index is not None:
        return warn("link", "up, port of a bridge or bond: addresses and routes are those of its master")
    return ok("link", "up, carrier")


def _address(facts: Facts) -> Check:
    if facts.addresses:
        return ok("address", listed(str(a.address) for a in facts.addresses))
    return fail("address", "no IPv4 address (shared mode needs one; --address gives the stack its own)",
                f"ip address add IP/LEN dev {facts.link.name}")


def _driver(facts: Facts) -> Check:
    if facts.driver is None:
        return warn("driver", f"{facts.link.kind or 'unknown'}, does not tell its version")
    firmware = f", firmware {facts.driver.firmware}" if facts.driver.firmware not in ("", "N/A") else ""
    return ok("driver", f"{facts.driver.driver} {facts.driver.version}{firmware}")


def _native(facts: Facts) -> Check:
    driver = facts.driver_name or "unknown"
    if not native_supported(facts.driver_name, facts.xdp):
        return warn("native XDP", f"driver {driver} has none: generic mode only, slower",
                    f"xdpws attach {facts.link.name} URL --mode generic")
    if facts.xdp is None:
        return ok("native XDP", f"driver {driver} is known to have it (this kernel does not tell)")
    return ok("native XDP", listed(facts.xdp.features))


def _zero_copy(facts: Facts) -> Check:
    if facts.xdp is None:
        return warn("zero-copy", "this kernel does not tell (6.3 and later do); attaching will show")
    if "xsk-zerocopy" not in facts.xdp.features:
        return warn("zero-copy", f"driver {facts.driver_name} copies each frame")
    return ok("zero-copy", f"yes, up to {facts.xdp.zc_max_segs or 1} buffers a packet")


def _nic_time(facts: Facts) -> Check:
    if facts.xdp is None:
        return warn("NIC time", "this kernel has no receive-timestamp kfunc (6.3 and later do)")
    if "timestamp" not in facts.xdp.rx_metadata:
        return warn("NIC time", f"driver {facts.driver_name} does not give the receive timestamp to XDP")
    if facts.link.kind == "veth":
        return ok("NIC time", "kfunc present (a veth has no clock: its time is 'none')")
    return ok("NIC time", f"XDP metadata: {listed(facts.xdp.rx_metadata)}")


def _occupied(facts: Facts) -> Check:
    if not facts.link.xdp:
        return ok("XDP program", "none attached")
    names = dict(enumerate(facts.xdp_names))
    which = ", ".join(f"{names.get(i) or 'unnamed'} (id {x.prog_id}, {x.mode})" for i, x in enumerate(facts.link.xdp))
    return fail("XDP program", f"another one is attached: {which}; attach would need --replace",
                f"bpftool prog show id {facts.link.xdp[0].prog_id}; ip link set {facts.link.name} xdp off")


def _mtu(facts: Facts) -> Check:
    limit = mtu_limit(facts.driver_name)
    if facts.peer is not None and facts.peer.mtu > limit:
        return fail("MTU", f"{facts.link.mtu}; the peer's is {facts.peer.mtu}, native XDP takes at most {limit}",
                    f"{facts.peer.prefix}ip link set {facts.peer.name} mtu 1500")
    if facts.link.mtu > limit:
        return fail("MTU", f"{facts.link.mtu}; native XDP on {facts.driver_name or 'it'} takes at most {limit}",
                    f"ip link set {facts.link.name} mtu {limit if limit < 1500 else 1500}")
    return ok("MTU", f"{facts.link.mtu} (at most {limit})")


def _queues(facts: Facts) -> Iterator[Check]:
    name = facts.link.name
    channels = facts.channels
    count = facts.queue_cnt
    if count > MAX_QUEUES:
        yield fail("queues", f"{count} receive queues, at most {MAX_QUEUES} can be served",
                   f"ethtool -L {name} combined {MAX_QUEUES}")
    elif facts.driver_name == "ena" and channels and channels.combined > max(channels.max_combined // 2, 1):
        yield fail("queues", f"{channels.combined} of {channels.max_combined}: ena needs as many again for XDP",
                   f"ethtool -L {name} combined {max(channels.max_combined // 2, 1)}")
    elif count > facts.cpu.online:
        yield warn("queues", f"{count} receive queues for {facts.cpu.online} CPUs",
                   f"ethtool -L {name} combined {facts.cpu.online}")
    else:
        yield ok("queues", f"{count} receive queue{'s' if count > 1 else ''}, all are served")
    yield _irqs(facts)


def _irqs(facts: Facts) -> Check:
    if not facts.irqs:
        return ok("IRQ affinity", "the interface has no interrupts of its own")
    detail = "; ".join(f"{irq.number} {irq.name}: CPU {irq.cpus or '?'}" for irq in facts.irqs)
    free = [irq for irq in facts.irqs if "-" in irq.cpus or "," in irq.cpus]
    if free and facts.cpu.online > 1:
        irq = next((each for each in free if "input" in each.name or "rx" in each.name.lower()), free[0])
        return warn("IRQ affinity", f"not pinned: {detail}", f"echo 0 > /proc/irq/{irq.number}/smp_affinity_list")
    return ok("IRQ affinity", detail)


def _merging(facts: Facts) -> Iterator[Check]:
    """Offloads of this interface that hand over frames which were never on the wire."""
    name = facts.link.name
    if _is_on(facts.features, "rx-lro"):
        yield fail("LRO", "on: drivers refuse native XDP with it, or merge segments before it",
                   f"ethtool -K {name} lro off")
    else:
        yield ok("LRO", "off")
    hw = facts.features.get("rx-gro-hw")
    if hw is None or not hw.on:
        yield ok("GRO in hardware", "off")
    elif hw.fixed:
        yield warn("GRO in hardware", "on, and the driver does not let it be changed: segments may arrive merged")
    else:
        yield warn("GRO in hardware", "on: segments may be merged before the program sees them",
                   f"ethtool -K {name} rx-gro-hw off")
    if facts.link.kind == "veth" and _is_on(facts.features, "rx-gro"):
        yield warn("GRO", "on: what is passed to the kernel is merged, which hides single frames in tests",
                   f"ethtool -K {name} gro off")


def _is_on(features: dict[str, Feature], kernel: str) -> bool:
    found = features.get(kernel)
    return found is not None and found.on


def _peer(facts: Facts) -> Iterator[Check]:
    """On a veth the sender's offloads arrive half done: partial checksums and super-frames."""
    if facts.link.kind != "veth":
        return
    peer = facts.peer
    if peer is None or peer.features is None:
        where = f"{peer.prefix}ethtool -K {peer.name}" if peer else "ethtool -K PEER"
        yield warn("peer offloads", "the peer's namespace cannot be looked into; partial checksums and super-frames "
                   "would be dropped", f"{where} tx off tso off gso off")
        return
    words = [word for kernel, word in _PEER_OFFLOADS if _is_on(peer.features, kernel)]
    if not words:
        yield ok("peer offloads", f"checksum, TSO and GSO of {peer.name} are off")
        return
    yield fail("peer offloads", f"{peer.name} leaves work undone ({', '.join(words)} on): partial checksums or "
               "super-frames arrive, and are dropped",
               f"{peer.prefix}ethtool -K {peer.name} " + " ".join(f"{word} off" for word in words))


def _vlan(facts: Facts) -> Iterator[Check]:
    if not facts.vlans:
        return
    on_it = f"{', '.join(facts.vlans)} on top"
    if facts.link.kind == "veth" and facts.peer is not None and facts.peer.features is not None:
        if _is_on(facts.peer.features, "tx-vlan-hw-insert"):
            yield fail("VLAN tags", f"{on_it}; the peer hands them over beside the frame",
                       f"{facts.peer.prefix}ethtool -K {facts.peer.name} txvlan off")
            return
    elif _is_on(facts.features, "rx-vlan-hw-parse"):
        yield fail("VLAN tags", f"{on_it}; the NIC removes them before the program sees them",
                   f"ethtool -K {facts.link.name} rxvlan off")
        return
    yield ok("VLAN tags", on_it)
