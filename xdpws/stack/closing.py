"""From how a connection ended to the exception that says so."""
from __future__ import annotations

from xdpws._enums import Err
from xdpws.errors import (
    ConnectError,
    InternalError,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    OpenTimeout,
    SetupError,
    TlsError,
)
from xdpws.http import Response
from xdpws.stack.connection import Closed


def open_error(closed: Closed, response: Response | None, target: str) -> Exception:
    """Why a connection to `target` was not established; `response`: an answer to the upgrade other than 101."""
    if response is not None:
        return InvalidStatus(response)
    text = f"connect to {target}: {closed.text}"
    if closed.error == Err.EBUG:
        return InternalError(text)
    if closed.error == Err.ETIMEDOUT:
        return OpenTimeout(text)
    if closed.layer == "tls":
        return TlsError(text)
    if closed.layer in ("net", "tcp"):
        return ConnectError(text)
    if closed.layer in ("http", "websocket"):
        return InvalidMessage(text)
    return InvalidHandshake(text) if closed.layer else SetupError(f"connect to {target}", closed.text)
