"""libxdpws_stack behind cffi: the header as it is, the archive linked into a shared object."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import cffi

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "csrc" / "xw_stack.h"


@functools.cache
def library() -> tuple[Any, Any]:
    """ffi and the library; XDPWS_STACK_SO names another one than the checked build (``make stack-so``)."""
    path = os.environ.get("XDPWS_STACK_SO", "")
    if not path:
        subprocess.run(["make", "-s", "FLAVOUR=checked", "stack-so"], cwd=ROOT, check=True)
        path = str(ROOT / "build" / "checked" / "libxdpws_stack.so")
    text = HEADER.read_text()
    text = re.sub(r'#ifdef __cplusplus.*?#endif', "", text, flags=re.S)
    defines = dict(re.findall(r"#define (XW_STACK_\w+) (0x[0-9a-fA-F]+|\d+)", text))
    text = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    text += "\n" + "\n".join(f"#define {name} {value}" for name, value in defines.items())
    ffi = cffi.FFI()
    ffi.cdef(text)
    return ffi, ffi.dlopen(path)


class Stack:
    """One stack, its memory, and the packets that it sent, with their times."""

    def __init__(self, settings: dict[str, int], now_ns: int) -> None:
        self.ffi, self.lib = library()
        cfg = self.ffi.new("struct xw_stack_cfg *")
        self.lib.xw_stack_cfg_default(cfg)
        for name, value in settings.items():
            setattr(cfg, name, value)
        for i in range(32):
            cfg.seed[i] = i
        size = self.lib.xw_stack_size(cfg)
        if not size:
            raise ValueError(f"the stack refuses {settings}")
        raw = self.ffi.new("char[]", size + 64)
        at = int(self.ffi.cast("uintptr_t", raw))
        self.memory = raw
        handle = self.ffi.new("struct xw_stack **")
        rc = self.lib.xw_stack_create(raw + (-at % 64), size, cfg, now_ns, handle)
        if rc:
            raise ValueError(f"xw_stack_create: {rc}")
        self.s = handle[0]
        self.buf = self.ffi.new("unsigned char[]", 65536)

    def option(self, name: str) -> int:
        return int(getattr(self.lib, f"XW_STACK_{name}"))

    def has(self, name: str) -> bool:
        return hasattr(self.lib, f"XW_STACK_{name}")

    def input(self, packet: bytes, now_ns: int) -> int:
        return int(self.lib.xw_stack_input(self.s, packet, len(packet), now_ns))

    def output(self, now_ns: int) -> bytes:
        n = self.lib.xw_stack_output(self.s, self.buf, 65536, now_ns)
        return bytes(self.ffi.buffer(self.buf, n))

    def deadline(self) -> int:
        return int(self.lib.xw_stack_next_deadline(self.s))

    def tick(self, now_ns: int) -> None:
        self.lib.xw_stack_tick(self.s, now_ns)

    def set(self, fd: int, name: str, value: int, now_ns: int) -> int:
        return int(self.lib.xw_stack_setopt(self.s, fd, self.option(name), value, now_ns))

    def get(self, fd: int, name: str) -> tuple[int, int]:
        out = self.ffi.new("int64_t *")
        return int(self.lib.xw_stack_getopt(self.s, fd, self.option(name), out)), int(out[0])

    def info(self, fd: int) -> Any:
        out = self.ffi.new("struct xw_stack_info *")
        rc = self.lib.xw_stack_info(self.s, fd, out)
        return None if rc else out

    def recv(self, fd: int, length: int, flags: int, now_ns: int) -> tuple[int, bytes]:
        buf = self.ffi.new("unsigned char[]", max(length, 1))
        n = int(self.lib.xw_stack_recv(self.s, fd, buf, length, flags, now_ns))
        return n, bytes(self.ffi.buffer(buf, n)) if n > 0 else b""
