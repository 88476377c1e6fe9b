"""xdpws: exchange market data over `wss://`, by kernel-bypass AF_XDP or over a kernel socket with the same API.

* `xdpws.connect(url)`: asyncio, in the manner of `websockets`
* `xdpws.Client(url, on_message=...)`: callbacks from a polling thread, the lowest latency
* `xdpws.stack.Stream`: raw TCP or TLS, for FIX and its like

Names are loaded when they are first used, so that what needs no C extension (the simulator) runs without it.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdpws.aio import ClientConnection, connect
    from xdpws.client import Client, Session
    from xdpws.compiled import CompiledHandler
    from xdpws.config import DeflateOptions, EngineConfig, TlsOptions, XdpOptions
    from xdpws.messages import Message
    from xdpws.timestamps import Histogram, Stamps

__version__ = "0.1.0"

_HOME = {"ClientConnection": "aio", "connect": "aio", "Client": "client", "Session": "client",
         "CompiledHandler": "compiled",
         "DeflateOptions": "config", "EngineConfig": "config", "TlsOptions": "config", "XdpOptions": "config",
         "Message": "messages", "Histogram": "timestamps", "Stamps": "timestamps"}

__all__ = ["Client", "ClientConnection", "CompiledHandler", "DeflateOptions", "EngineConfig", "Histogram", "Message",
           "Session", "Stamps", "TlsOptions", "XdpOptions", "connect"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'xdpws' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"xdpws.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
