"""The socket an exchange listens on, and the URL that leads to it."""
from __future__ import annotations

import socket

from xdpws.errors import SetupError

__all__ = ["listen", "url_of"]

_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """A listening, non-blocking socket. Raises `SetupError` with what to look at."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        hint = f"ss -ltnp 'sport = :{port}'  (who listens there), or --listen {host}:0 for a free port"
        if isinstance(exc, socket.gaierror) or exc.errno == 99:
            hint = "ip -brief address  (the addresses of this host)"
        raise SetupError(f"listen on {host}:{port}", exc.strerror or str(exc), hint, exc.errno) from None
    return listener


def url_of(host: str, port: int, plain: bool) -> str:
    """`wss://HOST:PORT` without a path; a wildcard address is given as the loopback one."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(host, host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'ws' if plain else 'wss'}://{host}:{port}"
