"""`Connection`: one WebSocket connection for asyncio, what a client's and a server's have in common."""
from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import TracebackType
from typing import Any, Literal, overload

from xdpws._enums import Err
from xdpws.aio.driver import Driver
from xdpws.aio.outbox import BINARY, CLOSE, PING, PONG, TEXT, Outbox, Payload
from xdpws.aio.pings import Pings, control_payload
from xdpws.aio.state import State
from xdpws.aio.watch import Watch
from xdpws.config import Keepalive
from xdpws.errors import (
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    PayloadTooBig,
    ProtocolError,
    TlsError,
    UsageError,
    WebSocketException,
)
from xdpws.http import Close, Request, Response, parse_response
from xdpws.messages import Message
from xdpws.stack.closing import open_error
from xdpws.stack.connection import Closed
from xdpws.stack.connection import Connection as StackConnection
from xdpws.stack.runtime import Runtime
from xdpws.timestamps import Stamps
from xdpws.uri import WebSocketURI

_ORDERLY = frozenset({1000, 1001, 1005})

Data = str | bytes
DataLike = str | bytes | bytearray | memoryview
LoggerLike = logging.Logger | logging.LoggerAdapter[Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one connection. high, low: messages in the queue at which receiving pauses and resumes; None: never. The
    others are seconds, None: off."""

    high: int | None = 16
    low: int = 4
    close_timeout: float | None = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    idle_timeout: float | None = None
    keepalive: Keepalive | None = None
    stamps: bool = False


def queue_marks(max_queue: int | tuple[int | None, int | None] | None) -> tuple[int | None, int]:
    """High and low mark of the parameter `max_queue`; UsageError if there are none such."""
    high, low = max_queue if isinstance(max_queue, tuple) else (max_queue, None)
    if high is None:
        return None, 0
    low = high // 4 if low is None else low
    if high < 1 or not 0 <= low < high:
        raise UsageError(f"max_queue is {max_queue!r}; it must be at least 1, or (high, low) with low below high")
    return high, low


class Connection:
    """Everything belongs to the loop that made it; a call from another loop or thread raises UsageError.

    Receiving: messages wait in a queue. When it has reached its high mark (max_queue) the connection is paused until it
    is down to the low mark: the rings of the engine fill, the TCP window closes, and the peer has to wait. Nothing is
    dropped. Meanwhile pings that have come are answered and pongs are seen; when the peer closes or the connection
    breaks, what was received is put into the queue beyond the mark (the rings bound it) and the end is told.

    Sending: a message goes to the engine's send ring, and `send` waits while there is no room.
    """

    def __init__(self, driver: Driver, limits: Limits, logger: LoggerLike) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self.id: uuid.UUID = uuid.uuid4()
        """Unique identifier of the connection, for logs."""
        self.logger: LoggerLike = logger
        """Logger of this connection."""
        self.state: State = State.CONNECTING
        """State of the connection (RFC 6455). Programs rather call recv or send and handle ConnectionClosed."""
        self.request: Request | None = None
        """The upgrade request."""
        self.response: Response | None = None
        """The answer to it."""
        self.latency: float = 0.0
        """Seconds from the last ping to its pong; 0.0 before the first."""
        self.stamps: Stamps | None = None
        """Of the message that the last recv gave, when stamps were asked for."""
        self.paused = False
        """Whether the queue is full and the peer has to wait."""
        self._driver = driver
        self._limits = limits
        self._connection: StackConnection | None = None
        self._rejected: Response | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._queue: deque[tuple[bool, bytes, Stamps | None]] = deque()
        self._high = limits.high
        self._stamped = limits.stamps
        self._reader: asyncio.Future[None] | None = None
        self._opening: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._outbox = Outbox(loop)
        self._pings = Pings(loop)
        self._watch = Watch(self, limits.ping_interval, limits.ping_timeout, limits.keepalive, limits.idle_timeout)
        self._looks = self._watch.looks
        self._fragmenting: asyncio.Future[None] | None = None
        self._rcvd: Close | None = None
        self._sent: Close | None = None
        self._ending: tuple[type[ConnectionClosed], bool | None, str] | None = None
        self._cause: Exception | None = None
        self._local: Any = None
        self._remote: Any = None

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
    def local_address(self) -> Any:
        """(host, port) of our end; a path, or "", for a Unix socket."""
        return self._local

    @property
    def remote_address(self) -> Any:
        """(host, port) that we are connected to: the server's, the client's, or the proxy's."""
        return self._remote

    @property
    def subprotocol(self) -> str | None:
        """What the server chose of those offered; None: none."""
        return self.response.headers.get("Sec-WebSocket-Protocol") if self.response else None

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame; 1006 when there was none; None while open."""
        return None if self._ending is None else self._rcvd.code if self._rcvd else 1006

    @property
    def close_reason(self) -> str | None:
        """Reason of the peer's close frame; None while open."""
        return None if self._ending is None else self._rcvd.reason if self._rcvd else ""

    def find_local_address(self) -> tuple[str, int]:
        """What the engine says of our end."""
        figures = self.info()
        return str(IPv4Address(figures.get("local_ip", 0))), int(figures.get("local_port", 0))

    def info(self) -> dict[str, int | str]:
        """State and figures of TCP and TLS, by the names of `struct xw_conn_info`; {} when it is closed."""
        return self._connection.info() if self._connection and self.state is not State.CLOSED else {}

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Messages until the connection closes in order; ConnectionClosedError is raised otherwise."""
        try:
            while True:
                yield await self.recv()
        except ConnectionClosedOK:
            return

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...

    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...

    @overload
    async def recv(self, decode: bool | None = None) -> Data: ...

    async def recv(self, decode: bool | None = None) -> Data:
        """The next message: str for text, bytes for binary; decode=True or False forces one of them.

        Raises ConnectionClosed (OK or Error) when the connection has ended and all messages were received, and
        ConcurrencyError when another task is receiving. Cancelling it loses nothing.
        """
        self._here()
        while not self._queue:
            if self._ending is not None:
                raise self.ended
            if self._reader is not None:
                raise ConcurrencyError("cannot call recv while another task is receiving from this connection")
            if self.paused:
                self._pause(False)
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        taken = self._queue.popleft()
        if self.paused:
            self.resume()
        try:
            return self.decoded(taken, decode)
        except UnicodeDecodeError as error:
            raise await self.refuse(error) from error

    def waiting(self) -> deque[tuple[bool, bytes, Stamps | None]]:
        """The queue, for `xdpws.sync`: popleft may be called from one other thread, then `resume` in the loop."""
        return self._queue

    def decoded(self, taken: tuple[bool, bytes, Stamps | None], decode: bool | None) -> Data:
        """What recv gives for an entry of the queue; UnicodeDecodeError as it says."""
        binary, data, self.stamps = taken
        return data if decode is False or (decode is None and binary) else data.decode()

    def resume(self) -> None:
        """Let messages flow again, if the queue is down to its low mark."""
        if self.paused and len(self._queue) <= self._limits.low:
            self._pause(False)

    async def refuse(self, error: UnicodeDecodeError) -> ConnectionClosed:
        """A message is no text: end the connection (1007), and say how it ended."""
        self.begin_close(1007, f"{error.reason} at position {error.start}")
        await self.wait_closed()
        return self.ended

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """The next message in pieces. The engine puts messages together, so there is always one piece: the message."""
        yield await self.recv(decode)

    async def send(self, message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike], *,
                   text: bool | None = None) -> None:
        """Send one message: str as text, bytes and their like as binary; text=True or False forces one of them.

        Of an iterable or an asynchronous one each item is a frame of one message; all of one kind. Waits while there is
        no room. Cancelling it takes a message back, unless a part of it has left: then the rest of its frame follows,
        and a message of several frames that cannot be completed ends the connection (1011).

        Raises ConnectionClosed, and TypeError for anything else, a mapping included.
        """
        self._here()
        while self._fragmenting is not None:
            await asyncio.shield(self._fragmenting)
        if isinstance(message, str):
            await self._send(BINARY if text is False else TEXT, message.encode())
        elif isinstance(message, bytes | bytearray | memoryview):
            await self._send(TEXT if text else BINARY, _flat(message))
        elif isinstance(message, Mapping):
            raise TypeError("data is a dict-like object")
        elif isinstance(message, Iterable):
            await self._send_frames(_asynchronous(message), text)
        elif isinstance(message, AsyncIterable):
            await self._send_frames(message, text)
        else:
            raise TypeError(f"data must be str, bytes, iterable, or async iterable, not {type(message).__name__}")

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping; the awaitable it gives is done when its pong comes, with the latency in seconds.

        data: at most 125 bytes; four random ones by default. Raises ConnectionClosed, and ConcurrencyError when a ping
        with the same data is under way.
        """
        self._here()
        raw, waiter = self._pings.new(data)
        try:
            await self._send(PING, raw)
        except BaseException:
            self._pings.forget(raw)
            raise
        return waiter

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for. Pings are answered without it."""
        self._here()
        await self._send(PONG, control_payload(data))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The close handshake, after what is being sent; returns when the connection has ended.

        Messages that still come can be received, as many as max_queue; more are thrown away. Repeating it does no harm.
        """
        self._here()
        self.begin_close(code, reason)
        await self.wait_closed()

    def begin_close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the close handshake and do not wait for its end."""
        raw = reason.encode()
        if not ((1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999):
            raise UsageError(f"{code} is no close code that may be sent: 1000 to 1014 and 3000 to 4999")
        if len(raw) > 123:
            raise UsageError(f"the reason of a close frame is at most 123 bytes, not {len(raw)}")
        if self.state is not State.OPEN:
            return
        if self._fragmenting is not None:
            code, raw = 1011, b"close during fragmented message"
        self.state = State.CLOSING
        self._outbox.put(CLOSE, True, raw, int(code))
        self._pause(False)
        if self._outbox and self._limits.close_timeout is not None:
            self._cut = self._loop.call_later(self._limits.close_timeout, self.abort)
        self._driver.kick()

    def abort(self) -> None:
        """Cut the connection at once (RST), without a close handshake."""
        if self._connection is not None:
            self._connection.abort()
            self._driver.kick()

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        self._here()
        await asyncio.shield(self._closed)

    def push(self, opcode: int, data: bytes) -> int:
        """Give a message to send without waiting for room; returns how many bytes wait. For `broadcast`."""
        if self._fragmenting is not None:
            raise ConcurrencyError("sending a fragmented message")
        self._outbox.put(opcode, True, data)
        self._driver.kick()
        return self._outbox.waiting_len

    def drop_waiting(self) -> None:
        """Forget what was pushed and has not begun to leave."""
        self._outbox.take_all_back()

    @property
    def ended(self) -> ConnectionClosed:
        """What to raise now that the connection has ended: a new exception for each that asks."""
        assert self._ending is not None
        kind, then, text = self._ending
        error = kind(self._rcvd, self._sent, then, text)
        error.__cause__ = self._cause
        return error

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, exc_value: BaseException | None,
                        traceback: TracebackType | None) -> None:
        await self.close(1000 if exc_type is None else 1011)

    # ---- opening -------------------------------------------------------------------------------------------------

    def _attach(self, connection: StackConnection, runtime: Runtime) -> None:
        self._connection = connection
        self._outbox.attach(connection)
        runtime.loop.bind(connection, self._take, None)

    async def _opened(self) -> None:
        """Wait for the end of the handshake; an error of `closing.open_error` if it fails."""
        self._driver.kick()
        try:
            await self._opening
        except asyncio.CancelledError:
            self.abort()
            raise
        self._watch.start()

    def _here(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError("this connection belongs to another event loop; use asyncio.run_coroutine_threadsafe to "
                             "call it from another thread, or xdpws.sync.connect")

    # ---- sending -------------------------------------------------------------------------------------------------

    async def _send(self, opcode: int, data: Payload, fin: bool = True) -> None:
        if self.state is not State.OPEN:
            await self.wait_closed()
            raise self.ended
        item = self._outbox.put(opcode, fin, data)
        self._driver.kick()
        if item is None:
            return
        try:
            await item.done
        except asyncio.CancelledError:
            self._outbox.take_back(item)
            raise

    async def _send_frames(self, items: AsyncIterable[DataLike], text: bool | None) -> None:
        """Each item a frame, and an empty one at the end: when the last comes is not known."""
        self._fragmenting = self._loop.create_future()
        kind: type | None = None
        opcode = TEXT
        try:
            async for item in items:
                this = str if isinstance(item, str) else bytes
                if not isinstance(item, str | bytes | bytearray | memoryview):
                    raise TypeError("iterable must contain bytes or str")
                if kind is None:
                    opcode = TEXT if (this is str if text is None else text) else BINARY
                elif this is not kind:
                    raise TypeError("iterable must contain uniform types")
                await self._send(opcode if kind is None else 0, item.encode() if isinstance(item, str) else
                                 _flat(item), fin=False)
                kind = this
            if kind is not None:
                await self._send(0, b"")
        except BaseException:
            self._fragmenting.set_result(None)
            self._fragmenting = None
            if kind is not None:
                self.begin_close(1011, "error in fragmented message")
            raise
        self._fragmenting.set_result(None)
        self._fragmenting = None

    # ---- receiving -----------------------------------------------------------------------------------------------

    def _pause(self, paused: bool) -> None:
        if paused != self.paused and self._connection is not None and self.state is not State.CLOSED:
            self.paused = paused
            self._watch.resumed()
            self._connection.pause(paused)
            self._driver.kick()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _take(self, message: Message) -> None:
        """A data message; valid in the call only."""
        data = bytes(message)
        if self._looks and self._watch.swallows(data):
            return
        queue = self._queue
        if self._high is not None and len(queue) + 1 >= self._high:
            if self.state is State.CLOSING and len(queue) >= self._high:
                return  # we are closing: behind the peer's own close frame nothing comes
            if not self.paused and self.state is State.OPEN:
                self._pause(True)
        queue.append((message.binary, data, message.stamps if self._stamped else None))
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    # ---- events of the engine (xdpws.stack.connection.Handler) -----------------------------------------------------

    def on_request(self, head: bytes, status: int) -> None:
        """Servers override it."""

    def on_open(self, head: bytes) -> None:
        if self.response is None:
            self.response = parse_response(head)
        self.state = State.OPEN
        if not self._opening.done():
            self._opening.set_result(None)

    def on_message(self, event: Any) -> None:
        """Messages go to `_take`."""

    def on_ping(self, payload: bytes) -> None:
        """Answered in C already."""

    def on_pong(self, payload: bytes) -> None:
        self.latency = self._pings.pong(payload) or self.latency

    def on_closing(self, code: int, reason: str) -> None:
        self._rcvd = Close(code, reason)
        self._outbox.begin_no_more()
        if self.state is State.OPEN:
            self.state = State.CLOSING

    def on_rejected(self, answer: bytes) -> None:
        self._rejected = parse_response(answer)

    def on_readable(self) -> None:
        """WebSocket connections have none."""

    def on_writable(self) -> None:
        self._outbox.drain()

    def on_closed(self, closed: Closed) -> None:
        opened = self.state is not State.CONNECTING
        self.state = State.CLOSED
        if closed.sent:
            ours = self._outbox.close_sent
            # else an echo, which bears no reason, or a fault found by the core
            self._sent = ours if ours is not None and ours.code == closed.sent else Close(closed.sent)
        orderly = (self._rcvd is not None and self._rcvd.code in _ORDERLY
                   and self._sent is not None and self._sent.code in _ORDERLY)
        then = None if self._rcvd is None or self._sent is None else closed.by_peer
        self._ending = (ConnectionClosedOK if orderly else ConnectionClosedError, then, closed.text)
        self._cause = _cause(closed)
        if not opened and not self._opening.done():
            self._opening.set_exception(self._open_error(closed))
            self._opening.exception()  # the opener may have gone
        self._pings.fail(lambda: self.ended)
        self._outbox.fail(lambda: self.ended)
        self._watch.stop()
        if self._cut is not None:
            self._cut.cancel()
        if not self._closed.done():
            self._closed.set_result(None)
        self._wake()
        self._driver.release()

    def _open_error(self, closed: Closed) -> Exception:
        return open_error(closed, self._rejected, "the peer")


class ClientConnection(Connection):
    """Made by `xdpws.connect`."""

    def __init__(self, driver: Driver, limits: Limits, logger: LoggerLike, uri: WebSocketURI) -> None:
        super().__init__(driver, limits, logger)
        self.uri: WebSocketURI = uri
        """The target; after redirects, the last."""

    async def __aenter__(self) -> ClientConnection:
        return self

    def _open_error(self, closed: Closed) -> Exception:
        return open_error(closed, self._rejected, self.uri.url)


def _flat(data: bytes | bytearray | memoryview) -> Payload:
    """The same as bytes in a row."""
    if isinstance(data, memoryview):
        return data.cast("B") if data.c_contiguous else data.tobytes()
    return data


async def _asynchronous(items: Iterable[DataLike]) -> AsyncIterator[DataLike]:
    for item in items:
        yield item


def _cause(closed: Closed) -> Exception | None:
    if closed.error in (Err.OK, Err.ECLOSED):
        return None
    if closed.layer == "websocket":
        kinds: dict[int, type[WebSocketException]] = {1009: PayloadTooBig}
        return kinds.get(closed.sent, ProtocolError)(closed.text)
    if closed.layer == "tls":
        return TlsError(closed.text)
    return ConnectError(closed.text) if closed.layer in ("net", "tcp") else None


