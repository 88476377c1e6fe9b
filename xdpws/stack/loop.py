"""`Loop`: polls one engine and walks its events to the connections' handlers. The only hot Python of the package."""
from __future__ import annotations

import time
from typing import Any

from xdpws._enums import Err
from xdpws._ffi import ffi, lib
from xdpws.stack.connection import LAYERS, Closed, Connection, Handler
from xdpws.stack.engine import Engine

_MESSAGE: int = lib.XW_EV_MESSAGE


def _bytes(event: Any) -> bytes:
    return bytes(ffi.buffer(event.data, event.len)) if event.len else b""


class Loop:
    """Belongs to the engine's thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._members: dict[int, tuple[Connection, Handler]] = {}
        self._next_user = 1
        self._at = 0     # next event of the array to walk
        self._count = 0  # events in the array

    def __len__(self) -> int:
        return len(self._members)

    def has(self, user: int) -> bool:
        """Whether the connection that bears `user` still has events to come."""
        return user in self._members

    def reserve(self) -> int:
        """A number for a connection about to be opened (`xw_conn_cfg.user`)."""
        self._next_user += 1
        return self._next_user

    def add(self, user: int, connection: Connection, handler: Handler) -> None:
        """Events that bear `user` go to `handler` from now on."""
        self._members[user] = (connection, handler)

    def step(self, spin_ns: int = 0) -> int:
        """One poll and its events; returns how many there were. spin_ns: how long to spin when there is nothing.

        When a handler raises, the exception goes to the caller and the next step goes on with the event behind it:
        nothing is lost.
        """
        engine = self.engine
        if self._at == self._count:
            self._at = 0
            self._count = engine.spin(spin_ns) if spin_ns else engine.poll(time.monotonic_ns())
            if not self._count:
                return 0
        events = engine.views
        members = self._members
        for i in range(self._at, self._count):
            self._at = i + 1
            event = events[i]
            member = members.get(event.user)
            if member is None:
                continue
            if event.type == _MESSAGE:
                member[1].on_message(event)
            else:
                self._other(event, member[0], member[1])
        return self._count

    def _other(self, event: Any, connection: Connection, handler: Handler) -> None:
        kind = event.type
        if kind == lib.XW_EV_OPEN:
            handler.on_open(_bytes(event))
        elif kind == lib.XW_EV_PING:
            handler.on_ping(_bytes(event))
        elif kind == lib.XW_EV_PONG:
            handler.on_pong(_bytes(event))
        elif kind == lib.XW_EV_CLOSING:
            handler.on_closing(event.code, _bytes(event).decode("utf-8", "replace"))
        elif kind == lib.XW_EV_REJECTED:
            handler.on_rejected(_bytes(event))
        elif kind == lib.XW_EV_READABLE:
            handler.on_readable()
        elif kind == lib.XW_EV_WRITABLE:
            handler.on_writable()
        elif kind == lib.XW_EV_CLOSED:
            del self._members[event.user]
            connection.closed = Closed(LAYERS[event.layer], Err(event.error), event.code, event.sent,
                                       bool(event.by_peer), _bytes(event).decode("utf-8", "replace"))
            handler.on_closed(connection.closed)
