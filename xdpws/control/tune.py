"""What of a host can be set for the lowest latency on an interface, as a plan: shown, applied, and undone later.

`gather_tune` reads, `decide` says what should be (data in, data out), `tune_plan` makes the steps. What was there
before is in a state file under /run, so that another process can undo it (`tune_state`). What belongs to a process (its
core, priority, memory, the idle states while it runs) is `tune_process`'s. docs/tune.md has reasons and gains.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from xdpws.control.plan import Plan, Step
from xdpws.errors import SetupError, UsageError

HUGE_PAGES = 32
"""2 MiB each: the UMEM of an interface with default rings (16 to 48 MiB), and as much again for a second one."""
DEFER_HARD_IRQS = "2"
GRO_FLUSH_NS = "200000"


@dataclass(frozen=True, slots=True)
class Setting:
    """One file of /proc or /sys, and what is to be written there. why: for people."""

    path: str
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class TuneFacts:
    """What `decide` needs. cpus: online. irqs: number → affinity list of the interface's interrupts. governors: of
    those `cpus` that have one. Values that the kernel does not have are None."""

    interface: str
    cpus: tuple[int, ...]
    irqs: dict[int, str] = field(default_factory=dict)
    governors: dict[int, str] = field(default_factory=dict)
    defer_hard_irqs: str | None = None
    gro_flush: str | None = None
    huge_pages: int | None = None
    rt_runtime: str | None = None
    irqbalance: bool = False
    deepest_idle_us: int = 0


def cpu_list(text: str) -> tuple[int, ...]:
    """The numbers of a list as the kernel writes it: "0-3,8"."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        if low:
            numbers.extend(range(int(low), int(high or low) + 1))
    return tuple(numbers)


class HostFiles:
    """/proc and /sys, below `root` (tests)."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def at(self, path: str) -> Path:
        """Where it lies."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        """Its content without the end of the line; None if there is no such file, or it cannot be read."""
        try:
            return self.at(path).read_text().strip()
        except OSError:
            return None

    def write(self, path: str, text: str) -> None:
        """Raises OSError."""
        self.at(path).write_text(text)

    def names(self, path: str) -> tuple[str, ...]:
        """What a directory holds; () if there is none."""
        try:
            return tuple(sorted(entry.name for entry in self.at(path).iterdir()))
        except OSError:
            return ()


def _irqs(files: HostFiles, interface: str) -> dict[int, str]:
    """MSI interrupts of the interface's device; those of virtio belong to the PCI device above it."""
    device = f"/sys/class/net/{interface}/device"
    for folder in (f"{device}/msi_irqs", f"{device}/../msi_irqs"):
        numbers = [int(name) for name in files.names(folder) if name.isdigit()]
        if numbers:
            found = {n: files.read(f"/proc/irq/{n}/smp_affinity_list") for n in sorted(numbers)}
            return {n: affinity for n, affinity in found.items() if affinity is not None}
    return {}


def gather_tune(interface: str, files: HostFiles) -> TuneFacts:
    """Reads only. SetupError when there is no such interface."""
    net = f"/sys/class/net/{interface}"
    if not files.at(net).exists():
        raise SetupError(f"tune {interface}", "there is no such interface", "ip link")
    cpus = cpu_list(files.read("/sys/devices/system/cpu/online") or "0")
    cpu = "/sys/devices/system/cpu/cpu{}"
    governors = {n: files.read(f"{cpu.format(n)}/cpufreq/scaling_governor") for n in cpus}
    idle = f"{cpu.format(cpus[-1])}/cpuidle"
    latencies = [files.read(f"{idle}/{state}/latency") for state in files.names(idle)]
    pages = files.read("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    running = any(files.read(f"/proc/{pid}/comm") == "irqbalance" for pid in files.names("/proc") if pid.isdigit())
    return TuneFacts(
        interface, cpus, _irqs(files, interface), {n: g for n, g in governors.items() if g is not None},
        files.read(f"{net}/napi_defer_hard_irqs"), files.read(f"{net}/gro_flush_timeout"),
        int(pages) if pages is not None else None, files.read("/proc/sys/kernel/sched_rt_runtime_us"), running,
        max((int(latency) for latency in latencies if latency), default=0))


@dataclass(frozen=True, slots=True)
class TuneWish:
    """cpu: the client's core; None: the last one that is online. huge_pages: of 2 MiB, 0: as they are. real_time: the
    client spins with SCHED_FIFO, so the kernel's throttle of real-time threads must not stop it."""

    cpu: int | None = None
    huge_pages: int = HUGE_PAGES
    real_time: bool = True


def client_cpu(facts: TuneFacts, wish: TuneWish) -> int:
    """The client's core; UsageError when it is not online."""
    if wish.cpu is not None and wish.cpu not in facts.cpus:
        raise UsageError(f"CPU {wish.cpu} is not online; there are {', '.join(map(str, facts.cpus))}")
    return facts.cpus[-1] if wish.cpu is None else wish.cpu


def decide(facts: TuneFacts, wish: TuneWish) -> list[Setting]:
    """What is to be changed, in order; what is right already is left out."""
    cpu = client_cpu(facts, wish)
    net = f"/sys/class/net/{facts.interface}"
    wanted: list[Setting] = []

    def want(path: str, before: str | None, after: str, why: str) -> None:
        if before is not None and before != after:
            wanted.append(Setting(path, before, after, why))

    want(f"{net}/napi_defer_hard_irqs", facts.defer_hard_irqs, DEFER_HARD_IRQS,
         "with SO_PREFER_BUSY_POLL the interrupt stays off while the client polls")
    want(f"{net}/gro_flush_timeout", facts.gro_flush, GRO_FLUSH_NS,
         "and comes back when it has not polled for 0.2 ms")
    others = [str(n) for n in facts.cpus if n != cpu]
    if others:
        for irq, affinity in facts.irqs.items():
            if cpu in cpu_list(affinity):
                want(f"/proc/irq/{irq}/smp_affinity_list", affinity, ",".join(others),
                     f"interrupts of {facts.interface} do not stop the client's core {cpu}")
    governor = facts.governors.get(cpu)
    want(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", governor, "performance",
         "the client's core does not have to speed up first")
    if facts.huge_pages is not None and facts.huge_pages < wish.huge_pages:
        want("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", str(facts.huge_pages), str(wish.huge_pages),
             "the UMEM lies in 2 MiB pages: fewer TLB misses")
    if wish.real_time:
        want("/proc/sys/kernel/sched_rt_runtime_us", facts.rt_runtime, "-1",
             "a spinning SCHED_FIFO thread is not stopped for 50 ms of each second; keep a core free for the rest")
    return wanted


def advice(facts: TuneFacts, wish: TuneWish) -> list[str]:
    """What no plan can do: lines for people."""
    cpu = client_cpu(facts, wish)
    lines = [f"start the client with: --cpu {cpu}" + (" --fifo" if wish.real_time else "") + " --lock-memory"
             + (" --cpu-latency 0" if facts.deepest_idle_us > 0 else "") + " --huge-pages"]
    if facts.irqbalance:
        lines.append("irqbalance runs and will move the interrupts again: systemctl stop irqbalance")
    if len(facts.cpus) < 2:
        lines.append("there is one core: a client that spins on it leaves nothing for the rest of the host")
    if not facts.irqs:
        lines.append(f"{facts.interface} has no interrupts of its own (a virtual interface): nothing to place")
    return lines


def tune_plan(name: str, settings: list[Setting], files: HostFiles) -> Plan:
    """The steps that write `settings`; undoing writes what was before."""
    def writer(path: str, text: str) -> Callable[[], None]:
        return lambda: files.write(path, text)

    return Plan(name, tuple(
        Step(f"{s.path}: {s.before} → {s.after}; {s.why}", writer(s.path, s.after), writer(s.path, s.before),
             f"echo {s.after} > {s.path}") for s in settings))
