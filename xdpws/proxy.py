"""`Proxy`: the address of a proxy, as given or as the environment says."""
from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from xdpws.errors import InvalidProxy
from xdpws.uri import WebSocketURI

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080, "socks4": 1080, "socks4a": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """scheme: http or https (CONNECT), socks5, socks4 (names are resolved here), socks5h, socks4a (by the proxy)."""

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    def __str__(self) -> str:
        """Without the password."""
        return f"{self.scheme}://{self.host}:{self.port}"


def parse_proxy(url: str) -> Proxy:
    """Take the URL of a proxy apart. Raises InvalidProxy for a scheme that is not in `Proxy`, a missing host, a bad
    port, a user name without a password, a path, a query or a fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidProxy(url, str(error)) from None
    if parts.scheme not in _PORTS:
        raise InvalidProxy(url, f"scheme {parts.scheme} isn't supported; it must be one of {', '.join(_PORTS)}")
    if not parts.hostname:
        raise InvalidProxy(url, "hostname isn't provided")
    for name in ("query", "fragment"):
        if getattr(parts, name):
            raise InvalidProxy(url, f"{name} is meaningless")
    if parts.path not in ("", "/"):
        raise InvalidProxy(url, "path is meaningless")
    if parts.username is not None and parts.password is None:
        raise InvalidProxy(url, "username provided without password")
    try:
        host = parts.hostname.encode("ascii" if parts.hostname.isascii() else "idna").decode("ascii")
        username = None if parts.username is None else unquote(parts.username, errors="strict")
        password = None if parts.password is None else unquote(parts.password, errors="strict")
    except UnicodeError as error:
        raise InvalidProxy(url, str(error)) from None
    return Proxy(parts.scheme, host, port or _PORTS[parts.scheme], username, password)


def environment_proxy(uri: WebSocketURI) -> str | None:
    """The proxy that the environment names for a target, None for none or when no_proxy excepts it.

    Looked at are wss_proxy or ws_proxy, then socks_proxy, then https_proxy (and http_proxy for ws://), in either case
    of letters, in this order.
    """
    if urllib.request.proxy_bypass(f"{uri.host}:{uri.port}"):
        return None
    proxies = urllib.request.getproxies()
    for scheme in (("wss", "socks", "https") if uri.secure else ("ws", "socks", "https", "http")):
        if proxy := proxies.get(scheme):
            if scheme == "socks" and proxy.startswith("http://"):
                proxy = "socks5h://" + proxy.removeprefix("http://")
            return proxy
    return None
