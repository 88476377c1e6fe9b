"""`ws://` and `wss://` URIs (RFC 6455 section 3)."""
from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from xdpws.errors import InvalidURI

_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class WebSocketURI:
    """One target.

    url: as it was given; secure: TLS or not; host: name or IPv4 address, without brackets, IDNA-encoded;
    port: 1 to 65535; resource: request target with query, never empty. username, password: from the URL, decoded.
    """

    url: str
    secure: bool
    host: str
    port: int
    resource: str
    username: str | None = None
    password: str | None = None

    @property
    def host_header(self) -> str:
        """Value of the Host header: the port only when it is not the scheme's own (RFC 9110 section 7.2)."""
        default = _PORTS["wss" if self.secure else "ws"]
        return self.host if self.port == default else f"{self.host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """Value of the Authorization header for username and password (RFC 7617); None without them."""
        if self.username is None:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @property
    def address(self) -> str | None:
        """The host if it is an IPv4 address, else None."""
        try:
            return str(ipaddress.IPv4Address(self.host))
        except ValueError:
            return None


def parse_uri(url: str, user_info: bool = False) -> WebSocketURI:
    """Take a URL apart. user_info: whether it may hold a user name and a password.

    Raises InvalidURI for a scheme other than ws and wss, a missing host, a bad port, a fragment (RFC 6455 section 3
    forbids it), user information, or an IPv6 address (not supported).
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidURI(url, str(error)) from None
    if parts.scheme not in _PORTS:
        raise InvalidURI(url, "the scheme must be ws:// or wss://")
    if not parts.hostname:
        raise InvalidURI(url, "there is no host in it")
    if "#" in url:
        raise InvalidURI(url, "a fragment (#...) is not allowed")
    username, password = parts.username, parts.password
    if (username is not None or password is not None) and not user_info:
        raise InvalidURI(url, "user information is not supported; use additional_headers")
    if username is not None and password is None:
        raise InvalidURI(url, "a user name needs a password")
    if ":" in parts.hostname:
        raise InvalidURI(url, "IPv6 is not supported")
    if port == 0:
        raise InvalidURI(url, "the port must be 1 to 65535")
    try:
        host = parts.hostname.encode("ascii" if parts.hostname.isascii() else "idna").decode("ascii")
    except UnicodeError:
        raise InvalidURI(url, "the host is not a valid name") from None
    resource = parts.path or "/"
    if parts.query:
        resource += "?" + parts.query
    if any(ord(c) <= 0x20 or ord(c) >= 0x7F for c in resource + host):
        raise InvalidURI(url, "it contains characters that must be percent-encoded")
    return WebSocketURI(url, parts.scheme == "wss", host, port or _PORTS[parts.scheme], resource,
                        None if username is None else unquote(username), None if password is None else
                        unquote(password))
