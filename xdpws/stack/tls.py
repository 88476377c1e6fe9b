"""`TlsContext`: TLS settings as the C core holds them (`struct xw_tls_ctx`). Made once, used by many connections."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from xdpws._ffi import check, ffi, lib
from xdpws.config import TlsOptions, pin_bytes

_VERSIONS = {"1.2": 12, "1.3": 13}
_ENGINES = {"auto": lib.XW_TLS_ENGINE_AUTO, "openssl": lib.XW_TLS_ENGINE_OPENSSL, "own": lib.XW_TLS_ENGINE_OWN}


@contextlib.contextmanager
def _as_file(data: str | None) -> Iterator[str | None]:
    """The name of a file in memory with that text, for the time of the block."""
    if data is None:
        yield None
        return
    fd = os.memfd_create("xdpws ca_data")
    with open(fd, "w", encoding="ascii", errors="replace") as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{fd}"


class TlsContext:
    """Loads certificates and keys; raises SetupError that names the file and OpenSSL's reason."""

    def __init__(self, options: TlsOptions | None = None, server: bool = False) -> None:
        """server: for connections that are accepted."""
        self.options = o = options or TlsOptions()
        keep: list[Any] = []

        def string(value: str | None) -> Any:
            if value is None:
                return ffi.NULL
            keep.append(ffi.new("char[]", value.encode()))
            return keep[-1]

        pins = b"".join(pin_bytes(pin) for pin in o.pins)
        pin_array = ffi.new("uint8_t[]", pins)
        cfg = ffi.new("struct xw_tls_cfg *", {
            "ca_file": string(o.ca_file), "ca_dir": string(o.ca_dir), "verify": int(o.verify),
            "version_min": _VERSIONS[o.minimum], "version_max": _VERSIONS[o.maximum],
            "ciphers12": string(o.ciphers), "ciphers13": string(o.ciphersuites), "groups": string(o.groups),
            "cert_file": string(o.cert_file), "key_file": string(o.key_file), "keylog_file": string(o.keylog_file),
            "spki_pins": pin_array if pins else ffi.NULL, "pin_cnt": len(o.pins),
            "tls_engine": _ENGINES[o.engine], "server": int(server)})
        out = ffi.new("struct xw_tls_ctx **")
        with _as_file(o.ca_data) as path:
            if path is not None:
                cfg.ca_file = string(path)
            check(lib.xw_tls_ctx_new(cfg, out), "set up TLS")
        self.handle = ffi.gc(out[0], lib.xw_tls_ctx_free)
