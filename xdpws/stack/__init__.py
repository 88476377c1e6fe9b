"""Typed faces of the C core: engine, connections, the poll loop, transports, and raw TCP streams."""
from xdpws.stack.stream import Stream

__all__ = ["Stream"]
