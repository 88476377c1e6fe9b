"""The asyncio face: `connect` and what it gives. Names and behaviour as users of `websockets` know them."""
from xdpws.aio.connect import connect
from xdpws.aio.connection import ClientConnection
from xdpws.aio.reconnect import Backoff

__all__ = ["Backoff", "ClientConnection", "connect"]
