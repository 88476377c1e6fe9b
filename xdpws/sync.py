"""The blocking face: the names of `xdpws.connect` without asyncio, usable from any thread.

    with xdpws.sync.connect("wss://stream.example/ws") as ws:
        ws.send("hello")
        for message in ws:
            ...

Each connection has a thread of its own that runs an asyncio loop, so pings are answered and close frames are seen
whatever the caller does; a call crosses over to it and waits. Any thread may call, several at a time; only one may
receive (ConcurrencyError). A call from within that thread (a process_exception or on_connect hook, a Keepalive
function) raises UsageError: it would wait for itself. For the lowest latency use `xdpws.Client`.
"""
from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import ssl as ssl_module
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from xdpws.aio.connect import USER_AGENT
from xdpws.aio.connect import connect as open_connection
from xdpws.aio.connection import ClientConnection as AsyncConnection
from xdpws.aio.connection import Data, DataLike, LoggerLike
from xdpws.aio.state import State
from xdpws.config import Compression, Keepalive, TlsOptions, TransportName, XdpOptions
from xdpws.errors import ConcurrencyError, ConnectionClosedOK, UsageError
from xdpws.http import HeadersLike, Request, Response
from xdpws.timestamps import Stamps

__all__ = ["ClientConnection", "Pong", "connect"]

_T = TypeVar("_T")


class Pong(concurrent.futures.Future[float]):
    """The pong that a ping waits for: a future of its latency in seconds, and, as in `websockets`, an event."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the pong; False if it did not come within `timeout` seconds, or the connection ended."""
        concurrent.futures.wait([self], timeout)
        return self.is_set()

    def is_set(self) -> bool:
        """Whether the pong has come."""
        return self.done() and not self.cancelled() and self.exception() is None


class _LoopThread:
    """A thread with a running loop, until `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="xdpws connection", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def submit(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Start `work` in the loop."""
        self._check(work)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _check(self, work: Coroutine[Any, Any, Any]) -> None:
        if threading.current_thread() is self._thread:
            work.close()
            raise UsageError("a blocking call from the connection's own thread would wait for itself; use "
                             "xdpws.connect there")

    def call(self, work: Coroutine[Any, Any, _T], timeout: float | None = None) -> _T:
        """The result of `work`; it is cancelled, and TimeoutError raised, when it takes longer than `timeout` s."""
        self._check(work)
        future = self.submit(work if timeout is None else _limited(work, timeout))
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def soon(self, call: Callable[[], object]) -> None:
        """Call it in the loop, without waiting."""
        self._loop.call_soon_threadsafe(call)

    @property
    def alive(self) -> bool:
        """Whether the loop still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the loop and wait for the thread. May be called again."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


async def _limited(work: Coroutine[Any, Any, _T], timeout: float) -> _T:
    """The clock runs in the loop, so that what was received at the last moment is given, not lost."""
    try:
        async with asyncio.timeout(timeout):
            return await work
    except TimeoutError as error:
        raise TimeoutError(f"timed out in {timeout} s") from error


def connect(uri: str, *, sock: socket.socket | None = None,
            ssl: TlsOptions | ssl_module.SSLContext | bool | None = None,
            server_hostname: str | None = None, origin: str | None = None, subprotocols: Sequence[str] | None = None,
            compression: Compression = None, additional_headers: HeadersLike | None = None,
            user_agent_header: str | None = USER_AGENT, proxy: str | Literal[True] | None = True,
            proxy_ssl: ssl_module.SSLContext | None = None, proxy_server_hostname: str | None = None,
            open_timeout: float | None = 10, ping_interval: float | None = 20, ping_timeout: float | None = 20,
            close_timeout: float | None = 10, max_size: int | tuple[int | None, int | None] | None = 2**20,
            max_queue: int | tuple[int | None, int | None] | None = 16, logger: LoggerLike | None = None,
            host: str | None = None, port: int | None = None, local_addr: tuple[str, int] | None = None,
            transport: TransportName = "auto", interface: str | None = None, xdp: XdpOptions | None = None,
            tls: TlsOptions | None = None, idle_timeout: float | None = None,
            keepalive: str | Keepalive | None = None, stamps: bool = False, check_utf8: bool = True
            ) -> ClientConnection:
    """Connect and wait until the connection is open. Parameters and exceptions: those of `xdpws.connect`, without
    reconnecting."""
    opening = open_connection(
        uri, sock=sock, ssl=ssl, server_hostname=server_hostname, origin=origin, subprotocols=subprotocols,
        compression=compression, additional_headers=additional_headers, user_agent_header=user_agent_header,
        proxy=proxy, proxy_ssl=proxy_ssl, proxy_server_hostname=proxy_server_hostname, open_timeout=open_timeout,
        ping_interval=ping_interval, ping_timeout=ping_timeout, close_timeout=close_timeout, max_size=max_size,
        max_queue=max_queue, logger=logger, host=host, port=port, local_addr=local_addr, transport=transport,
        interface=interface, xdp=xdp, tls=tls, idle_timeout=idle_timeout, keepalive=keepalive, stamps=stamps,
        check_utf8=check_utf8)
    thread = _LoopThread()
    try:
        return ClientConnection(thread, thread.call(opening._open()))
    except BaseException:
        thread.stop()
        raise


class ClientConnection:
    """Made by `connect`; every method may be called from any thread."""

    def __init__(self, thread: _LoopThread, connection: AsyncConnection) -> None:
        self._thread = thread
        self._connection = connection
        self._waiting = connection.waiting()
        self._receiving = threading.Lock()

    def _call(self, work: Coroutine[Any, Any, _T], timeout: float | None = None) -> _T:
        if not self._thread.alive:
            work.close()
            raise self._connection.ended
        return self._thread.call(work, timeout)

    def __enter__(self) -> ClientConnection:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc_value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close(1000 if exc_type is None else 1011)

    def __iter__(self) -> Iterator[Data]:
        """Messages until the connection closes in order; ConnectionClosedError is raised otherwise."""
        try:
            while True:
                yield self.recv()
        except ConnectionClosedOK:
            return

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data: ...

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data:
        """The next message: str for text, bytes for binary; decode=True or False forces one of them.

        Raises TimeoutError after `timeout` seconds (nothing is lost), ConnectionClosed, ConcurrencyError.
        """
        if not self._receiving.acquire(blocking=False):
            raise ConcurrencyError("cannot call recv while another thread is receiving from this connection")
        try:
            if not self._waiting:
                return self._call(self._connection.recv(decode), timeout)
            taken = self._waiting.popleft()  # this thread alone takes: no need to cross over
            if self._connection.paused and self._thread.alive:
                self._thread.soon(self._connection.resume)
            return self._connection.decoded(taken, decode)
        except UnicodeDecodeError as error:
            raise self._call(self._connection.refuse(error)) from error
        finally:
            self._receiving.release()

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]:
        """The next message in pieces. The engine puts messages together, so there is always one piece: the message."""
        yield self.recv(decode=decode)

    def send(self, message: DataLike | Iterable[DataLike], *, text: bool | None = None,
             timeout: float | None = None) -> None:
        """Send one message, str as text, bytes and their like as binary; text=True or False forces one of them.

        Of an iterable each item is a frame of one message. Waits while there is no room. Raises ConnectionClosed,
        TimeoutError (timeout in seconds), TypeError.
        """
        self._call(self._connection.send(message, text=text), timeout)

    def ping(self, data: DataLike | None = None) -> Pong:
        """Send a ping; the result knows when its pong has come, and the latency in seconds."""
        pong = Pong()

        def done(waiter: asyncio.Future[float]) -> None:
            if pong.done() or waiter.cancelled():
                pong.cancel()
            elif (error := waiter.exception()) is not None:
                pong.set_exception(error)
            else:
                pong.set_result(waiter.result())

        async def go() -> None:
            asyncio.ensure_future(await self._connection.ping(data)).add_done_callback(done)

        self._call(go())
        return pong

    def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for. Pings are answered without it."""
        self._call(self._connection.pong(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The close handshake; returns when the connection has ended. Repeating it does no harm."""
        if not self._thread.alive:
            return
        self._thread.call(self._connection.close(code, reason))
        self._thread.stop()

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the connection has ended; False if it has not within `timeout` seconds."""
        if not self._thread.alive:
            return True
        try:
            self._thread.call(self._connection.wait_closed(), timeout)
        except TimeoutError:
            return False
        return True

    def info(self) -> dict[str, int | str]:
        """State and figures of TCP and TLS, by the names of `struct xw_conn_info`; {} when it is closed."""
        async def ask() -> dict[str, int | str]:
            return self._connection.info()

        return self._thread.call(ask()) if self._thread.alive else {}

    @property
    def id(self) -> uuid.UUID:
        """Unique identifier of the connection, for logs."""
        return self._connection.id

    @property
    def logger(self) -> LoggerLike:
        """Logger of this connection."""
        return self._connection.logger

    @property
    def state(self) -> State:
        """State of the connection (RFC 6455)."""
        return self._connection.state

    @property
    def transport(self) -> str:
        """ "xdp" or "socket"."""
        return self._connection.transport

    @property
    def transport_reason(self) -> str:
        """Why this transport runs, for people."""
        return self._connection.transport_reason

    @property
    def local_address(self) -> Any:
        """(host, port) of our end."""
        return self._connection.local_address

    @property
    def remote_address(self) -> Any:
        """(host, port) that we are connected to: the server's or the proxy's."""
        return self._connection.remote_address

    @property
    def request(self) -> Request | None:
        """The upgrade request."""
        return self._connection.request

    @property
    def response(self) -> Response | None:
        """The answer to the upgrade."""
        return self._connection.response

    @property
    def subprotocol(self) -> str | None:
        """What the server chose of those offered."""
        return self._connection.subprotocol

    @property
    def latency(self) -> float:
        """Seconds that the last pong took; 0 before the first."""
        return self._connection.latency

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame; 1006 when there was none; None while open."""
        return self._connection.close_code

    @property
    def close_reason(self) -> str | None:
        """Reason of the peer's close frame; None while open."""
        return self._connection.close_reason

    @property
    def stamps(self) -> Stamps | None:
        """Of the message that the last recv gave, when connect(stamps=True)."""
        return self._connection.stamps
