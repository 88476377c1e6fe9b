"""`connect`: open a WebSocket connection from asyncio."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from xdpws.aio.connection import ClientConnection
from xdpws.aio.driver import Driver
from xdpws.aio.reconnect import Backoff, reconnecting
from xdpws.aio.reconnect import process_exception as default_process_exception
from xdpws.config import Compression, TlsOptions, TransportName, XdpOptions, deflate_options
from xdpws.errors import ConnectError, OpenTimeout, UsageError
from xdpws.headers import header_lines
from xdpws.resolve import resolve_host
from xdpws.stack.runtime import Target, WsRequest
from xdpws.stack.tls import TlsContext
from xdpws.uri import parse_uri


class connect:  # noqa: N801 - the name users of `websockets` know
    """`await connect(...)`, `async with connect(...) as ws`, or `async for ws in connect(...)` to reconnect for ever.

    uri: ws:// or wss://. transport: "xdp" (AF_XDP, or SetupError), "socket" (kernel), or "auto": AF_XDP on `interface`
    where it works, else the socket; `ws.transport` and `ws.transport_reason` tell which and why. interface: where to
    attach; xdp: the same with all its options. tls: certificates, versions, pins; chain and name are verified by
    default. The other names are those of `websockets`: additional_headers, subprotocols, open_timeout, ping_interval,
    ping_timeout, close_timeout (seconds, None: none), max_size (bytes), max_queue (messages), server_hostname, host and
    port (connect there instead). compression: None, "deflate" or DeflateOptions; what the server took of it is in
    `ws.response.headers["Sec-WebSocket-Extensions"]`, and max_size bounds the inflated message. stamps: keep each
    message's times for `ws.stamps`. check_utf8: validate text.

    Reconnecting (see `xdpws.aio.reconnect`): backoff, how long to wait; process_exception, which errors are fatal;
    on_connect, a coroutine function that gets each new connection before the loop does (to subscribe).

    Raises InvalidURI, UsageError, SetupError (name, interface, privilege), ConnectError, TlsError, OpenTimeout,
    InvalidStatus (another HTTP status) and InvalidMessage.
    """

    def __init__(self, uri: str, *, transport: TransportName = "auto", interface: str | None = None,
                 xdp: XdpOptions | None = None, tls: TlsOptions | None = None, server_hostname: str | None = None,
                 additional_headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
                 user_agent_header: str | None = "xdpws", subprotocols: Sequence[str] = (),
                 compression: Compression = None,
                 open_timeout: float | None = 10.0, ping_interval: float | None = 20.0,
                 ping_timeout: float | None = 20.0, close_timeout: float | None = 10.0, max_size: int = 1 << 20,
                 max_queue: int = 16, host: str | None = None, port: int | None = None,
                 local_addr: tuple[str, int] | None = None, stamps: bool = False, check_utf8: bool = True,
                 backoff: Backoff | None = None,
                 process_exception: Callable[[Exception], Exception | None] = default_process_exception,
                 on_connect: Callable[[ClientConnection], Awaitable[object]] | None = None) -> None:
        self.uri = parse_uri(uri)
        if transport not in ("auto", "xdp", "socket"):
            raise UsageError(f"transport is {transport!r}; it must be auto, xdp or socket")
        if transport == "xdp" and interface is None and xdp is None:
            raise UsageError("transport='xdp' needs interface=NAME")
        if max_queue < 1 or max_size < 1:
            raise UsageError("max_queue and max_size must be at least 1")
        self._transport: TransportName = transport
        self._xdp = None if transport == "socket" else xdp or (XdpOptions(interface) if interface else None)
        self._tls = tls or TlsOptions()
        self._server_name = server_hostname or self.uri.host
        headers = header_lines(additional_headers)
        if user_agent_header is not None and "user-agent:" not in headers.lower():
            headers += header_lines({"User-Agent": user_agent_header})
        self._ws = WsRequest(self.uri.resource, self.uri.host_header, headers, tuple(subprotocols), max_size,
                             check_utf8, deflate_options(compression))
        self._open_timeout = open_timeout
        self._close_timeout = close_timeout
        self._ping = (ping_interval, ping_timeout)
        self._max_queue = max_queue
        self._host = host or self.uri.host
        self._port = port or self.uri.port
        self._local = local_addr
        self._stamps = stamps
        self._backoff = backoff or Backoff()
        self._process_exception = process_exception
        self._on_connect = on_connect
        self._connection: ClientConnection | None = None

    def __aiter__(self) -> AsyncIterator[ClientConnection]:
        return reconnecting(self._open, self._xdp, self._backoff, self._process_exception, self._on_connect)

    async def _open(self) -> ClientConnection:
        addresses = await asyncio.to_thread(resolve_host, self._host)
        context = TlsContext(self._tls) if self.uri.secure else None
        target = Target(addresses[0], self._port, context, self._server_name if context else "", self._ws, True,
                        self._open_timeout or 0.0, self._close_timeout if self._close_timeout is not None else 1e6,
                        IPv4Address(self._local[0]) if self._local else None, self._local[1] if self._local else 0)
        for number, address in enumerate(addresses, 1):
            try:
                return await self._attempt(replace(target, address=address))
            except (ConnectError, OpenTimeout):
                if number == len(addresses):
                    raise
        raise AssertionError("resolve_host gives at least one address")

    async def _attempt(self, target: Target) -> ClientConnection:
        driver = Driver.acquire(self._xdp)
        connection = ClientConnection(driver, self.uri, self._max_queue, self._stamps, self._close_timeout)
        try:
            handle = driver.runtime.open(target, connection, self._transport)
        except BaseException:
            driver.release()
            raise
        await connection._established(handle, *self._ping)
        return connection

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._open().__await__()

    async def __aenter__(self) -> ClientConnection:
        self._connection = await self._open()
        return self._connection

    async def __aexit__(self, exc_type: object, exc: object, traceback: object) -> None:
        assert self._connection is not None
        await self._connection.__aexit__(exc_type, exc, traceback)
