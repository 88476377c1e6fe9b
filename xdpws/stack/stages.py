"""Histograms of the stages of messages, by connection, in memory that other processes can read (docs/stamps.md).

`StageArea.create` makes the memory that an engine records into (`EngineConfig(stamps="histogram")`): a file of this
user in /dev/shm named xdpws.PID.N, removed when the engine is closed. `StageArea.open` and `areas` are the readers'
side, which `xdpws top` shows. The layout is `struct xw_stage_area` of csrc/xw_api.h.
"""
from __future__ import annotations

import contextlib
import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdpws._ffi import ffi, lib, text
from xdpws.errors import SetupError
from xdpws.hdr import StageHistogram

STAGES = ("nic_to_kernel", "kernel_to_ring", "ring_to_decrypt", "decrypt", "parse", "parsed_to_user", "first_to_user",
          "callback")
"""In the order of `enum xw_stage`."""
DIRECTORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class StageReport:
    """One connection. name: its URL. live: whether it is open. stages: by name, only those that have values."""

    name: str
    ident: int
    live: bool
    began_ns: int
    messages: int
    bytes: int
    stages: dict[str, StageHistogram]


def _copy(source: Any) -> StageHistogram:
    raw = ffi.new("struct xw_hist *")
    ffi.memmove(raw, source, ffi.sizeof("struct xw_hist"))
    return StageHistogram(raw)


class StageArea:
    """Memory with the histograms of one engine; the maker's (`create`) or another process's (`open`)."""

    def __init__(self, memory: mmap.mmap, path: Path | None, owned: bool) -> None:
        self._memory = memory
        self._buffer = ffi.from_buffer(memory) if owned else None
        self.path = path
        self._owned = owned

    @classmethod
    def create(cls, max_conns: int) -> StageArea:
        """Zeroed memory for so many connections, of which only what is used takes room. Raises SetupError."""
        size = int(lib.xw_stages_size(max_conns))
        for number in range(1000):
            path = DIRECTORY / f"xdpws.{os.getpid()}.{number}"
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            except OSError as error:
                raise SetupError(f"make {path} for the histograms", error.strerror or str(error),
                                 'stamps=True does without them', error.errno) from None
            try:
                os.ftruncate(fd, size)
                return cls(mmap.mmap(fd, size), path, True)
            except OSError as error:
                path.unlink()
                raise SetupError(f"make {path} for the histograms", error.strerror or str(error), "df /dev/shm",
                                 error.errno) from None
            finally:
                os.close(fd)
        raise SetupError("make memory for the histograms", f"{DIRECTORY} is full of xdpws.{os.getpid()}.*")

    @classmethod
    def open(cls, path: Path) -> StageArea:
        """Another process's, read-only. Raises SetupError when it is none, or of another version of xdpws."""
        step = f"read the histograms of {path}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise SetupError(step, error.strerror or str(error), "xdpws top, as the user that runs it",
                             error.errno) from None
        with contextlib.closing(os.fdopen(fd, "rb")) as file:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or info.st_uid not in (os.geteuid(), 0):
                raise SetupError(step, "it is not a file of this user")
            if info.st_size < ffi.sizeof("struct xw_stage_area"):
                raise SetupError(step, "it is too short")
            area = cls(mmap.mmap(file.fileno(), info.st_size, access=mmap.ACCESS_READ), path, False)
        try:
            area._check(step, info.st_size)
        except BaseException:
            area.close()
            raise
        return area

    def _check(self, step: str, size: int) -> None:
        with self._view() as head:
            if head.magic != lib.xw_stages_magic():
                raise SetupError(step, "it is not yet written, or of another program")
            if (head.version, head.conn_len) != (lib.XW_STAGES_VERSION, ffi.sizeof("struct xw_stage_conn")):
                raise SetupError(step, f"it has version {head.version}, this is {lib.XW_STAGES_VERSION}",
                                 "the xdpws that runs there")
            if lib.xw_stages_size(head.conns) > size:
                raise SetupError(step, "it is shorter than it says")

    @contextlib.contextmanager
    def _view(self) -> Iterator[Any]:
        """The memory as `struct xw_stage_area *`; the buffer is given back, so that close() may unmap."""
        with memoryview(self._memory) as view, ffi.from_buffer(view) as buffer:
            yield ffi.cast("struct xw_stage_area *", buffer)

    @property
    def pointer(self) -> Any:
        """For xw_engine_stages."""
        return ffi.cast("void *", self._buffer)

    def __len__(self) -> int:
        return len(self._memory)

    @property
    def pid(self) -> int:
        """Of the process that records, by the file's name."""
        return int(self.path.name.split(".")[1]) if self.path else os.getpid()

    def read(self) -> list[StageReport]:
        """What was recorded so far, of every connection that there was, by place."""
        reports = []
        with self._view() as head:
            for i in range(head.conns):
                c = head.conn[i]
                if not c.id:
                    continue
                stages = {name: _copy(ffi.addressof(c.hist, number)) for number, name in enumerate(STAGES)
                          if c.hist[number].count}
                reports.append(StageReport(text(c.name), c.id, bool(c.live), c.began_ns, c.messages, c.bytes, stages))
        return reports

    def close(self) -> None:
        """Give the memory back; the maker also removes the file. May be called again."""
        if self._owned and self.path is not None:
            self.path.unlink(missing_ok=True)
        if self._buffer is not None:
            ffi.release(self._buffer)
            self._buffer = None
        self._memory.close()


def areas(pid: int | None = None) -> list[Path]:
    """Files of running processes (of `pid` only); those that a killed one left are removed, where that is allowed."""
    found = []
    for path in sorted(DIRECTORY.glob("xdpws.*.*")):
        owner = path.name.split(".")[1]
        if not owner.isdigit() or (pid is not None and int(owner) != pid):
            continue
        if Path("/proc", owner).exists():
            found.append(path)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return found
