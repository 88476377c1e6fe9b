"""The blocking face: the names of `xdpws.connect` without asyncio, usable from any thread.

    with xdpws.sync.connect("wss://stream.example/ws") as ws:
        ws.send("hello")
        for message in ws:
            ...

Each connection has a thread of its own that runs an asyncio loop, so pings are answered and close frames are seen
whatever the caller does; a call crosses over to it and waits. For the lowest latency use `xdpws.Client`.
"""
from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from xdpws.aio.connect import connect as open_connection
from xdpws.aio.connection import ClientConnection as AsyncConnection
from xdpws.errors import ConnectionClosedOK
from xdpws.http import Response
from xdpws.timestamps import Stamps

__all__ = ["ClientConnection", "connect"]

_T = TypeVar("_T")


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
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, _T], timeout: float | None = None) -> _T:
        """The result of `work`; it is cancelled, and TimeoutError raised, when it takes longer than `timeout` s."""
        future = self.submit(work)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError(f"timed out after {timeout} s") from None
        except BaseException:
            future.cancel()
            raise

    @property
    def alive(self) -> bool:
        """Whether the loop still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the loop and wait for the thread. May be called again."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


def connect(uri: str, **options: Any) -> ClientConnection:
    """Connect and wait until the connection is open. `options` and exceptions: those of `xdpws.connect`."""
    opening = open_connection(uri, **options)
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

    def _call(self, work: Coroutine[Any, Any, _T], timeout: float | None = None) -> _T:
        if not self._thread.alive:
            work.close()
            raise self._connection.ended
        return self._thread.call(work, timeout)

    def __enter__(self) -> ClientConnection:
        return self

    def __exit__(self, exc_type: object, *_: object) -> None:
        self.close(1000 if exc_type is None else 1011)

    def __iter__(self) -> Iterator[str | bytes]:
        """Messages until the connection closes in order; ConnectionClosedError is raised otherwise."""
        try:
            while True:
                yield self.recv()
        except ConnectionClosedOK:
            return

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Any:
        """The next message: str for text, bytes for binary; decode=True or False forces one of them.

        Raises TimeoutError after `timeout` seconds (nothing is lost), ConnectionClosed, ConcurrencyError.
        """
        return self._call(self._connection.recv(decode), timeout)

    def send(self, message: str | bytes | bytearray | memoryview, timeout: float | None = None) -> None:
        """Send one message, str as text; waits while there is no room. Raises ConnectionClosed, TimeoutError."""
        self._call(self._connection.send(message), timeout)

    def ping(self, data: str | bytes | None = None) -> concurrent.futures.Future[float]:
        """Send a ping; the future has the latency in seconds when its pong has come."""
        async def go() -> float:
            return await waiter

        waiter = self._call(self._connection.ping(data))
        return self._thread.submit(go())

    def pong(self, data: str | bytes = b"") -> None:
        """Send a pong that nobody asked for. Pings are answered without it."""
        self._call(self._connection.pong(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The close handshake; returns when the connection has ended. Repeating it does no harm."""
        try:
            if self._thread.alive:
                self._thread.call(self._connection.close(code, reason))
        finally:
            self._thread.stop()

    @property
    def transport(self) -> str:
        """ "xdp" or "socket"."""
        return self._connection.transport

    @property
    def transport_reason(self) -> str:
        """Why this transport runs, for people."""
        return self._connection.transport_reason

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
