"""The facts that `xdpws doctor` judges, and how they are gathered. Reading only; nothing is sent or changed.

What cannot be told (no privilege, older kernel, another namespace's sysfs) is None or absent, never invented.
"""
from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from xdpws.control.bpf_info import program_name
from xdpws.control.ethtool import DriverInfo, Ethtool, Feature
from xdpws.control.link import find_link, lower_link
from xdpws.control.loader_bcc_child import header_trees
from xdpws.control.model import AddressInfo, Channels, LinkInfo, NapiInfo, XdpCapabilities
from xdpws.control.netlink import Netlink, opened
from xdpws.control.netns import command_prefix, find_namespace, run_in_namespace
from xdpws.control.privilege import memlock_limit, read_capabilities
from xdpws.errors import SetupError

_CPU = Path("/sys/devices/system/cpu")
_LIBRARY_DIRS = ("/usr/lib", "/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a veth. `prefix` goes before a command that is to work on it; `features` None: not visible."""

    name: str
    mtu: int
    prefix: str = ""
    features: dict[str, Feature] | None = None


@dataclass(frozen=True, slots=True)
class Irq:
    """An interrupt of the NIC, its name, and the CPUs it may go to as the kernel lists them ("0-3,5")."""

    number: int
    name: str
    cpus: str


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """How the processors are set. `idle_latency_us`: of the deepest sleep that is allowed; None: not told."""

    online: int
    governors: frozenset[str] = frozenset()
    idle_latency_us: int | None = None
    isolated: str = ""
    irqbalance: bool = False


@dataclass(frozen=True, slots=True)
class SoftwareFacts:
    """What is installed. Versions are "" where a library was not found; `bcc_headers`: where BCC gets its headers."""

    libbpf: str = ""
    libxdp: str = ""
    bcc: bool = False
    bcc_headers: str = ""
    btf: bool = False
    bpf_jit: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about one interface and its host that the checks look at."""

    link: LinkInfo
    release: str
    capabilities: frozenset[str]
    cpu: CpuFacts
    software: SoftwareFacts
    driver: DriverInfo | None = None
    xdp: XdpCapabilities | None = None
    channels: Channels | None = None
    features: dict[str, Feature] = field(default_factory=dict)
    addresses: tuple[AddressInfo, ...] = ()
    vlans: tuple[str, ...] = ()
    peer: Peer | None = None
    irqs: tuple[Irq, ...] = ()
    defer_hard_irqs: int | None = None
    gro_flush_timeout_ns: int | None = None
    hugepages_total: int = 0
    hugepages_free: int = 0
    memlock: int | None = None
    xdp_names: tuple[str, ...] = ()

    @property
    def driver_name(self) -> str:
        """The driver's name, or the kind of a virtual interface; "" if neither is known."""
        return self.driver.driver if self.driver else self.link.kind

    @property
    def queue_cnt(self) -> int:
        """Receive queues that carry packets; all of them are bound."""
        return (self.channels.receive if self.channels else 0) or self.link.rx_queues


def gather_facts(name: str, nl: Netlink | None = None) -> Facts:
    """Reads the facts about an interface. Raises `SetupError` naming the existing ones if there is none of the name."""
    try:
        if nl is not None:
            return _gather(name, nl)
        with opened() as own:
            return _gather(name, own)
    except OSError as e:
        raise SetupError(f"read the settings of {name}", e.strerror or str(e), errno=e.errno) from e


def _gather(name: str, nl: Netlink) -> Facts:
    links = nl.links()
    link = find_link(links, name)
    with Ethtool() as tool:
        driver, channels, features = tool.driver(link.name), tool.channels(link.name), tool.features(link.name)
    napis = nl.napis(link.index)
    sysfs = _sysfs(link)
    vlans = [v for v in links if v.kind == "vlan" and lower_link(links, v)[0].index == link.index]
    addresses = [a for each in (link, *vlans) for a in nl.addresses(each.index)]
    total, free = _hugepages()
    return Facts(
        link=link, release=os.uname().release, capabilities=read_capabilities(), cpu=_cpu(), software=_software(),
        driver=driver, xdp=_xdp(nl, link.index), channels=channels, features=features, addresses=tuple(addresses),
        vlans=tuple(v.name for v in vlans), peer=_peer(nl, link, links), irqs=tuple(_irqs(sysfs, napis)),
        defer_hard_irqs=_napi_value([n.defer_hard_irqs for n in napis], sysfs, "napi_defer_hard_irqs"),
        gro_flush_timeout_ns=_napi_value([n.gro_flush_timeout_ns for n in napis], sysfs, "gro_flush_timeout"),
        hugepages_total=total, hugepages_free=free, memlock=memlock_limit(),
        xdp_names=tuple(program_name(x.prog_id) for x in link.xdp))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.lstrip("-").isdigit() else None


def _xdp(nl: Netlink, index: int) -> XdpCapabilities | None:
    try:
        return nl.xdp_capabilities(index)
    except OSError:
        return None


def _peer(nl: Netlink, link: LinkInfo, links: Iterable[LinkInfo]) -> Peer | None:
    """The other end of a veth, as far as it can be seen from here."""
    if link.kind != "veth" or link.link_index is None:
        return None
    if link.link_nsid is None:
        found = next((each for each in links if each.index == link.link_index), None)
        return Peer(found.name, found.mtu, "", _features(found.name)) if found else None
    try:
        found = nl.link_in(link.link_nsid, link.link_index)
    except OSError:
        return None
    name = found.name
    namespace = find_namespace(nl, link.link_nsid)
    if namespace is None:
        return Peer(name, found.mtu)
    try:
        features = run_in_namespace(namespace, lambda: _features(name))
    except OSError:
        features = None
    return Peer(name, found.mtu, command_prefix(namespace), features)


def _features(name: str) -> dict[str, Feature] | None:
    with Ethtool() as tool:
        try:
            return tool.features(name)
        except OSError:
            return None


def _sysfs(link: LinkInfo) -> Path | None:
    """The interface's folder in sysfs, if the sysfs that is mounted shows this network namespace."""
    path = Path("/sys/class/net", link.name)
    return path if _number(path / "ifindex") == link.index else None


def _napi_value(values: list[int | None], sysfs: Path | None, file: str) -> int | None:
    known = [v for v in values if v is not None]
    if known:
        return min(known)
    return _number(sysfs / file) if sysfs else None


def _irqs(sysfs: Path | None, napis: list[NapiInfo]) -> list[Irq]:
    numbers = {n.irq for n in napis if n.irq}
    for folder in ("device/msi_irqs", "device/../msi_irqs"):  # of the PCI function; virtio's is one further up
        if sysfs is not None and (sysfs / folder).is_dir():
            numbers |= {int(p.name) for p in (sysfs / folder).iterdir() if p.name.isdigit()}
    names = interrupt_names(_text(Path("/proc/interrupts")))
    return [Irq(n, names.get(n, ""), _text(Path(f"/proc/irq/{n}/smp_affinity_list"))) for n in sorted(numbers)
            if n in names]


def interrupt_names(text: str) -> dict[int, str]:
    """Number to device name, from the text of /proc/interrupts."""
    found = {}
    for line in text.splitlines():
        number, colon, rest = line.strip().partition(":")
        if colon and number.isdigit() and rest.split():
            found[int(number)] = rest.split()[-1]
    return found


def _hugepages() -> tuple[int, int]:
    folder = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    return _number(folder / "nr_hugepages") or 0, _number(folder / "free_hugepages") or 0


def _cpu() -> CpuFacts:
    governors = frozenset(g for p in _CPU.glob("cpu[0-9]*/cpufreq/scaling_governor") if (g := _text(p)))
    latencies = [_number(state / "latency") or 0 for state in _CPU.glob("cpu0/cpuidle/state*")
                 if _number(state / "disable") != 1]
    return CpuFacts(os.cpu_count() or 1, governors, max(latencies) if latencies else None, _text(_CPU / "isolated"),
                    any(_text(p) == "irqbalance" for p in Path("/proc").glob("[0-9]*/comm")))


def _software() -> SoftwareFacts:
    return SoftwareFacts(
        library_version("libbpf"), library_version("libxdp"), _has_module("bcc"), _bcc_headers(os.uname().release),
        Path("/sys/kernel/btf/vmlinux").exists(), _number(Path("/proc/sys/net/core/bpf_jit_enable")))


def _has_module(name: str) -> bool:
    """Whether Python would find a module; it is not imported."""
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def library_version(name: str) -> str:
    """The version of an installed shared library by its file's name (libxdp.so.1 → libxdp.so.1.3.1); "" if none."""
    for folder in _LIBRARY_DIRS:
        for path in sorted([*Path(folder).glob(f"{name}.so.[0-9]*"), *Path(folder).glob(f"*/{name}.so.[0-9]*")]):
            return path.resolve().name.partition(".so.")[2]
    return ""


def _bcc_headers(release: str) -> str:
    """Where `--loader bcc` would find kernel headers; "" if nowhere."""
    for path in (os.environ.get("BCC_KERNEL_SOURCE", ""), f"/lib/modules/{release}/build"):
        if path and Path(path).is_dir():
            return path
    trees = header_trees()  # of another version: good enough, and merged by the loader
    return trees[0] if trees else ""
