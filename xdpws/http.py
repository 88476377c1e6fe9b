"""Values of the handshake and of the close: what a server answered, and close frames."""
from __future__ import annotations

import re
from dataclasses import dataclass, field

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


class Headers(dict[str, str]):
    """Header fields by lower-case name; repeated fields are joined by ", " (RFC 9110 section 5.3)."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The value of a field, in any case of letters."""
        return super().get(name.lower(), default)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer. body: as far as it was kept (4 KiB), transfer coding not removed."""

    status_code: int
    reason_phrase: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


def parse_response(data: bytes) -> Response:
    """Head (and what follows it) of an answer that the C core has accepted as HTTP; lenient, raises nothing."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    status = int(parts[1]) if len(parts) > 1 and re.fullmatch(r"[0-9]{1,9}", parts[1]) else 0
    headers = Headers()
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            value = value.strip()
            headers[key] = f"{dict.__getitem__(headers, key)}, {value}" if key in headers else value
    return Response(status, parts[2] if len(parts) > 2 else "", headers, body)
