"""Host names to IPv4 addresses, with the system's resolver. Blocking; asyncio callers run it in a thread."""
from __future__ import annotations

import socket
from ipaddress import IPv4Address

from xdpws.errors import SetupError


def resolve_host(host: str) -> list[IPv4Address]:
    """The addresses of `host` in the resolver's order, each once. SetupError if there is none."""
    try:
        return [IPv4Address(host)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise SetupError(f"resolve {host}", error.strerror or str(error), f"getent ahostsv4 {host}") from None
    return list(dict.fromkeys(IPv4Address(entry[4][0]) for entry in found))
