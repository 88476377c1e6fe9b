"""`ClientConnection`: one WebSocket connection for asyncio."""
from __future__ import annotations

import asyncio
import enum
import random
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

from xdpws._ffi import ffi
from xdpws.aio.driver import Driver
from xdpws.errors import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    UsageError,
)
from xdpws.http import Close, Response, parse_response
from xdpws.stack.closing import open_error
from xdpws.stack.connection import Closed, Connection
from xdpws.stack.engine import stamps_of
from xdpws.timestamps import Stamps
from xdpws.uri import WebSocketURI

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_ORDERLY = frozenset({1000, 1001, 1005})


class State(enum.IntEnum):
    """As in RFC 6455 and `websockets`."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


@dataclass(slots=True)
class _Outgoing:
    opcode: int
    data: bytes  # of a close frame: its reason
    done: asyncio.Future[None]
    code: int = 0
    offset: int = -1  # -1: not begun


class ClientConnection:
    """Made by `xdpws.connect`. Everything belongs to the loop that made it.

    transport: "xdp" or "socket", and transport_reason why. Received messages wait in a queue of at most max_queue; when
    it is full the connection is paused, the TCP window closes and the peer has to wait: nothing is dropped.
    """

    def __init__(self, driver: Driver, uri: WebSocketURI, max_queue: int, stamps: bool,
                 close_timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        self.uri = uri
        self.state = State.CONNECTING
        self.response: Response | None = None
        self.latency = 0.0
        """Seconds that the last pong took; 0 before the first."""
        self.stamps: Stamps | None = None
        """Of the message that the last recv gave, when connect(stamps=True)."""
        self._driver = driver
        self._connection: Connection | None = None
        self._rejected: Response | None = None
        self._max_queue = max_queue
        self._close_timeout = close_timeout
        self._cut: asyncio.TimerHandle | None = None
        self._paused = False
        self._resumed_at = 0.0
        self._keep_stamps = stamps
        self._queue: deque[tuple[int, bytes, Stamps | None]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._opening: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._outgoing: deque[_Outgoing] = deque()
        self._pings: dict[bytes, tuple[asyncio.Future[float], float]] = {}
        self._rcvd: Close | None = None
        self._sent: Close | None = None
        self._ending: tuple[type[ConnectionClosed], bool | None, str] | None = None
        self._keepalive: asyncio.Task[None] | None = None

    # ---- what users see ------------------------------------------------------------------------------------------

    @property
    def transport(self) -> str:
        """ "xdp" or "socket"."""
        return self._connection.transport if self._connection else ""

    @property
    def transport_reason(self) -> str:
        """Why this transport runs, for people."""
        return self._connection.transport_reason if self._connection else ""

    @property
    def subprotocol(self) -> str | None:
        """What the server chose of those offered."""
        return self.response.headers.get("Sec-WebSocket-Protocol") if self.response else None

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame; 1006 when there was none; None while open."""
        return None if self._ending is None else self._rcvd.code if self._rcvd else 1006

    @property
    def close_reason(self) -> str | None:
        """Reason of the peer's close frame; None while open."""
        return None if self._ending is None else self._rcvd.reason if self._rcvd else ""

    def info(self) -> dict[str, int | str]:
        """State and figures of TCP and TLS, and the drop counters are in `drops()`."""
        return self._connection.info() if self._connection and self.state is not State.CLOSED else {}

    async def __aenter__(self) -> ClientConnection:
        return self

    async def __aexit__(self, exc_type: object, *_: object) -> None:
        await self.close(1000 if exc_type is None else 1011)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages until the connection closes in order; ConnectionClosedError is raised otherwise."""
        try:
            while True:
                yield await self.recv()
        except ConnectionClosedOK:
            return

    async def recv(self, decode: bool | None = None) -> Any:
        """The next message: str for text, bytes for binary; decode=True or False forces one of them.

        Raises ConnectionClosed (OK or Error) when the connection has ended and all messages were received, and
        ConcurrencyError when another task is receiving. Cancelling it loses nothing.
        """
        while not self._queue:
            if self._ending is not None:
                raise self.ended
            if self._reader is not None:
                raise ConcurrencyError("another task is receiving from this connection")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        opcode, data, self.stamps = self._queue.popleft()
        if self._paused and len(self._queue) <= self._max_queue // 4:
            self._pause(False)
        if opcode == _TEXT if decode is None else decode:
            return data.decode()
        return data

    async def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Send one message, str as text; waits while there is no room.

        Cancelling it takes the message back, unless a part of it has left: then the rest follows.
        """
        if isinstance(message, str):
            opcode, data = _TEXT, message.encode()
        elif isinstance(message, bytes | bytearray | memoryview):
            opcode, data = _BINARY, bytes(message)
        else:
            raise TypeError(f"message must be str or bytes, not {type(message).__name__}")
        await self._send(opcode, data)

    async def ping(self, data: str | bytes | None = None) -> Awaitable[float]:
        """Send a ping; the awaitable it gives is done when its pong comes, with the latency in seconds."""
        if data is None:
            data = struct.pack(">I", random.getrandbits(32))
            while data in self._pings:
                data = struct.pack(">I", random.getrandbits(32))
        raw = data.encode() if isinstance(data, str) else bytes(data)
        if raw in self._pings:
            raise ConcurrencyError("a ping with the same data is under way")
        self._check_control(raw)
        waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._pings[raw] = (waiter, time.monotonic())
        await self._send(_PING, raw)
        return waiter

    async def pong(self, data: str | bytes = b"") -> None:
        """Send a pong that nobody asked for. Pings are answered without it."""
        raw = data.encode() if isinstance(data, str) else bytes(data)
        self._check_control(raw)
        await self._send(_PONG, raw)

    @staticmethod
    def _check_control(raw: bytes) -> None:
        if len(raw) > 125:
            raise UsageError(f"the data of a ping or pong is at most 125 bytes, not {len(raw)}")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The close handshake, after what is being sent; returns when the connection has ended.

        Messages that still come can be received, as many as max_queue; more are thrown away. Repeating it does no harm.
        """
        self._begin_close(code, reason)
        await self.wait_closed()

    def _begin_close(self, code: int, reason: str) -> None:
        raw = reason.encode()
        if not ((1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999):
            raise UsageError(f"{code} is no close code that may be sent: 1000 to 1014 and 3000 to 4999")
        if len(raw) > 123:
            raise UsageError(f"the reason of a close frame is at most 123 bytes, not {len(raw)}")
        if self.state is not State.OPEN:
            return
        loop = asyncio.get_running_loop()
        self._outgoing.append(_Outgoing(_CLOSE, raw, loop.create_future(), code))
        self.state = State.CLOSING
        self._pause(False)
        self._drain()
        if self._outgoing and self._close_timeout is not None:
            self._cut = loop.call_later(self._close_timeout, self._abort)
        self._driver.kick()

    def _abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._driver.kick()

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await asyncio.shield(self._closed)

    # ---- opening, by connect() -----------------------------------------------------------------------------------

    async def _established(self, connection: Connection, ping_interval: float | None,
                           ping_timeout: float | None) -> None:
        self._connection = connection
        self._driver.kick()
        try:
            await self._opening
        except asyncio.CancelledError:
            connection.abort()
            self._driver.kick()
            raise
        if ping_interval is not None:
            self._keepalive = asyncio.create_task(self._keep_alive(ping_interval, ping_timeout),
                                                  name="xdpws keepalive")

    async def _keep_alive(self, interval: float, limit: float | None) -> None:
        try:
            while True:
                await asyncio.sleep(interval)
                await self._alive(limit)
        except TimeoutError:
            self._begin_close(1011, "keepalive ping timeout")
        except ConnectionClosed:
            return

    async def _alive(self, limit: float | None) -> None:
        """One ping and its pong; TimeoutError when it does not come. While the queue is full no pong can come, and that
        is not the peer's fault."""
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(limit):
                    await (await self.ping())
                return
            except TimeoutError:
                if not self._paused and self._resumed_at < began:
                    raise

    # ---- sending -------------------------------------------------------------------------------------------------

    async def _send(self, opcode: int, data: bytes) -> None:
        if self.state is not State.OPEN:
            await self.wait_closed()
            raise self.ended
        item = _Outgoing(opcode, data, asyncio.get_running_loop().create_future())
        self._outgoing.append(item)
        self._drain()
        self._driver.kick()
        try:
            await item.done
        except asyncio.CancelledError:
            if item.offset < 0 and item in self._outgoing:
                self._outgoing.remove(item)
            raise

    def _drain(self) -> None:
        """Give what waits to the engine, in order, as far as there is room. A message that has begun is always
        finished, also when a close frame has come meanwhile; then nothing else is begun."""
        connection = self._connection
        while self._outgoing and connection is not None and self.state is not State.CLOSED:
            item = self._outgoing[0]
            if item.offset < 0 and self._rcvd is not None:
                return
            if item.opcode == _CLOSE:
                connection.close(item.code, item.data.decode())
                self._sent = Close(item.code, item.data.decode())
                item.offset = len(item.data)
            if item.offset < 0:
                item.offset = connection.send(item.opcode, item.data)
                if item.offset < 0:
                    return
            if item.offset < len(item.data):
                item.offset += connection.send_more(memoryview(item.data)[item.offset:])
                if item.offset < len(item.data):
                    return
            self._outgoing.popleft()
            if not item.done.done():
                item.done.set_result(None)

    # ---- receiving -----------------------------------------------------------------------------------------------

    def _pause(self, paused: bool) -> None:
        if paused != self._paused and self._connection is not None and self.state is not State.CLOSED:
            self._paused = paused
            self._resumed_at = time.monotonic()
            self._connection.pause(paused)
            self._driver.kick()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    @property
    def ended(self) -> ConnectionClosed:
        """How the connection ended; only after it has."""
        """What to raise: a new exception for each that asks."""
        assert self._ending is not None
        kind, then, text = self._ending
        return kind(self._rcvd, self._sent, then, text)

    # ---- events of the engine (xdpws.stack.connection.Handler) -----------------------------------------------------

    def on_open(self, head: bytes) -> None:
        self.response = parse_response(head)
        self.state = State.OPEN
        if not self._opening.done():
            self._opening.set_result(None)

    def on_message(self, event: Any) -> None:
        if self.state is State.CLOSING and len(self._queue) >= self._max_queue:
            return
        stamps = stamps_of(event, time.monotonic_ns()) if self._keep_stamps else None
        self._queue.append((event.opcode, bytes(ffi.buffer(event.data, event.len)), stamps))
        if len(self._queue) >= self._max_queue and self.state is State.OPEN:
            self._pause(True)
        self._wake()

    def on_ping(self, payload: bytes) -> None:
        """Answered in C already."""

    def on_pong(self, payload: bytes) -> None:
        if payload not in self._pings:
            return
        now = time.monotonic()
        # A pong answers its own ping and all that were sent before it (RFC 6455 section 5.5.3).
        for data in list(self._pings):
            waiter, sent_at = self._pings.pop(data)
            if not waiter.done():
                waiter.set_result(now - sent_at)
            if data == payload:
                self.latency = now - sent_at
                return

    def on_closing(self, code: int, reason: str) -> None:
        self._rcvd = Close(code, reason)
        if self.state is State.OPEN:
            self.state = State.CLOSING

    def on_rejected(self, answer: bytes) -> None:
        self._rejected = parse_response(answer)

    def on_readable(self) -> None:
        """WebSocket connections have none."""

    def on_writable(self) -> None:
        self._drain()

    def on_closed(self, closed: Closed) -> None:
        opened = self.state is not State.CONNECTING
        self.state = State.CLOSED
        if not closed.sent:
            self._sent = None
        elif self._sent is None or self._sent.code != closed.sent:
            self._sent = Close(closed.sent)  # an echo, which bears no reason, or a fault found by the core
        orderly = (self._rcvd is not None and self._rcvd.code in _ORDERLY
                   and self._sent is not None and self._sent.code in _ORDERLY)
        then = None if self._rcvd is None or self._sent is None else closed.by_peer
        self._ending = (ConnectionClosedOK if orderly else ConnectionClosedError, then, closed.text)
        if not opened and not self._opening.done():
            self._opening.set_exception(open_error(closed, self._rejected, self.uri.url))
        for waiter, _ in self._pings.values():
            if not waiter.done():
                waiter.set_exception(self.ended)
                waiter.exception()  # somebody may never ask
        self._pings.clear()
        for item in self._outgoing:
            if not item.done.done():
                item.done.set_exception(self.ended)
                item.done.exception()
        self._outgoing.clear()
        if self._keepalive is not None:
            self._keepalive.cancel()
        if self._cut is not None:
            self._cut.cancel()
        if not self._closed.done():
            self._closed.set_result(None)
        self._wake()
        self._driver.release()
