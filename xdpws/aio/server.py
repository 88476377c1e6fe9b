"""`serve`: a WebSocket server for asyncio, for tests, simulators and fan-out within a site.

It is the C core's server role over accepted sockets: frames, compression, UTF-8 and TLS (by OpenSSL) are done in C,
the handshake's policy in Python. All servers of a loop share one engine of 4096 connections.
"""
from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from ipaddress import IPv4Address
from types import TracebackType
from typing import Any

from xdpws.aio.connect import size_limit
from xdpws.aio.connection import Connection, DataLike, Limits, LoggerLike, queue_marks
from xdpws.aio.driver import SERVER, Driver
from xdpws.aio.outbox import BINARY, TEXT
from xdpws.aio.server_connection import (
    Manners,
    Origins,
    ProcessRequest,
    ProcessResponse,
    SelectSubprotocol,
    ServerConnection,
)
from xdpws.aio.state import State
from xdpws.config import Compression, TlsOptions, deflate_options
from xdpws.errors import SetupError, UsageError
from xdpws.headers import check_subprotocols
from xdpws.stack.runtime import Adopted, Target, WsRequest
from xdpws.stack.tls import TlsContext

Handler = Callable[[ServerConnection], Awaitable[None]]

SERVER_HEADER = "xdpws"
BROADCAST_LIMIT = 1 << 24
"""Bytes that may wait for one slow client of `broadcast` beside its send ring; a slower one is closed (1008)."""
_BACKLOG = 128
_NOWHERE = IPv4Address(0)
_BUSY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Server:
    """Made by `serve`; `await` it or use it as an asynchronous context manager. Its API is that of asyncio.Server."""

    def __init__(self, handler: Handler, listen: Callable[[], Awaitable[list[socket.socket]]], target: Target,
                 limits: Limits, manners: Manners, open_timeout: float | None, tls: TlsOptions | None,
                 logger: LoggerLike, start_serving: bool) -> None:
        self.logger: LoggerLike = logger
        """Logger of the server and its connections."""
        self._handler = handler
        self._listen = listen
        self._target = target
        self._limits = limits
        self._manners = manners
        self._open_timeout = open_timeout
        self._tls = tls
        self._start = start_serving
        self._loop: asyncio.AbstractEventLoop | None = None
        self._driver: Driver | None = None
        self._sockets: list[socket.socket] = []
        self._context: TlsContext | None = None
        self._serving = False
        self._all: set[ServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[None] | None = None

    @property
    def connections(self) -> set[ServerConnection]:
        """Those that are open; good for `broadcast`."""
        return {each for each in self._all if each.state is State.OPEN}

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening ones; () when it is closed."""
        return tuple(self._sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it serves in."""
        if self._loop is None:
            raise UsageError("the server has not been started")
        return self._loop

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._serving

    async def start_serving(self) -> None:
        """Begin to accept, when serve(start_serving=False) has not."""
        if self._serving or self._closing is not None:
            return
        for sock in self._sockets:
            self.get_loop().add_reader(sock.fileno(), self._accept, sock)
            self.logger.info("server listening on %s", sock.getsockname())
        self._serving = True

    async def serve_forever(self) -> None:
        """Serve until it is closed; cancelling this closes it in order."""
        await self.start_serving()
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            try:
                self.close()
                await self.wait_closed()
            finally:
                raise

    def close(self, close_connections: bool = True, code: int = 1001, reason: str = "") -> None:
        """Accept no more, answer requests that have not been answered with 503, and, unless close_connections is False,
        close what is open with `code` and `reason`. `wait_closed` tells when all is over. Repeating it does no harm."""
        if self._closing is None:
            self._stop_listening()
            self._closing = self.get_loop().create_task(self._close(close_connections, code, reason),
                                                        name="xdpws server closing")

    async def wait_closed(self) -> None:
        """Return when the connections are closed and their handlers have returned."""
        if self._closed is None:
            raise UsageError("the server has not been started")
        await asyncio.shield(self._closed)

    def __await__(self) -> Generator[Any, None, Server]:
        return self._begin().__await__()

    async def __aenter__(self) -> Server:
        return await self._begin()

    async def __aexit__(self, exc_type: type[BaseException] | None, exc_value: BaseException | None,
                        traceback: TracebackType | None) -> None:
        self.close()
        await self.wait_closed()

    async def _begin(self) -> Server:
        if self._loop is None:
            self._context = TlsContext(self._tls, server=True) if self._tls is not None else None
            self._sockets = await self._listen()
            self._loop = asyncio.get_running_loop()
            self._closed = self._loop.create_future()
            self._driver = Driver.acquire(None, SERVER)
            if self._start:
                await self.start_serving()
        return self

    def _stop_listening(self) -> None:
        self._serving = False
        for sock in self._sockets:
            self.get_loop().remove_reader(sock.fileno())
            sock.close()
        self._sockets = []

    async def _close(self, close_connections: bool, code: int, reason: str) -> None:
        assert self._closed is not None and self._driver is not None  # noqa: PT018
        self.logger.info("server closing")
        if close_connections:
            await asyncio.gather(*(each.close(code, reason) for each in self.connections), return_exceptions=True)
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        self._driver.release()
        self._closed.set_result(None)
        self.logger.info("server closed")

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_BACKLOG):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _BUSY:
                    raise
                self.logger.error("cannot accept: %s; waiting a second", error.strerror)
                self.get_loop().remove_reader(listener.fileno())
                self.get_loop().call_later(1.0, self._listen_again, listener)
                return
            with sock:
                self._open(sock, address)

    def _listen_again(self, listener: socket.socket) -> None:
        if self._serving:
            self.get_loop().add_reader(listener.fileno(), self._accept, listener)

    def _open(self, sock: socket.socket, address: Any) -> None:
        driver = Driver.acquire(None, SERVER)
        connection = ServerConnection(driver, self._limits, self.logger, self)
        target = Target(self._target.address, 0, self._context, "", self._target.ws, True, self._open_timeout or 0.0,
                        self._target.close_timeout_s, adopt=Adopted(sock.fileno(), server=True, why="it was accepted"))
        try:
            handle = driver.runtime.open(target, connection, "socket")
        except (SetupError, UsageError):
            driver.release()
            self.logger.exception("cannot take the connection of %s", address)
            return
        connection._attach(handle, driver.runtime)
        connection._local, connection._remote = sock.getsockname(), address
        task = self.get_loop().create_task(self._serve(connection), name=f"connection {connection.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            async with asyncio.timeout(self._open_timeout):
                opened = await connection._handshake(self._manners)
        except TimeoutError:
            opened = False
        except BaseException:
            connection.abort()
            raise
        if not opened:
            if connection.response is None:
                connection.abort()
            await connection.wait_closed()
            return
        self._all.add(connection)
        try:
            async with connection:
                await self._handler(connection)
        except Exception:
            self.logger.exception("connection handler failed")
        finally:
            self._all.discard(connection)


def serve(handler: Handler, host: str | Sequence[str] | None = None, port: int | None = None, *,
          origins: Origins | None = None, subprotocols: Sequence[str] | None = None,
          select_subprotocol: SelectSubprotocol | None = None, compression: Compression = "deflate",
          process_request: ProcessRequest | None = None, process_response: ProcessResponse | None = None,
          server_header: str | None = SERVER_HEADER, open_timeout: float | None = 10, ping_interval: float | None = 20,
          ping_timeout: float | None = 20, close_timeout: float | None = 10,
          max_size: int | tuple[int | None, int | None] | None = 2**20,
          max_queue: int | tuple[int | None, int | None] | None = 16, logger: LoggerLike | None = None,
          ssl: TlsOptions | None = None, sock: socket.socket | None = None, backlog: int = _BACKLOG,
          reuse_port: bool = False, start_serving: bool = True, check_utf8: bool = True) -> Server:
    """Serve WebSocket on host and port: `async with serve(...) as server`, or `server = await serve(...)`.

    Names and defaults are those of `websockets`. handler: a coroutine function that gets each `ServerConnection`; the
    connection is closed when it returns (1000) or raises (1011, and the log tells). host: name or address, several, or
    None for all; port: 0 for any (see `server.sockets`); sock: a bound socket instead. ssl: TlsOptions with cert_file
    (an ssl.SSLContext does not tell its certificate). origins: those accepted, as str or pattern, None in the list for
    requests without one. subprotocols: by preference; or select_subprotocol(connection, offered), which may raise
    NegotiationError. process_request(connection, request): a Response to send instead (`connection.respond`), or None;
    process_response(connection, request, response): the same with our answer, whose fields it may change. Both may be
    coroutine functions. The other parameters are those of `connect`.

    Raises SetupError and OSError (the address), UsageError.
    """
    if ssl is not None and not isinstance(ssl, TlsOptions):
        raise UsageError("ssl must be TlsOptions(cert_file=..., key_file=...): an ssl.SSLContext does not tell its "
                         "certificate")
    if ssl is not None and ssl.cert_file is None:
        raise UsageError("ssl needs a certificate: TlsOptions(cert_file=..., key_file=...)")
    if sock is None and port is None:
        raise UsageError("serve needs a port (0: any) or a socket")
    high, low = queue_marks(max_queue)
    request = WsRequest("", "", "", (), size_limit(max_size), check_utf8, deflate_options(compression))
    limits = Limits(high, low, close_timeout, ping_interval, ping_timeout)
    target = Target(_NOWHERE, 0, None, "", request,
                    close_timeout_s=close_timeout if close_timeout is not None else 1e6)
    manners = Manners(origins, check_subprotocols(subprotocols), select_subprotocol, process_request, process_response,
                      server_header)

    async def listen() -> list[socket.socket]:
        if sock is not None:
            sock.listen(backlog)
            sock.setblocking(False)
            return [sock]
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        return await _listeners(hosts, port or 0, backlog, reuse_port)

    return Server(handler, listen, target, limits, manners, open_timeout, ssl,
                  logger or logging.getLogger("xdpws.server"), start_serving)


def unix_serve(handler: Handler, path: str | os.PathLike[str], **options: Any) -> Server:
    """As `serve`, on a Unix socket at `path`, which must not exist."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(path))
        return serve(handler, sock=sock, **options)
    except BaseException:
        sock.close()
        raise


async def _listeners(hosts: Sequence[str | None], port: int, backlog: int, reuse_port: bool) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    made: list[socket.socket] = []
    try:
        for host in hosts:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, address in dict.fromkeys(found):
                if host is None and made and port == 0:
                    address = (address[0], made[0].getsockname()[1], *address[2:])
                sock = socket.create_server(address[:2], family=socket.AddressFamily(family), backlog=backlog,
                                            reuse_port=reuse_port)
                sock.setblocking(False)
                made.append(sock)
    except BaseException:
        for sock in made:
            sock.close()
        raise
    return made


def broadcast(connections: Iterable[Connection], message: DataLike, *, text: bool | None = None,
              raise_exceptions: bool = False) -> None:
    """Send one message to many connections without waiting for any of them.

    Connections that are not open are left out, and so is one that is sending a message of several frames
    (ConcurrencyError, if raise_exceptions). A connection for which more than BROADCAST_LIMIT bytes (16 MiB) wait is too
    slow: what waits for it is thrown away and it is closed (1008). Exceptions are logged, or, with raise_exceptions,
    raised together as an ExceptionGroup when all have been served.
    """
    if isinstance(message, str):
        opcode, data = BINARY if text is False else TEXT, message.encode()
    elif isinstance(message, bytes | bytearray | memoryview):
        opcode, data = TEXT if text else BINARY, bytes(message)
    else:
        raise TypeError("data must be str or bytes")
    errors: list[Exception] = []
    for connection in connections:
        if connection.state is not State.OPEN:
            continue
        try:
            if connection.push(opcode, data) > BROADCAST_LIMIT:
                connection.drop_waiting()
                connection.begin_close(1008, "too slow for what is broadcast")
        except Exception as error:
            errors.append(error)
            if not raise_exceptions:
                connection.logger.warning("skipped broadcast: %s", error)
    if errors and raise_exceptions:
        raise ExceptionGroup("skipped broadcast", errors)
