"""What a callback gets.

`Message` is made by the extension `xdpws._hot` (csrc/python/message.c) and valid in the callback only:

data: the payload, a read-only memoryview of the receive buffer; using it later raises ValueError (keep
`bytes(msg.data)`). binary: False for text (its bytes are UTF-8). text: decoded, a copy. stamps: `xdpws.Stamps`.
session: the connection that it came on (`xdpws.Session`). bytes(msg), len(msg) and the buffer protocol work too:
`struct.unpack_from(fmt, msg)` needs no memoryview. Views and stamps are made when they are asked for.
"""
from __future__ import annotations

from xdpws._hot import Message

__all__ = ["Message"]
