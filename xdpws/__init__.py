"""xdpws: exchange market data over `wss://`, by kernel-bypass AF_XDP or over a kernel socket with the same API.

* `xdpws.connect(url)`: asyncio, in the manner of `websockets`
* `xdpws.Client(url, on_message=...)`: callbacks from a polling thread, the lowest latency
* `xdpws.stack.Stream`: raw TCP or TLS, for FIX and its like
"""
from importlib.metadata import PackageNotFoundError, version

from xdpws.aio import ClientConnection, connect
from xdpws.client import Client, Session
from xdpws.config import EngineConfig, TlsOptions, XdpOptions
from xdpws.messages import Message
from xdpws.timestamps import Histogram, Stamps

try:
    __version__ = version("xdpws")
except PackageNotFoundError:  # a checkout that was not installed
    __version__ = "0.1.0"

__all__ = ["Client", "ClientConnection", "EngineConfig", "Histogram", "Message", "Session", "Stamps", "TlsOptions",
           "XdpOptions", "connect"]
