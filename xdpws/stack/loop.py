"""`Loop`: polls one engine and hands its events to the connections' handlers.

The walk itself is `xdpws._hot.Walker` (csrc/python, docs/hot-loop.md): it calls the callbacks of bound connections
directly, and this module for every other event.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NoReturn

from xdpws._enums import Err
from xdpws._ffi import fail, ffi, lib
from xdpws._hot import EVENT_SIZE, Binding, Message, Walker
from xdpws.compiled import CompiledHandler
from xdpws.errors import UsageError
from xdpws.stack.connection import LAYERS, Closed, Connection, Handler
from xdpws.stack.engine import Engine
from xdpws.timestamps import Stamps

if ffi.sizeof("struct xw_event") != EVENT_SIZE:
    raise ImportError("xdpws._hot and xdpws._core were built from different sources; run: make ext")

_MESSAGE: int = lib.XW_EV_MESSAGE


def _bytes(event: Any) -> bytes:
    return bytes(ffi.buffer(event.data, event.len)) if event.len else b""


def _address(thing: Any) -> int:
    return int(ffi.cast("uintptr_t", thing))


def _function(name: str) -> int:
    return _address(ffi.addressof(lib, name))


def _failed(code: int) -> NoReturn:
    if code == Err.ECLOSED:
        raise UsageError("the engine was closed")
    if code == Err.ESTATE:
        raise UsageError("a callback must not poll: the events are being walked already")
    fail(code, "poll the engine")


class Loop:
    """Belongs to the engine's thread.

    on_batch: called with a list of messages of bound connections instead of their callbacks.
    """

    def __init__(self, engine: Engine, on_batch: Callable[[list[Message]], object] | None = None) -> None:
        self.engine = engine
        self._members: dict[int, tuple[Connection, Handler]] = {}
        self._next_user = 1
        self._walker = Walker(
            engine=_address(engine.handle), events=_address(engine.events), batch=engine.batch,
            poll=_function("xw_poll"), spin=_function("xw_poll_spin"), deadline=_function("xw_engine_deadline"),
            wait=_function("xw_engine_wait"), send=_function("xw_conn_send"), clock=_function("xw_monotonic_ns"),
            on_event=self._event, on_error=_failed, on_batch=on_batch, stamps=Stamps,
            record=_function("xw_stages_record") if engine.stages else 0)
        engine.watch(self._walker.wake_fd, True)

    def __len__(self) -> int:
        return len(self._members)

    def has(self, user: int) -> bool:
        """Whether the connection that bears `user` still has events to come."""
        return user in self._members

    def reserve(self) -> int:
        """A number for a connection about to be opened (`xw_conn_cfg.user`)."""
        self._next_user += 1
        return self._next_user

    def add(self, connection: Connection, handler: Handler) -> None:
        """Events of `connection` go to `handler` from now on."""
        self._members[connection.user] = (connection, handler)

    def bind(self, connection: Connection, callback: Callable[[Message], object] | CompiledHandler | None,
             session: object) -> Binding:
        """Messages of `connection` go to callback(message), with message.session = session, and no longer to its
        handler. callback None: to the loop's on_batch."""
        if isinstance(callback, CompiledHandler):
            return self._walker.bind(connection.id, connection.user, None, session, compiled=callback.address,
                                     context=callback.context)
        return self._walker.bind(connection.id, connection.user, callback, session)

    def unbind(self, connection: Connection) -> None:
        """Messages of `connection` go to its handler again."""
        self._walker.unbind(connection.id)

    def step(self, spin_ns: int = 0) -> int:
        """One poll and its events; returns how many there were. spin_ns: how long to spin when there is nothing.

        When a handler raises, the exception goes to the caller and the next step goes on with the event behind it:
        nothing is lost.
        """
        return self._walker.step(spin_ns)

    def run(self, busy: bool, until_ns: int) -> bool:
        """Step again and again in C until an event that is no message was handled, `stop`, or until_ns
        (CLOCK_MONOTONIC); or a descriptor that the engine watches is readable: True. busy: spins when there is nothing,
        else blocks. Exceptions as in `step`."""
        return self._walker.run(busy, until_ns)

    @property
    def stopped(self) -> bool:
        """Whether `stop`, or a compiled handler's result, ended the last `run`."""
        return self._walker.stopped

    def stop(self) -> None:
        """End `run` behind the event that is being handled; from any thread."""
        self._walker.stop()

    def close(self) -> None:
        """The engine is about to be closed: what waits in the array is not handled any more."""
        self._walker.close()

    def _event(self, index: int) -> None:
        event = self.engine.views[index]
        member = self._members.get(event.user)
        if member is None:
            return
        if event.type == _MESSAGE:
            self._message(event, member[1])
        else:
            self._other(event, member[0], member[1])

    def _message(self, event: Any, handler: Handler) -> None:
        if self.engine.stages is None:
            handler.on_message(event)
            return
        user_ns = time.monotonic_ns()
        handler.on_message(event)
        if not self.engine.closed:
            lib.xw_stages_record(self.engine.handle, ffi.addressof(event), 1, user_ns)

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
        elif kind == lib.XW_EV_REQUEST:
            handler.on_request(_bytes(event), event.code)
        elif kind == lib.XW_EV_READABLE:
            handler.on_readable()
        elif kind == lib.XW_EV_WRITABLE:
            handler.on_writable()
        elif kind == lib.XW_EV_CLOSED:
            del self._members[event.user]
            self._walker.unbind(event.conn)
            lib.xw_stages_end(self.engine.handle, event.conn)
            connection.closed = Closed(LAYERS[event.layer], Err(event.error), event.code, event.sent,
                                       bool(event.by_peer), _bytes(event).decode("utf-8", "replace"))
            handler.on_closed(connection.closed)
