"""A BPF object for tests: compiled by clang into ``build/``, loaded by libbpf (ctypes), attached by tc to an interface.

Nothing is pinned: maps and programs live as long as the object is open or the filter is attached to its interface.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "tests"
TC_INGRESS = 1

Record = TypeVar("Record", bound=ctypes.Structure)


def missing() -> str:
    """Say why objects cannot be compiled or loaded here; the empty string when they can."""
    if os.geteuid() != 0:
        return "needs root: BPF programs"
    if shutil.which("clang") is None:
        return "needs clang (apt-get install clang libbpf-dev)"
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError:
        return "needs libbpf.so.1 (apt-get install libbpf-dev)"
    return ""


def compile_bpf(source: Path) -> Path:
    """Compile a BPF C file if it is newer than its object; return the object's path."""
    target = BUILD / (source.name.removesuffix(".c") + ".o")
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return target
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=BUILD, suffix=".o", delete=False) as scratch:
        pass
    triple = f"{platform.machine()}-linux-gnu"
    argv = ["clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", f"-I/usr/include/{triple}",
            "-c", str(source), "-o", scratch.name]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        Path(scratch.name).unlink(missing_ok=True)  # clang has removed it, as a rule
        raise RuntimeError(f"clang {source.name}: {done.stderr}")
    os.replace(scratch.name, target)  # tests that run side by side never see half an object
    return target


class _TcHook(ctypes.Structure):
    _fields_ = (("sz", ctypes.c_size_t), ("ifindex", ctypes.c_int), ("attach_point", ctypes.c_int),
                ("parent", ctypes.c_uint32))


class _TcOpts(ctypes.Structure):
    _fields_ = (("sz", ctypes.c_size_t), ("prog_fd", ctypes.c_int), ("flags", ctypes.c_uint32),
                ("prog_id", ctypes.c_uint32), ("handle", ctypes.c_uint32), ("priority", ctypes.c_uint32))


class BpfObject:
    """A loaded object. Errors are ``OSError`` with libbpf's errno."""

    def __init__(self, path: Path) -> None:
        """Load the object file's programs and maps into the kernel."""
        self._bpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
        for name in ("bpf_object__open_file", "bpf_object__find_program_by_name"):
            getattr(self._bpf, name).restype = ctypes.c_void_p
        self._object = ctypes.c_void_p(self._bpf.bpf_object__open_file(str(path).encode(), None))
        if not self._object:
            raise OSError(ctypes.get_errno(), f"bpf_object__open_file {path}")
        rc = self._bpf.bpf_object__load(self._object)
        if rc < 0:
            self.close()
            raise OSError(-rc, f"bpf_object__load {path}: {os.strerror(-rc)}")

    def close(self) -> None:
        """Give the object back; attached filters stay as long as their interface."""
        if self._object:
            self._bpf.bpf_object__close(self._object)
            self._object = ctypes.c_void_p()

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map; it belongs to the object."""
        fd = int(self._bpf.bpf_object__find_map_fd_by_name(self._object, name.encode()))
        if fd < 0:
            raise OSError(-fd, f"no map {name}")
        return fd

    def read(self, name: str, key: int, record: type[Record]) -> Record:
        """Return the value of a map with 32-bit keys as a structure."""
        value = record()
        rc = self._bpf.bpf_map_lookup_elem(self.map_fd(name), ctypes.byref(ctypes.c_uint32(key)), ctypes.byref(value))
        if rc < 0:
            raise OSError(-rc, f"map {name}[{key}]")
        return value

    def write(self, name: str, key: int, value: ctypes.Structure) -> None:
        """Set the value of a map with 32-bit keys."""
        index = ctypes.c_uint32(key)
        fd = self.map_fd(name)
        rc = self._bpf.bpf_map_update_elem(fd, ctypes.byref(index), ctypes.byref(value), ctypes.c_uint64(0))
        if rc < 0:
            raise OSError(-rc, f"map {name}[{key}]")

    def attach_ingress(self, program: str, ifindex: int) -> None:
        """Attach a program to the ingress (clsact) of an interface of the calling thread's network namespace."""
        found = ctypes.c_void_p(self._bpf.bpf_object__find_program_by_name(self._object, program.encode()))
        if not found:
            raise OSError(f"no program {program}")
        hook = _TcHook(ctypes.sizeof(_TcHook), ifindex, TC_INGRESS, 0)
        opts = _TcOpts(sz=ctypes.sizeof(_TcOpts), prog_fd=self._bpf.bpf_program__fd(found))
        for call, argv in (("bpf_tc_hook_create", (hook,)), ("bpf_tc_attach", (hook, opts))):
            rc = getattr(self._bpf, call)(*map(ctypes.byref, argv))
            if rc < 0:
                raise OSError(-rc, f"{call}: {os.strerror(-rc)}")
