"""Loads the steering program from the object that was compiled with the package. No compiler on the host."""
from __future__ import annotations

import os
from pathlib import Path

from xdpws._ffi import check, ffi, lib, text
from xdpws.control.loader import MAPS, OBJECTS, LoadedProgram
from xdpws.errors import SetupError

LOG_LINES = 6
"""Lines of libbpf's report that an error repeats: the verifier's verdict is in the last ones."""


def relevant(log: str) -> str:
    """The last lines of libbpf's messages, on one line, without its prefixes and without the end of the report."""
    lines = [line.removeprefix("libbpf: ").strip() for line in log.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("--", "processed "))]
    return " | ".join(kept[-LOG_LINES:])


class LibbpfLoader:
    """`BpfLoader` over libbpf. `directory` is where steer.bpf.o and steer_nic.bpf.o are."""

    name = "libbpf"

    def __init__(self, directory: Path = OBJECTS) -> None:
        self._directory = directory

    def load(self, ifindex: int, nic_time: bool) -> LoadedProgram:
        """Load steer.bpf.o, or steer_nic.bpf.o bound to the interface `ifindex` when `nic_time` (Linux 6.3)."""
        path = self._directory / ("steer_nic.bpf.o" if nic_time else "steer.bpf.o")
        if not path.is_file():
            raise SetupError("load the steering program", f"{path} is missing", "make bpf")
        out = ffi.new("struct xw_steer **")
        rc = lib.xw_steer_load(os.fsencode(path), ifindex if nic_time else 0, out)
        if rc < 0:
            log = relevant(text(lib.xw_steer_log()))
            try:
                check(rc, "load the steering program", "run as root, or with CAP_BPF and CAP_NET_ADMIN")
            except SetupError as error:
                if error.errno in (1, 13):
                    raise
                raise SetupError(error.step, f"{error.cause} ({log})" if log else error.cause,
                                 "", error.errno) from None
        try:
            return self._own(out[0], nic_time)
        finally:
            lib.xw_steer_close(out[0])

    def _own(self, steer: object, nic_time: bool) -> LoadedProgram:
        """Descriptors of our own, so that nothing of libbpf has to live on."""
        maps = {name: os.dup(lib.xw_steer_map_fd(steer, name.encode())) for name in MAPS}
        return LoadedProgram(os.dup(lib.xw_steer_prog_fd(steer)), maps, self.name, nic_time)
