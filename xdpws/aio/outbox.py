"""`Outbox`: what a connection has been given to send and the engine has not taken yet, in order.

The engine takes what fits its send ring. What does not waits here, and whoever gave it waits too (`Outgoing.done`);
so the ring and one message of each waiting sender are all that is ever kept. `broadcast` alone does not wait: its
limit is `waiting_len`.
"""
from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from xdpws.http import Close
from xdpws.stack.connection import Connection

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
Payload = bytes | bytearray | memoryview


@dataclass(slots=True)
class Outgoing:
    """A frame that waits. of a close frame, data is its reason; offset -1: not begun."""

    opcode: int
    fin: bool
    data: bytes
    done: asyncio.Future[None]
    code: int = 0
    offset: int = -1


class Outbox:
    """Belongs to one connection and its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[Outgoing] = deque()
        self._connection: Connection | None = None
        self._beginning = True
        self.close_sent: Close | None = None
        self.waiting_len = 0
        """Bytes that wait here."""

    def __bool__(self) -> bool:
        return bool(self._items)

    def attach(self, connection: Connection) -> None:
        """Where everything goes from now on."""
        self._connection = connection

    def put(self, opcode: int, fin: bool, data: Payload, code: int = 0) -> Outgoing | None:
        """Give a frame to send: None if the engine has taken all of it, else what waits."""
        taken = -1
        if not self._items and self._beginning and opcode != CLOSE and self._connection is not None:
            taken = self._begin(self._connection, opcode, fin, data)
            if taken == len(data):
                return None
        item = Outgoing(opcode, fin, bytes(data), self._loop.create_future(), code, taken)
        self._items.append(item)
        self.waiting_len += len(item.data)
        if opcode == CLOSE:
            self.drain()
        return item

    @staticmethod
    def _begin(connection: Connection, opcode: int, fin: bool, data: Payload) -> int:
        return connection.send(opcode, data) if fin and opcode else connection.send_frame(opcode, fin, data)

    def take_back(self, item: Outgoing) -> bool:
        """Forget what waits, if nothing of it has left."""
        if item.offset >= 0 or item not in self._items:
            return False
        self._items.remove(item)
        self.waiting_len -= len(item.data)
        return True

    def take_all_back(self) -> None:
        """Forget all that waits and has not begun, as if it had been sent: nobody asks any more."""
        for item in list(self._items):
            if self.take_back(item) and not item.done.done():
                item.done.set_result(None)

    def drain(self) -> None:
        """Give what waits to the engine as far as there is room. A message that has begun is always finished, also when
        the peer's close frame has come meanwhile."""
        while self._items and self._connection is not None:
            item = self._items[0]
            if item.offset < 0 and not self._beginning:
                return
            if item.opcode == CLOSE:
                self._connection.close(item.code, item.data.decode())
                self.close_sent = Close(item.code, item.data.decode())
                item.offset = len(item.data)
            if item.offset < 0:
                item.offset = self._begin(self._connection, item.opcode, item.fin, item.data)
                if item.offset < 0:
                    return
            if item.offset < len(item.data):
                item.offset += self._connection.send_more(memoryview(item.data)[item.offset:])
                if item.offset < len(item.data):
                    return
            self._items.popleft()
            self.waiting_len -= len(item.data)
            if not item.done.done():
                item.done.set_result(None)

    def begin_no_more(self) -> None:
        """The peer's close frame came."""
        self._beginning = False

    def fail(self, error: Callable[[], Exception]) -> None:
        """The connection is gone: who waits is told so."""
        self._connection = None
        for item in self._items:
            if not item.done.done():
                item.done.set_exception(error())
                item.done.exception()  # somebody may never ask
        self._items.clear()
        self.waiting_len = 0
