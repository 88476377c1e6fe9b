"""The asyncio face: `connect`, `serve` and what they give. Names and behaviour as users of `websockets` know them."""
from xdpws.aio.connect import connect
from xdpws.aio.connection import ClientConnection, Connection
from xdpws.aio.reconnect import Backoff
from xdpws.aio.server import Server, broadcast, serve, unix_serve
from xdpws.aio.server_connection import ServerConnection, basic_auth
from xdpws.aio.state import State

__all__ = ["Backoff", "ClientConnection", "Connection", "Server", "ServerConnection", "State", "basic_auth",
           "broadcast", "connect", "serve", "unix_serve"]
