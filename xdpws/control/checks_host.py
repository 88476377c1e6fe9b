"""Checks of the host: kernel, privileges, memory, processors, software. Pure: facts in, checks out."""
from __future__ import annotations

from collections.abc import Iterator

from xdpws.control.checks import Check, fail, listed, ok, warn
from xdpws.control.facts import Facts
from xdpws.control.limits import KERNEL_FEATURES, KERNEL_MIN, kernel_version
from xdpws.control.privilege import missing_capabilities

#: Descriptors of each ring by default (`config.XdpOptions`): every queue has frames for its FILL and RX ring, all share
#: those for TX and COMPLETION, and one burst a queue is in the stack's hands. A frame takes 2048 bytes, and 4096 where
#: the MTU does not fit beside headers and headroom.
_RING_LEN = 2048
_BURST_LEN = 32
_FRAME_MTU = 2048 - 22 - 256
_HUGE_LEN = 2 << 20
_IDLE_LATENCY_US = 10  # waking from deeper sleep takes longer than a packet takes through the whole stack


def umem_len(facts: Facts) -> int:
    """Bytes that the frames of one engine take on this interface with the default ring sizes."""
    frame_len = 2048 if facts.link.mtu <= _FRAME_MTU else 4096
    return (facts.queue_cnt * (2 * _RING_LEN + _BURST_LEN) + 2 * _RING_LEN) * frame_len


def host_checks(facts: Facts) -> Iterator[Check]:
    """All checks of the host."""
    yield _kernel(facts)
    yield _privileges(facts)
    yield _memlock(facts)
    yield _hugepages(facts)
    yield _jit(facts)
    yield _btf(facts)
    yield _libraries(facts)
    yield _bcc(facts)
    yield _busy_poll(facts)
    yield from _cpu(facts)


def _kernel(facts: Facts) -> Check:
    version = kernel_version(facts.release)
    if version < KERNEL_MIN:
        return fail("kernel", f"{facts.release} is too old: {KERNEL_MIN[0]}.{KERNEL_MIN[1]} or later is needed",
                    "apt install -t bookworm-backports linux-image-amd64")
    if version < KERNEL_FEATURES:
        return warn("kernel", f"{facts.release}: no NIC time, and it does not tell XDP features (6.3 and later do)",
                    "apt install -t bookworm-backports linux-image-amd64")
    return ok("kernel", facts.release)


def _privileges(facts: Facts) -> Check:
    missing = missing_capabilities(facts.capabilities)
    if missing:
        return fail("privileges", f"{', '.join(missing)} missing", f"sudo xdpws doctor {facts.link.name}")
    return ok("privileges", listed(facts.capabilities))


def _memlock(facts: Facts) -> Check:
    need = umem_len(facts)
    if "CAP_IPC_LOCK" in facts.capabilities:
        return ok("locked memory", "CAP_IPC_LOCK: no limit")
    if facts.memlock is None or facts.memlock >= need:
        limit = "unlimited" if facts.memlock is None else f"{facts.memlock >> 20} MiB"
        return ok("locked memory", limit)
    return fail("locked memory", f"limit {facts.memlock >> 10} KiB, the frames take {need >> 20} MiB",
                "ulimit -l unlimited")


def _hugepages(facts: Facts) -> Check:
    need = (umem_len(facts) + _HUGE_LEN - 1) // _HUGE_LEN
    if facts.hugepages_free >= need:
        return ok("huge pages", f"{facts.hugepages_free} of {facts.hugepages_total} of 2 MiB free")
    total = facts.hugepages_total - facts.hugepages_free + need
    return warn("huge pages", f"{facts.hugepages_free} of 2 MiB free, the frames fill {need}: they take small pages, "
                "more TLB misses", f"sysctl -w vm.nr_hugepages={total}")


def _jit(facts: Facts) -> Check:
    if facts.software.bpf_jit is None:
        return warn("BPF JIT", "the kernel does not tell")
    if facts.software.bpf_jit == 0:
        return warn("BPF JIT", "off: the program is interpreted", "sysctl -w net.core.bpf_jit_enable=1")
    return ok("BPF JIT", "on")


def _btf(facts: Facts) -> Check:
    if facts.software.btf:
        return ok("BTF", "/sys/kernel/btf/vmlinux")
    return warn("BTF", "the kernel carries none: no NIC time (kfuncs need it)",
                "use a kernel with CONFIG_DEBUG_INFO_BTF")


def _libraries(facts: Facts) -> Check:
    found = {"libbpf": facts.software.libbpf, "libxdp": facts.software.libxdp}
    missing = [name for name, version in found.items() if not version]
    detail = ", ".join(f"{name} {version or 'not found'}" for name, version in found.items())
    if missing:
        return fail("libraries", detail, "apt install " + " ".join({"libbpf": "libbpf1", "libxdp": "libxdp1"}[m]
                                                                   for m in missing))
    return ok("libraries", detail)


def _bcc(facts: Facts) -> Check:
    if not facts.software.bcc:
        return warn("BCC", "not installed: --loader bcc is not available", "apt install python3-bpfcc")
    if not facts.software.bcc_headers:
        return warn("BCC", "installed, but there are no kernel headers (BCC_KERNEL_SOURCE may name a tree)",
                    "apt install linux-headers-amd64")
    return ok("BCC", f"installed, headers in {facts.software.bcc_headers}")


def _busy_poll(facts: Facts) -> Check:
    if facts.link.kind:
        return ok("busy poll", "a virtual interface has no NAPI of its own to poll")
    defer, flush = facts.defer_hard_irqs, facts.gro_flush_timeout_ns
    if defer is None or flush is None:
        return warn("busy poll", "napi_defer_hard_irqs and gro_flush_timeout cannot be read")
    if defer and flush:
        return ok("busy poll", f"napi_defer_hard_irqs {defer}, gro_flush_timeout {flush} ns")
    folder = f"/sys/class/net/{facts.link.name}"
    return warn("busy poll", f"napi_defer_hard_irqs {defer}, gro_flush_timeout {flush}: interrupts compete with a "
                "polling program", f"echo 2 > {folder}/napi_defer_hard_irqs; echo 200000 > {folder}/gro_flush_timeout")


def _cpu(facts: Facts) -> Iterator[Check]:
    cpu = facts.cpu
    if not cpu.governors:
        yield ok("CPU governor", "no frequency scaling here")
    elif cpu.governors == {"performance"}:
        yield ok("CPU governor", "performance")
    else:
        yield warn("CPU governor", listed(cpu.governors), "cpupower frequency-set -g performance")
    if cpu.idle_latency_us is None:
        yield ok("CPU sleep", "no sleep states here")
    elif cpu.idle_latency_us > _IDLE_LATENCY_US:
        yield warn("CPU sleep", f"waking from the deepest allowed state takes {cpu.idle_latency_us} µs",
                   f"cpupower idle-set -D {_IDLE_LATENCY_US}")
    else:
        yield ok("CPU sleep", f"wakes within {cpu.idle_latency_us} µs")
    if cpu.irqbalance:
        yield warn("irqbalance", "running: it moves interrupts between CPUs", "systemctl disable --now irqbalance")
    else:
        yield ok("irqbalance", "not running")
    yield ok("isolated CPUs", cpu.isolated or f"none of {cpu.online}")
