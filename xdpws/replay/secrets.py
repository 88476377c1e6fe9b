"""Key logs (SSLKEYLOGFILE) and what of a captured TLS handshake is needed with them."""
from __future__ import annotations

from dataclasses import dataclass

_HANDSHAKE, _CLIENT_HELLO, _SERVER_HELLO = 22, 1, 2
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 4.1.3
_SUPPORTED_VERSIONS = 43


@dataclass(frozen=True, slots=True)
class Hello:
    """version: 12 or 13 (0: another). suite: as in the ServerHello."""

    version: int
    suite: int
    client_random: bytes
    server_random: bytes


class KeyLog:
    """Secrets by client random and label."""

    def __init__(self, content: str) -> None:
        self._secrets: dict[bytes, dict[str, bytes]] = {}
        for line in content.splitlines():
            words = line.split()
            if len(words) != 3 or line.startswith("#"):
                continue
            try:
                client_random, secret = bytes.fromhex(words[1]), bytes.fromhex(words[2])
            except ValueError:
                continue
            self._secrets.setdefault(client_random, {})[words[0]] = secret

    def __len__(self) -> int:
        return len(self._secrets)

    def of(self, hello: Hello) -> tuple[bytes, bytes] | None:
        """Client and server secret of TLS 1.3, the master secret twice of 1.2; None: not in the log."""
        found = self._secrets.get(hello.client_random, {})
        labels = (("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0") if hello.version == 13
                  else ("CLIENT_RANDOM", "CLIENT_RANDOM"))
        secrets = [found.get(label, b"") for label in labels]
        return (secrets[0], secrets[1]) if all(secrets) else None


def _messages(stream: bytes) -> list[tuple[int, bytes]]:
    """Handshake messages in the clear at the stream's begin: type, body."""
    content, at = bytearray(), 0
    while at + 5 <= len(stream) and stream[at] == _HANDSHAKE and stream[at + 1] == 3:
        size = int.from_bytes(stream[at + 3:at + 5], "big")
        content += stream[at + 5:at + 5 + size]
        at += 5 + size
    messages, at = [], 0
    while at + 4 <= len(content):
        size = int.from_bytes(content[at + 1:at + 4], "big")
        messages.append((content[at], bytes(content[at + 4:at + 4 + size])))
        at += 4 + size
    return messages


def is_tls(stream: bytes) -> bool:
    """Whether a client's octets begin a TLS handshake."""
    return len(stream) > 5 and stream[0] == _HANDSHAKE and stream[1] == 3 and stream[5] == _CLIENT_HELLO


def _version(body: bytes) -> int:
    """Of a ServerHello: 12, 13, or 0."""
    version = int.from_bytes(body[:2], "big")
    at = 35 + body[34] + 3
    end = at + 2 + int.from_bytes(body[at:at + 2], "big")
    at += 2
    while at + 4 <= min(end, len(body)):
        kind, size = int.from_bytes(body[at:at + 2], "big"), int.from_bytes(body[at + 2:at + 4], "big")
        if kind == _SUPPORTED_VERSIONS and size == 2:
            version = int.from_bytes(body[at + 4:at + 6], "big")
        at += 4 + size
    return {0x0303: 12, 0x0304: 13}.get(version, 0)


def read_hello(client: bytes, server: bytes) -> Hello | None:
    """From the beginnings of both streams; None when they hold no two hellos."""
    client_random = next((body[2:34] for kind, body in _messages(client)
                          if kind == _CLIENT_HELLO and len(body) > 34), b"")
    hellos = _server_hellos(server)
    if len(client_random) != 32 or not hellos:
        return None
    body = hellos[-1]
    at = 35 + body[34]
    return Hello(_version(body), int.from_bytes(body[at:at + 2], "big"), client_random, body[2:34])


def _server_hellos(server: bytes) -> list[bytes]:
    """ServerHello; behind a HelloRetryRequest and a ChangeCipherSpec for middleboxes too."""
    found: list[bytes] = []
    while server:
        found += [body for kind, body in _messages(server) if kind == _SERVER_HELLO and len(body) >= 38
                  and body[2:34] != _RETRY]
        at = 0
        while at + 5 <= len(server) and server[at] == _HANDSHAKE:
            at += 5 + int.from_bytes(server[at + 3:at + 5], "big")
        if found or server[at:at + 1] != b"\x14":
            break
        server = server[at + 6:]
    return found
