"""xdpws: exchange market data over `wss://`, by kernel-bypass AF_XDP or over a kernel socket with the same API.

* `xdpws.connect(url)`: asyncio, in the manner of `websockets`; `xdpws.sync.connect(url)`: the same without asyncio
* `xdpws.serve(handler, host, port)`: a server for asyncio
* `xdpws.Client(url, on_message=...)`: callbacks from a polling thread, the lowest latency
* `xdpws.stack.Stream`: raw TCP or TLS, for FIX and its like

Names are loaded when they are first used, so that what needs no C extension (the simulator) runs without it.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdpws import errors, sync
    from xdpws.aio import (
        Backoff,
        ClientConnection,
        Connection,
        Server,
        ServerConnection,
        State,
        basic_auth,
        broadcast,
        connect,
        serve,
        unix_serve,
    )
    from xdpws.client import Client, Session
    from xdpws.compiled import CompiledHandler
    from xdpws.config import DeflateOptions, EngineConfig, Keepalive, TlsOptions, XdpOptions
    from xdpws.errors import (
        ConcurrencyError,
        ConnectionClosed,
        ConnectionClosedError,
        ConnectionClosedOK,
        InvalidHandshake,
        InvalidProxy,
        InvalidStatus,
        InvalidURI,
        SetupError,
        UsageError,
        WebSocketException,
        XdpwsError,
    )
    from xdpws.http import Close, Headers, Request, Response
    from xdpws.messages import Message
    from xdpws.timestamps import Histogram, Stamps

__version__ = "0.1.0"

__all__ = [
    "Backoff", "Client", "ClientConnection", "Close", "CompiledHandler", "ConcurrencyError", "Connection",
    "ConnectionClosed", "ConnectionClosedError", "ConnectionClosedOK", "DeflateOptions", "EngineConfig", "Headers",
    "Histogram", "InvalidHandshake", "InvalidProxy", "InvalidStatus", "InvalidURI", "Keepalive", "Message", "Request",
    "Response", "Server", "ServerConnection", "Session", "SetupError", "Stamps", "State", "TlsOptions", "UsageError",
    "WebSocketException", "XdpOptions", "XdpwsError", "basic_auth", "broadcast", "connect", "errors", "serve", "sync",
    "unix_serve",
]

_NAMES = {
    "aio": "Backoff ClientConnection Connection Server ServerConnection State basic_auth broadcast connect serve "
           "unix_serve",
    "client": "Client Session",
    "compiled": "CompiledHandler",
    "config": "DeflateOptions EngineConfig Keepalive TlsOptions XdpOptions",
    "errors": "ConcurrencyError ConnectionClosed ConnectionClosedError ConnectionClosedOK InvalidHandshake "
              "InvalidProxy InvalidStatus InvalidURI SetupError UsageError WebSocketException XdpwsError",
    "http": "Close Headers Request Response",
    "messages": "Message",
    "timestamps": "Histogram Stamps",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}
_MODULES = frozenset({"errors", "sync"})


if not TYPE_CHECKING:  # a checker would take it for a promise of any name
    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"xdpws.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'xdpws' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"xdpws.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
