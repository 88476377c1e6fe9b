"""The server's TLS: a pyOpenSSL context from the settings. pyOpenSSL brings its own OpenSSL, so this is an independent
peer for the core, which is linked with the system's."""
from __future__ import annotations

from typing import Any

from OpenSSL import SSL

from xdpws.errors import SetupError, UsageError
from xdpws.sim.cert import CertificateFiles

__all__ = ["TlsContext", "describe"]

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


class TlsContext:
    """Makes TLS connections over memory BIOs, all with one certificate and the same limits."""

    def __init__(self, files: CertificateFiles, version: str | None, ciphers: str, groups: str) -> None:
        """`version`, `ciphers` and `groups` as in `ExchangeConfig`.

        Raises `SetupError` if certificate or key cannot be used, `UsageError` for a cipher or group that this OpenSSL
        does not know.
        """
        self._context = context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(_VERSIONS[version or "1.2"])
        context.set_max_proto_version(_VERSIONS[version or "1.3"])
        context.set_options(SSL.OP_NO_RENEGOTIATION)
        context.set_session_id(b"xdpws-sim")
        _load(context, files)
        if ciphers:
            _set_ciphers(context, ciphers)
        if groups:
            _set_groups(context, groups)

    def accept(self) -> SSL.Connection:
        """A new server side that reads and writes memory only."""
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection


def describe(connection: SSL.Connection) -> str:
    """Version, cipher and group of an established connection, e.g. "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519"."""
    parts = (connection.get_protocol_version_name(), connection.get_cipher_name(), connection.get_group_name())
    return " ".join(part for part in parts if part)


def _load(context: SSL.Context, files: CertificateFiles) -> None:
    for name, path in (("certificate", files.cert), ("private key", files.key)):
        if not path.is_file():
            raise SetupError(f"load the {name}", f"there is no file {path}")
    try:
        context.use_certificate_chain_file(str(files.cert))
    except SSL.Error as exc:
        raise SetupError("load the certificate", f"{files.cert}: {_text(exc)}") from None
    try:
        context.use_privatekey_file(str(files.key))
        context.check_privatekey()
    except SSL.Error as exc:
        raise SetupError("load the private key", f"{files.key}: {_text(exc)}") from None


def _set_ciphers(context: SSL.Context, ciphers: str) -> None:
    names = [name for name in ciphers.split(":") if name]
    new = [name for name in names if name.startswith("TLS_")]
    old = [name for name in names if not name.startswith("TLS_")]
    try:
        if new:
            context.set_tls13_ciphersuites(":".join(new).encode())
        if old:
            context.set_cipher_list(":".join(old).encode())
    except (SSL.Error, AssertionError) as exc:
        raise UsageError(f"ciphers: this OpenSSL does not know all of {ciphers!r} ({_text(exc)})") from None


def _set_groups(context: SSL.Context, groups: str) -> None:
    """pyOpenSSL's public call takes one curve and no X25519, so the list goes to its binding."""
    lib: Any = vars(SSL)["_lib"]
    if lib.SSL_CTX_set1_curves_list(context._context, groups.encode()) != 1:
        lib.ERR_clear_error()
        raise UsageError(f"groups: this OpenSSL does not know all of {groups!r} (e.g. X25519:P-256:P-384)")


def _text(exc: Exception) -> str:
    """The reasons of OpenSSL's error queue, for people."""
    queue = exc.args[0] if exc.args else None
    if isinstance(queue, list):
        return "; ".join(str(entry[-1]) for entry in queue if entry) or "no reason given"
    return str(exc) or type(exc).__name__
