"""Which redirects are followed, and with what; the rules of `websockets`."""
from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urljoin

from xdpws.errors import InvalidStatus, InvalidURI, SecurityError, UsageError
from xdpws.uri import WebSocketURI, parse_uri

MAX_REDIRECTS = 10
_STATUS = frozenset({300, 301, 302, 303, 307, 308})
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})


def redirect_target(uri: WebSocketURI, error: InvalidStatus, overridden: bool) -> WebSocketURI | None:
    """Where the answer in `error` sends us; None if it is no redirect, or one to a page (https://) and not to a
    WebSocket.

    overridden: host, port or socket were given apart from the URI. Raises SecurityError for a target without TLS when
    ours has it, and UsageError for another host or port than ours when `overridden`.
    """
    response = error.response
    if response.status_code not in _STATUS or "Location" not in response.headers:
        return None
    try:
        target = parse_uri(urljoin(uri.url, response.headers["Location"]), user_info=True)
    except InvalidURI:
        return None
    if uri.secure and not target.secure:
        raise SecurityError(f"cannot follow redirect to non-secure URI {target.url}") from error
    if overridden and not same_origin(uri, target):
        raise UsageError(f"cannot follow cross-origin redirect to {target.url} with an explicit host, port or socket"
                         ) from error
    return target


def same_origin(one: WebSocketURI, other: WebSocketURI) -> bool:
    """Same scheme, host and port."""
    return (one.secure, one.host, one.port) == (other.secure, other.host, other.port)


def without_secrets(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What may go to another origin."""
    return [(name, value) for name, value in headers if name.lower() not in _SECRETS]
