"""A connected socket through a proxy: HTTP CONNECT (h11) or SOCKS (python-socks), for the engine to go on from.

To an https:// proxy the bytes are inside a TLS connection of their own, which the engine cannot see through: a pair of
local sockets and two tasks relay them. That costs two copies and the loop's turn, so it is the slowest way.
"""
from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable

import h11

from xdpws.errors import ConnectError, InvalidProxyMessage, InvalidProxyStatus, ProxyError
from xdpws.http import Headers, Response
from xdpws.proxy import Proxy

_CHUNK = 65536
_relays: set[asyncio.Task[None]] = set()


async def open_tunnel(proxy: Proxy, host: str, port: int, *, user_agent: str | None = None,
                      ssl: ssl_module.SSLContext | None = None, server_hostname: str | None = None) -> socket.socket:
    """A socket whose other end is host:port, by `proxy`; not blocking. ssl, server_hostname: for an https:// proxy.

    Raises ConnectError when the proxy cannot be reached, ProxyError and below when it does not connect us.
    """
    if proxy.scheme.startswith("socks"):
        return await _socks(proxy, host, port)
    if proxy.scheme == "https":
        return await _connect_tls(proxy, host, port, user_agent, ssl, server_hostname)
    loop = asyncio.get_running_loop()
    sock = await _reach(proxy)
    try:
        await _ask(proxy, host, port, user_agent, lambda data: loop.sock_sendall(sock, data),
                   lambda: loop.sock_recv(sock, _CHUNK))
    except BaseException:
        sock.close()
        raise
    return sock


async def _reach(proxy: Proxy) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectError(f"resolve the proxy {proxy.host}: {error.strerror or error}") from error
    last: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        try:
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    raise ConnectError(f"connect to the proxy {proxy}: {last.strerror if last else 'no address'}") from last


async def _ask(proxy: Proxy, host: str, port: int, user_agent: str | None, send: Callable[[bytes], Awaitable[object]],
               recv: Callable[[], Awaitable[bytes]]) -> None:
    """CONNECT and its answer (RFC 9110 section 9.3.6)."""
    target = f"{host}:{port}"
    headers = [("Host", target)]
    if user_agent is not None:
        headers.append(("User-Agent", user_agent))
    if proxy.username is not None:
        token = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    conn = h11.Connection(h11.CLIENT)
    try:
        await send(conn.send(h11.Request(method="CONNECT", target=target, headers=headers)) or b"")
        while (event := conn.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                data = await recv()
                conn.receive_data(data)
                if not data:
                    break
    except h11.RemoteProtocolError as error:
        raise InvalidProxyMessage(f"{proxy} did not answer CONNECT with HTTP: {error}") from error
    except OSError as error:
        raise ProxyError(f"{proxy} broke the connection: {error.strerror or error}") from error
    if not isinstance(event, h11.Response):
        raise InvalidProxyMessage(f"{proxy} ended the connection without an answer to CONNECT")
    if not 200 <= event.status_code < 300:
        fields = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        raise InvalidProxyStatus(Response(event.status_code, bytes(event.reason).decode("latin-1"), fields))
    if conn.trailing_data[0]:
        raise InvalidProxyMessage(f"{proxy} sent something behind its answer to CONNECT")


async def _socks(proxy: Proxy, host: str, port: int) -> socket.socket:
    try:
        from python_socks import ProxyType
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError:
        raise ProxyError("a SOCKS proxy needs the package python-socks; try: pip install python-socks") from None
    kind = ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4
    client = SocksProxy(kind, proxy.host, proxy.port, proxy.username, proxy.password,
                        rdns=proxy.scheme in ("socks5h", "socks4a"))
    try:
        sock: socket.socket = await client.connect(host, port)
    except OSError as error:
        raise ConnectError(f"connect to the proxy {proxy}: {error.strerror or error}") from error
    except Exception as error:  # the package's own exceptions have no base
        raise ProxyError(f"{proxy} did not connect us: {error}") from error
    sock.setblocking(False)
    return sock


async def _connect_tls(proxy: Proxy, host: str, port: int, user_agent: str | None, ssl: ssl_module.SSLContext | None,
                       server_hostname: str | None) -> socket.socket:
    sock = await _reach(proxy)
    try:
        reader, writer = await asyncio.open_connection(sock=sock, ssl=ssl or ssl_module.create_default_context(),
                                                       server_hostname=server_hostname or proxy.host)
    except OSError as error:
        sock.close()
        raise ProxyError(f"TLS with the proxy {proxy}: {error.strerror or error}") from error
    except BaseException:
        sock.close()
        raise

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    try:
        await _ask(proxy, host, port, user_agent, send, lambda: reader.read(_CHUNK))
    except BaseException:
        writer.transport.abort()
        raise
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    relay = asyncio.create_task(_relay(reader, writer, theirs), name="xdpws relay")
    _relays.add(relay)
    relay.add_done_callback(_relays.discard)
    ours.setblocking(False)
    return ours


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sock: socket.socket) -> None:
    """Bytes both ways until both have ended, or one breaks."""
    loop = asyncio.get_running_loop()

    async def inward() -> None:
        while data := await reader.read(_CHUNK):
            await loop.sock_sendall(sock, data)
        sock.shutdown(socket.SHUT_WR)

    async def outward() -> None:
        while data := await loop.sock_recv(sock, _CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()  # TLS has no half-closed state

    tasks = [asyncio.create_task(inward(), name="xdpws relay"), asyncio.create_task(outward(), name="xdpws relay")]
    try:
        with contextlib.suppress(OSError):
            await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        writer.close()
        sock.close()
