"""Header fields that a user adds to the upgrade request."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdpws.errors import UsageError

_OURS = frozenset({"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version",
                   "sec-websocket-protocol", "sec-websocket-extensions", "content-length", "transfer-encoding"})
_TCHAR = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def check_subprotocols(subprotocols: Sequence[str] | None) -> tuple[str, ...]:
    """The names as they are; UsageError for one that is no token, or a string where a sequence is wanted."""
    if isinstance(subprotocols, str):
        raise UsageError("subprotocols must be a list, not a str")
    for name in subprotocols or ():
        if not name or not _TCHAR.issuperset(name):
            raise UsageError(f"{name!r} is not the name of a subprotocol")
    return tuple(subprotocols or ())


def header_lines(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """The lines of the request for `headers`, each ended by CRLF.

    Raises UsageError for a name that is no token (RFC 9110 section 5.6.2), a value with control characters, and a field
    that the handshake itself sets.
    """
    items = headers.items() if isinstance(headers, Mapping) else headers
    lines = []
    for name, value in items:
        if not name or not _TCHAR.issuperset(name):
            raise UsageError(f"{name!r} is not a header name")
        if name.lower() in _OURS:
            raise UsageError(f"the header {name} is set by the handshake itself")
        if any((ord(c) < 0x20 and c != "\t") or ord(c) == 0x7F for c in value) or not value.isascii():
            raise UsageError(f"the value of the header {name} has characters that are not allowed")
        lines.append(f"{name}: {value.strip()}\r\n")
    return "".join(lines)
