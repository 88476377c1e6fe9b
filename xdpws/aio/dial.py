"""`Dialer`: how one connection is opened: name, proxy, addresses, redirects, all within open_timeout."""
from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any, Literal

from xdpws.aio.connection import ClientConnection, Limits, LoggerLike
from xdpws.aio.driver import Driver
from xdpws.aio.redirect import MAX_REDIRECTS, redirect_target, same_origin, without_secrets
from xdpws.aio.tunnel import open_tunnel
from xdpws.config import TlsOptions, TransportName, XdpOptions
from xdpws.errors import ConnectError, InvalidStatus, OpenTimeout, SecurityError, UsageError
from xdpws.headers import header_lines
from xdpws.http import parse_request
from xdpws.proxy import Proxy, environment_proxy, parse_proxy
from xdpws.resolve import resolve_host
from xdpws.stack.runtime import Adopted, Target, WsRequest
from xdpws.stack.tls import TlsContext
from xdpws.uri import WebSocketURI

_NOWHERE = IPv4Address(0)


class _Deadline:
    """When opening must be done."""

    def __init__(self, timeout: float | None) -> None:
        self._at = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds, None: as long as it takes. OpenTimeout when there are none."""
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise OpenTimeout("timed out during opening handshake")
        return left


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialer:
    """The checked parameters of `connect`."""

    uri: WebSocketURI
    request: WsRequest
    headers: Sequence[tuple[str, str]]
    limits: Limits
    transport: TransportName
    xdp: XdpOptions | None
    tls: TlsOptions
    server_hostname: str | None
    open_timeout: float | None
    host: str | None
    port: int | None
    local: tuple[str, int] | None
    sock: socket.socket | None
    proxy: str | Literal[True] | None
    proxy_ssl: ssl_module.SSLContext | None
    proxy_server_hostname: str | None
    user_agent: str | None
    logger: LoggerLike

    async def open(self) -> ClientConnection:
        """A connection that is open, after redirects. The exceptions of `connect`."""
        deadline = _Deadline(self.open_timeout)
        uri, headers = self.uri, list(self.headers)
        overridden = self.host is not None or self.port is not None or self.sock is not None
        for _ in range(MAX_REDIRECTS):
            try:
                return await self._open(uri, headers, deadline)
            except InvalidStatus as error:
                target = redirect_target(uri, error, overridden)
                if target is None:
                    raise
                if self.sock is not None:
                    raise UsageError(f"cannot follow redirect to {target.url} with a preexisting socket") from error
                if not same_origin(uri, target):
                    headers = without_secrets(headers)
                self.logger.info("redirected to %s", target.url)
                uri = target
        raise SecurityError(f"more than {MAX_REDIRECTS} redirects")

    async def _open(self, uri: WebSocketURI, headers: list[tuple[str, str]], deadline: _Deadline) -> ClientConnection:
        if uri.authorization is not None and not any(name.lower() == "authorization" for name, _ in headers):
            headers = [*headers, ("Authorization", uri.authorization)]
        ws = replace(self.request, resource=uri.resource, host=uri.host_header, headers=header_lines(headers))
        context = TlsContext(self.tls) if uri.secure else None
        base = Target(_NOWHERE, self.port or uri.port, context, (self.server_hostname or uri.host) if context else "",
                      ws, True, 0.0, self.limits.close_timeout if self.limits.close_timeout is not None else 1e6,
                      IPv4Address(self.local[0] or 0) if self.local else None, self.local[1] if self.local else 0)
        if self.sock is not None:
            return await self._adopt(uri, base, self.sock, "a socket was given", deadline)
        proxy, named_by = self._find_proxy(uri)
        if proxy is not None:
            sock = await self._through(proxy, self.host or uri.host, base.port, deadline)
            return await self._adopt(uri, base, sock, f"the proxy {proxy}{named_by} needs a socket", deadline)
        return await self._direct(uri, base, deadline)

    def _find_proxy(self, uri: WebSocketURI) -> tuple[Proxy | None, str]:
        url = environment_proxy(uri) if self.proxy is True else self.proxy
        if url is None:
            return None, ""
        if self.transport == "xdp":
            raise UsageError(f"the environment names a proxy for {uri.url}, which AF_XDP cannot use; give proxy=None, "
                             "or set no_proxy")
        return parse_proxy(url), " of the environment" if self.proxy is True else ""

    async def _through(self, proxy: Proxy, host: str, port: int, deadline: _Deadline) -> socket.socket:
        try:
            async with asyncio.timeout(deadline.left()):
                return await open_tunnel(proxy, host, port, user_agent=self.user_agent, ssl=self.proxy_ssl,
                                         server_hostname=self.proxy_server_hostname)
        except TimeoutError as error:
            raise OpenTimeout(f"timed out during opening handshake: the proxy {proxy} did not connect us") from error

    async def _adopt(self, uri: WebSocketURI, base: Target, sock: socket.socket, why: str,
                     deadline: _Deadline) -> ClientConnection:
        with sock:
            local, remote = sock.getsockname(), sock.getpeername()
            target = replace(base, adopt=Adopted(sock.fileno(), why=why), open_timeout_s=deadline.left() or 0.0)
            opening = self._begin(uri, target, local, remote)
        return await self._finish(opening)

    async def _direct(self, uri: WebSocketURI, base: Target, deadline: _Deadline) -> ClientConnection:
        try:
            async with asyncio.timeout(deadline.left()):
                addresses = await asyncio.to_thread(resolve_host, self.host or uri.host)
        except TimeoutError as error:
            raise OpenTimeout(f"timed out during opening handshake: {self.host or uri.host} was not resolved"
                              ) from error
        for number, address in enumerate(addresses):
            left = deadline.left()
            share = 0.0 if left is None else left / (len(addresses) - number)
            target = replace(base, address=address, open_timeout_s=share)
            try:
                return await self._finish(self._begin(uri, target, None, (str(address), base.port)))
            except (ConnectError, OpenTimeout):
                if number + 1 == len(addresses):
                    raise
        raise AssertionError("resolve_host gives at least one address")

    def _begin(self, uri: WebSocketURI, target: Target, local: Any, remote: Any) -> ClientConnection:
        driver = Driver.acquire(self.xdp)
        connection = ClientConnection(driver, self.limits, self.logger, uri)
        try:
            handle = driver.runtime.open(target, connection, self.transport)
        except BaseException:
            driver.release()
            raise
        connection.request = parse_request(handle.hello())
        connection._attach(handle, driver.runtime)
        connection._local, connection._remote = local, remote
        return connection

    @staticmethod
    async def _finish(connection: ClientConnection) -> ClientConnection:
        await connection._opened()
        if connection._local is None:
            connection._local = connection.find_local_address()
        return connection
