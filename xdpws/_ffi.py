"""The only module that imports the C extension.

It compares the extension's ABI with the one this package was written for, and holds the one function that turns
return codes into exceptions.
"""
from __future__ import annotations

import os
from typing import NoReturn

from xdpws._core import ffi, lib
from xdpws._enums import Err
from xdpws.errors import InternalError, SetupError, UsageError

__all__ = ["ABI", "check", "fail", "ffi", "lib", "text"]

ABI = 8
"""What `xw_abi_version()` must return; csrc/engine/api.c holds the other half."""

if lib.xw_abi_version() != ABI:
    raise ImportError(f"xdpws._core has ABI {lib.xw_abi_version()}, this package needs {ABI}; run: make ext")

_CALLER = frozenset({Err.EINVAL, Err.ESTATE, Err.ENOCONN, Err.ENOSPC, Err.ETOOBIG, Err.EADDRINUSE, Err.ETHREAD,
                     Err.ECLOSED, Err.EAGAIN})


def text(pointer: object) -> str:
    """A C string as str; "" for NULL."""
    return ffi.string(pointer).decode("utf-8", "replace") if pointer != ffi.NULL else ""


def fail(rc: int, step: str, hint: str = "") -> NoReturn:
    """Raise what the return code `rc` means; `step` says what was being done, `hint` what to type."""
    if rc == Err.EBUG:
        raise InternalError(f"{step}: {text(lib.xw_strerror(rc))}")
    if rc in _CALLER:
        raise UsageError(f"{step}: {text(lib.xw_strerror(rc))}")
    saved = ffi.new("int *")
    where = text(lib.xw_setup_error(saved))
    cause = where or text(lib.xw_strerror(rc))
    if saved[0] and os.strerror(saved[0]) not in cause:
        cause += f": {os.strerror(saved[0])}"
    raise SetupError(step, cause, hint, saved[0] or None)


def check(rc: int, step: str, hint: str = "") -> int:
    """`rc` when it is not negative, else the exception that it stands for (see `fail`)."""
    if rc < 0:
        fail(rc, step, hint)
    return rc
