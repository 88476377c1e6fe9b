"""Who else is on an interface: the XDP program that is attached, whose it is, and taking it off.

An interface takes one XDP program. Another one is never replaced silently; the error names it, the process that holds
it, and what to type.
"""
from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdpws._enums import Err
from xdpws._ffi import check, ffi, lib
from xdpws.errors import SetupError

_MODES = {1: "native", 2: "generic", 3: "offloaded"}
_IPROUTE = {"native": "xdpdrv", "generic": "xdpgeneric", "offloaded": "xdpoffload"}


@dataclass(frozen=True, slots=True)
class Occupant:
    """The XDP program that is on an interface. `link_id` 0: attached over netlink, without a BPF link (or, without
    CAP_SYS_ADMIN, not known). `mode`: "native", "generic" or "offloaded"."""

    prog_id: int
    link_id: int
    mode: str
    name: str


def occupant(ifindex: int) -> Occupant | None:
    """Which XDP program is on the interface (of this network namespace); None: none."""
    info = ffi.new("struct xw_xdp_info *")
    if not check(lib.xw_xdp_query(ifindex, info), "ask which XDP program is attached"):
        return None
    return Occupant(info.prog_id, info.link_id, _MODES[info.mode], ffi.string(info.name).decode("ascii", "replace"))


def _links_of(pid: str, proc: Path) -> Iterator[int]:
    """Ids of the BPF links that a process has descriptors of."""
    for fd in os.listdir(proc / pid / "fd"):
        with contextlib.suppress(FileNotFoundError):  # another thread closed it meanwhile
            if os.readlink(proc / pid / "fd" / fd) == "anon_inode:bpf_link":
                for line in (proc / pid / "fdinfo" / fd).read_text().splitlines():
                    if line.startswith("link_id:"):
                        yield int(line.split(":")[1])


def holders(link_id: int, proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """Processes (pid, name) that hold the BPF link; those that this process may not look into are left out."""
    found = []
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            if link_id in _links_of(pid, proc):
                found.append((int(pid), (proc / pid / "comm").read_text().strip()))
        except OSError:  # it ended, or is not ours to see
            continue
    return sorted(found)


def occupied(interface: str, other: Occupant | None) -> SetupError:
    """The error for an interface that another program holds (None: it just went)."""
    step = f"attach to {interface}"
    if other is None:
        return SetupError(step, "another XDP program was attached", "again", errno.EBUSY)
    what = f"XDP program {other.prog_id} ({other.name or 'unnamed'}, {other.mode})"
    owners = holders(other.link_id) if other.link_id else []
    if os.getpid() in dict(owners):
        return SetupError(step, f"{what} of this process is attached already",
                          "the Client, Runtime or event loop that has it, for all connections of the interface",
                          errno.EBUSY)
    if owners:
        what += " of process " + ", ".join(f"{pid} ({name})" for pid, name in owners)
        hint = "kill " + " ".join(str(pid) for pid, _ in owners)
    else:
        hint = f"ip link set dev {interface} {_IPROUTE[other.mode]} off"
    return SetupError(step, f"{what} is attached already", f"--replace, or: {hint}", errno.EBUSY)


def evict(interface: str, ifindex: int) -> None:
    """Take the program off the interface; if a link held it, that link has no effect any more."""
    info = ffi.new("struct xw_xdp_info *")
    step = f"replace the XDP program of {interface}"
    if check(lib.xw_xdp_query(ifindex, info), step):
        rc = lib.xw_xdp_detach(ifindex, info)
        if rc == Err.ESTATE:  # not the one that was there a moment ago
            raise occupied(interface, occupant(ifindex))
        check(rc, step, "run as root")
