"""`connect`: open a WebSocket connection from asyncio."""
from __future__ import annotations

import logging
import socket
import ssl as ssl_module
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Any, Literal

from xdpws.aio.connection import ClientConnection, Limits, LoggerLike, queue_marks
from xdpws.aio.dial import Dialer
from xdpws.aio.reconnect import Backoff, reconnecting
from xdpws.aio.reconnect import process_exception as default_process_exception
from xdpws.config import Compression, Keepalive, TlsOptions, TransportName, XdpOptions, deflate_options
from xdpws.errors import UsageError
from xdpws.headers import check_subprotocols, header_lines
from xdpws.http import Headers, HeadersLike
from xdpws.proxy import parse_proxy
from xdpws.stack.runtime import WsRequest
from xdpws.tls_options import tls_options
from xdpws.uri import parse_uri

USER_AGENT = "xdpws"
NO_LIMIT = 1 << 32
"""max_size=None: the engine reserves address space for the longest message, so there must be one."""


def size_limit(max_size: int | tuple[int | None, int | None] | None) -> int:
    """Bytes of the parameter `max_size`; UsageError if it is none such."""
    size = max_size[0] if isinstance(max_size, tuple) else max_size
    if isinstance(max_size, tuple) and max_size[1] is not None:
        raise UsageError("max_size for fragments cannot be set; give one for messages")
    if size is not None and not 1 <= size <= NO_LIMIT:
        raise UsageError(f"max_size is {size}; it must be at least 1 and at most {NO_LIMIT}, or None")
    return NO_LIMIT if size is None else size


class connect:  # noqa: N801 - the name users of `websockets` know
    """`await connect(...)`, `async with connect(...) as ws`, or `async for ws in connect(...)` to reconnect for ever.

    Names and defaults are those of `websockets`, but for compression (off by default).

    uri: ws:// or wss://, with user:password@ for basic authentication. origin, additional_headers, user_agent_header:
    fields of the request. subprotocols: those offered. compression: None, "deflate" or DeflateOptions; what the server
    took of it is in `ws.response.headers["Sec-WebSocket-Extensions"]`. open_timeout, ping_interval, ping_timeout,
    close_timeout: seconds, None: none. max_size: bytes of a message, inflated; None: 4 GiB. max_queue: messages that
    may wait before the peer has to, or (high, low), or None for any number. logger: by default "xdpws.client".

    proxy: True: the one of the environment, if any; an URL (http, https, socks5, socks5h, socks4, socks4a); None: none.
    Only over the socket transport. proxy_ssl, proxy_server_hostname: for https:// proxies. host, port: connect there
    instead of where the URI says. local_addr: (host, port) of our end, port 0 for any. sock: a connected socket.
    ssl: TlsOptions, or an ssl.SSLContext (see `xdpws.tls_options`); chain and name are verified by default.
    server_hostname: the name in the certificate, if it is not the URI's.

    Not in `websockets`: transport: "xdp" (AF_XDP, or SetupError), "socket" (kernel), or "auto": AF_XDP on `interface`
    where it works, else the socket; `ws.transport` and `ws.transport_reason` tell which and why. interface: where to
    attach; xdp: the same with all its options. tls: another name of ssl. idle_timeout: seconds without a message after
    which the connection is closed as dead (1011); pings, pongs and answers to keepalive do not count. keepalive: pings
    of the application, "text:ping" or a Keepalive. stamps: keep each message's times for `ws.stamps`. check_utf8:
    validate text.

    Reconnecting (see `xdpws.aio.reconnect`): backoff: how long to wait, or reconnect_delays: a function that makes a
    generator of seconds; process_exception: which errors are fatal; on_connect: a coroutine function that gets each new
    connection before the loop does (to subscribe).

    Raises InvalidURI, InvalidProxy, UsageError, SetupError (name, interface, privilege), ConnectError, ProxyError,
    TlsError, OpenTimeout, InvalidStatus (another HTTP status), InvalidMessage and SecurityError (redirects).
    """

    def __init__(self, uri: str, *, origin: str | None = None, subprotocols: Sequence[str] | None = None,
                 compression: Compression = None, additional_headers: HeadersLike | None = None,
                 user_agent_header: str | None = USER_AGENT, proxy: str | Literal[True] | None = True,
                 process_exception: Callable[[Exception], Exception | None] = default_process_exception,
                 open_timeout: float | None = 10, ping_interval: float | None = 20,
                 ping_timeout: float | None = 20, close_timeout: float | None = 10,
                 reconnect_delays: Callable[[], Generator[float]] | None = None,
                 max_size: int | tuple[int | None, int | None] | None = 2**20,
                 max_queue: int | tuple[int | None, int | None] | None = 16, logger: LoggerLike | None = None,
                 ssl: TlsOptions | ssl_module.SSLContext | bool | None = None, server_hostname: str | None = None,
                 host: str | None = None, port: int | None = None, local_addr: tuple[str, int] | None = None,
                 sock: socket.socket | None = None, proxy_ssl: ssl_module.SSLContext | None = None,
                 proxy_server_hostname: str | None = None, transport: TransportName = "auto",
                 interface: str | None = None, xdp: XdpOptions | None = None, tls: TlsOptions | None = None,
                 idle_timeout: float | None = None, keepalive: str | Keepalive | None = None, stamps: bool = False,
                 check_utf8: bool = True, backoff: Backoff | None = None,
                 on_connect: Callable[[ClientConnection], Awaitable[object]] | None = None) -> None:
        self.uri = parse_uri(uri, user_info=True)
        if transport not in ("auto", "xdp", "socket"):
            raise UsageError(f"transport is {transport!r}; it must be auto, xdp or socket")
        if transport == "xdp" and interface is None and xdp is None:
            raise UsageError("transport='xdp' needs interface=NAME")
        if transport == "xdp" and (sock is not None or isinstance(proxy, str)):
            raise UsageError("a proxy or a socket of yours is the kernel's way: it needs transport='socket'")
        if ssl is not None and tls is not None:
            raise UsageError("give ssl or tls, not both")
        if ssl not in (None, False) and not self.uri.secure:
            raise UsageError("ssl argument is incompatible with a ws:// URI")
        if ssl is False and self.uri.secure:
            raise UsageError("ssl=False is incompatible with a wss:// URI")
        if idle_timeout is not None and not idle_timeout > 0:
            raise UsageError(f"idle_timeout is {idle_timeout}; it must be above 0 or None")
        if isinstance(proxy, str):
            parse_proxy(proxy)
        high, low = queue_marks(max_queue)
        fields = list(Headers(additional_headers or ()).raw_items())
        names = {name.lower() for name, _ in fields}
        if origin is not None:
            fields.insert(0, ("Origin", origin))
        if user_agent_header is not None and "user-agent" not in names:
            fields.append(("User-Agent", user_agent_header))
        header_lines(fields)
        self._xdp = None if transport == "socket" or sock else xdp or (XdpOptions(interface) if interface else None)
        request = WsRequest(self.uri.resource, self.uri.host_header, "", check_subprotocols(subprotocols),
                            size_limit(max_size), check_utf8, deflate_options(compression))
        limits = Limits(high, low, close_timeout, ping_interval, ping_timeout, idle_timeout,
                        Keepalive.parse(keepalive), stamps)
        self.logger: LoggerLike = logger or logging.getLogger("xdpws.client")
        self._dialer = Dialer(
            uri=self.uri, request=request, headers=fields, limits=limits, transport=transport, xdp=self._xdp,
            tls=tls_options(tls if ssl is None or ssl is False else ssl), server_hostname=server_hostname,
            open_timeout=open_timeout, host=host, port=port, local=local_addr, sock=sock, proxy=proxy,
            proxy_ssl=proxy_ssl, proxy_server_hostname=proxy_server_hostname, user_agent=user_agent_header,
            logger=self.logger)
        self._backoff = backoff or Backoff()
        self._delays = reconnect_delays
        self._process_exception = process_exception
        self._on_connect = on_connect
        self._connection: ClientConnection | None = None

    def __aiter__(self) -> AsyncIterator[ClientConnection]:
        return reconnecting(self._open, self._xdp, self._backoff, self._delays, self._process_exception,
                            self._on_connect, self.logger)

    async def _open(self) -> ClientConnection:
        return await self._dialer.open()

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._open().__await__()

    async def __aenter__(self) -> ClientConnection:
        if self._connection is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._connection = await self._open()
        return self._connection

    async def __aexit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        assert self._connection is not None
        connection, self._connection = self._connection, None
        await connection.__aexit__(exc_type, exc, traceback)

