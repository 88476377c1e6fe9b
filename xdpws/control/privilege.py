"""What this thread may do: effective capabilities and the limit on locked memory."""
from __future__ import annotations

import resource
from collections.abc import Iterable
from pathlib import Path

#: Bits of <linux/capability.h> that matter here.
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_SYS_ADMIN": 21, "CAP_SYS_NICE": 23,
                "CAP_PERFMON": 38, "CAP_BPF": 39}
#: Each tuple: one of these is needed to attach. CAP_SYS_ADMIN stands for CAP_BPF, as on kernels before 5.8.
NEEDED = (("CAP_NET_ADMIN",), ("CAP_NET_RAW",), ("CAP_BPF", "CAP_SYS_ADMIN"))


def capabilities_of(status: str) -> frozenset[str]:
    """The effective capabilities in the text of /proc/…/status, those of `CAPABILITIES` only."""
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == "CapEff":
            bits = int(value, 16)
            return frozenset(name for name, bit in CAPABILITIES.items() if bits >> bit & 1)
    return frozenset()


def read_capabilities() -> frozenset[str]:
    """The effective capabilities of the calling thread."""
    return capabilities_of(Path("/proc/thread-self/status").read_text())


def missing_capabilities(have: Iterable[str]) -> tuple[str, ...]:
    """What is missing to attach; () if nothing is."""
    held = frozenset(have)
    return tuple(names[0] for names in NEEDED if not held.intersection(names))


def memlock_limit() -> int | None:
    """Bytes that may be locked without CAP_IPC_LOCK; None: no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if soft == resource.RLIM_INFINITY else soft
