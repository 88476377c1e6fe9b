"""A capture of an attachment's frames, both directions, as pcapng with ns times and the TLS secrets (docs/replay.md).

tcpdump does not see what XDP redirects, so whoever owns the rings has to write it.
"""
from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Any

from xdpws._ffi import check, ffi, lib
from xdpws.config import TlsOptions, XdpOptions
from xdpws.errors import SetupError


class Recording:
    """The files of a capture, and the wrapped device that writes them. `close` after the device is closed."""

    def __init__(self, options: XdpOptions) -> None:
        """Raises SetupError when a file cannot be opened; nothing stays open then."""
        assert options.record is not None
        self._device: Any = ffi.NULL
        with contextlib.ExitStack() as stack:
            self._fd = _open(options.record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "record the frames", stack)
            self._secrets = 0
            if options.record_secrets is not None:
                self._secrets = _open(options.record_secrets, os.O_RDONLY | os.O_CREAT, "record the TLS secrets", stack)
                os.lseek(self._secrets, 0, os.SEEK_END)  # what others have logged before is not ours to copy
            self._stack = stack.pop_all()

    def wrap(self, device: Any) -> Any:
        """`device` (`struct xw_dev *`) with a writer around it; the new one owns it."""
        out = ffi.new("struct xw_dev **")
        offset = time.time_ns() - time.monotonic_ns()
        check(lib.xw_tap_device(device, self._fd, offset, self._secrets, out), "record the frames")
        self._device = out[0]
        return self._device

    def lost(self) -> int:
        """Frames that are not in the capture; only while the device lives."""
        return int(lib.xw_tap_lost(self._device)) if self._device != ffi.NULL else 0

    def close(self) -> None:
        """Close the files. May be called again."""
        self._device = ffi.NULL
        self._stack.close()


def _open(path: str, flags: int, step: str, stack: contextlib.ExitStack) -> int:
    try:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetupError(f"{step} in {path}", error.strerror or str(error), "", error.errno) from None
    stack.callback(os.close, fd)
    return fd


def with_secrets(xdp: XdpOptions | None, tls: TlsOptions,
                 stack: contextlib.ExitStack) -> tuple[XdpOptions | None, TlsOptions]:
    """The same options with a way for the secrets from TLS into the capture, if there is one: the user's key log, or
    one in memory, which `stack` keeps."""
    if xdp is None or xdp.record is None or xdp.record_secrets is not None:
        return xdp, tls
    path = tls.keylog_file
    if path is None:
        fd = os.memfd_create("xdpws-keylog")
        stack.callback(os.close, fd)
        path = f"/proc/self/fd/{fd}"
    return replace(xdp, record_secrets=path), replace(tls, keylog_file=path)
