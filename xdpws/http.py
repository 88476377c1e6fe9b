"""Values of the handshake and of the close: request, answer, header fields, and close frames."""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

HeadersLike = Mapping[str, str] | Iterable[tuple[str, str]]
"""What may be given where header fields are wanted."""

_CLOSE_NAMES = {
    1000: "OK", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1005: "no status received",
    1006: "abnormal closure", 1007: "invalid frame payload data", 1008: "policy violation", 1009: "message too big",
    1010: "mandatory extension", 1011: "internal error", 1012: "service restart", 1013: "try again later",
    1014: "bad gateway", 1015: "TLS handshake failure",
}


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame: `code` (RFC 6455 section 7.4; 1005 when it had none) and `reason`."""

    code: int
    reason: str = ""

    def __str__(self) -> str:
        if self.code in _CLOSE_NAMES:
            name = _CLOSE_NAMES[self.code]
        elif 3000 <= self.code < 4000:
            name = "registered"
        else:
            name = "private use" if 4000 <= self.code < 5000 else "unknown"
        return f"{self.code} ({name})" + (f" {self.reason}" if self.reason else "")


class Headers(MutableMapping[str, str]):
    """Header fields in their order; names in any case of letters.

    As in `websockets`, assigning adds a field and keeps those of the same name; delete it first to replace it. Reading
    a repeated field gives its values joined by ", " (RFC 9110 section 5.3); `get_all` gives them one by one.
    """

    __slots__ = ("_items",)

    def __init__(self, headers: HeadersLike = (), **fields: str) -> None:
        self._items: list[tuple[str, str]] = []
        self.update(headers, **fields)

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __setitem__(self, name: str, value: str) -> None:
        self._items.append((name, value))

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._items = [item for item in self._items if item[0].lower() != name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(each.lower() == name.lower() for each, _ in self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._items))

    def __len__(self) -> int:
        return len(set(self))

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self._items) + "\r\n"

    def get_all(self, name: str) -> list[str]:
        """The values of all fields of that name, in their order."""
        return [value for each, value in self._items if each.lower() == name.lower()]

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Every field as it was given."""
        return iter(list(self._items))

    def copy(self) -> Headers:
        """The same fields in another object."""
        return Headers(self._items)

    def clear(self) -> None:
        """Remove every field."""
        self._items = []

    def tokens(self, name: str) -> list[str]:
        """The comma-separated tokens of all fields of that name."""
        return [token for value in self.get_all(name) for each in value.split(",") if (token := each.strip())]


@dataclass(slots=True)
class Request:
    """An upgrade request: `path` with its query, and `headers`."""

    path: str
    headers: Headers = field(default_factory=Headers)


@dataclass(slots=True)
class Response:
    """An HTTP answer. body: as far as it was kept (4 KiB), transfer coding not removed; a server sends it as it is."""

    status_code: int
    reason_phrase: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def serialize(self) -> bytes:
        """The answer as it goes on the wire."""
        head = f"HTTP/1.1 {self.status_code} {self.reason_phrase}\r\n{self.headers}"
        return head.encode("latin-1") + self.body


def _fields(lines: list[str]) -> Headers:
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return headers


def parse_request(data: bytes) -> Request:
    """Head of a request that the C core has accepted as HTTP, or has made; lenient, raises nothing."""
    lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    return Request(parts[1] if len(parts) > 1 else "", _fields(lines[1:]))


def parse_response(data: bytes) -> Response:
    """Head (and what follows it) of an answer that the C core has accepted as HTTP; lenient, raises nothing."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    status = int(parts[1]) if len(parts) > 1 and re.fullmatch(r"[0-9]{1,9}", parts[1]) else 0
    return Response(status, parts[2] if len(parts) > 2 else "", _fields(lines[1:]), body)
