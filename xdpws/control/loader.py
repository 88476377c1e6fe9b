"""What a loader of the steering program is: it gets the program into the kernel and hands over descriptors.

Two exist: `LibbpfLoader` (an object compiled ahead of time) and `BccLoader` (compiled on this host at every start).
What is done with the descriptors, attaching and the maps, is the same for both and in `steering`.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from xdpws.errors import UsageError

OBJECTS = Path(__file__).resolve().parent.parent / "_bpf"
"""Where `make bpf` puts the compiled objects and the text for BCC."""

MAPS = ("flows", "xsks", "config", "counters")
"""The program's maps (bpf/maps.h)."""


@dataclass(slots=True)
class LoadedProgram:
    """The program in the kernel. It owns its descriptors; with the last one closed the kernel forgets it.

    `prog_fd`: of the program. `maps`: descriptor by map name, every name of `MAPS`. `loader`: "libbpf" or "bcc".
    `nic_time`: it is bound to one interface and asks its driver for the hardware receive time.
    """

    prog_fd: int
    maps: Mapping[str, int]
    loader: str
    nic_time: bool
    _open: bool = field(default=True, repr=False)

    def close(self) -> None:
        """Close every descriptor; again does nothing. An attached program stays for as long as its link is open."""
        if self._open:
            self._open = False
            for fd in (self.prog_fd, *self.maps.values()):
                os.close(fd)


class BpfLoader(Protocol):
    """Gets the steering program into the kernel. Needs root, or CAP_BPF and CAP_NET_ADMIN."""

    @property
    def name(self) -> str:
        """"libbpf" or "bcc"."""

    def load(self, ifindex: int, nic_time: bool) -> LoadedProgram:
        """Load it. With `nic_time` it is bound to the interface `ifindex` and can be attached only there and in native
        mode; otherwise `ifindex` is not used. `SetupError` when the kernel or the loader refuses."""


def make_loader(name: str) -> BpfLoader:
    """The loader of that name; `UsageError` for any other than "libbpf" and "bcc"."""
    if name == "libbpf":
        from xdpws.control.loader_libbpf import LibbpfLoader
        return LibbpfLoader()
    if name == "bcc":
        from xdpws.control.loader_bcc import BccLoader
        return BccLoader()
    raise UsageError(f"loader is {name!r}; it must be libbpf or bcc")
