"""xdpws.uri: what a URL names, and which are refused with the reason."""
from __future__ import annotations

import pytest

from xdpws.errors import InvalidURI, UsageError
from xdpws.uri import parse_uri


@pytest.mark.parametrize(("url", "secure", "host", "port", "resource", "header"), [
    ("ws://example.com", False, "example.com", 80, "/", "example.com"),
    ("wss://example.com/", True, "example.com", 443, "/", "example.com"),
    ("wss://example.com:9443/ws/btcusdt@trade?a=1&b=%20", True, "example.com", 9443, "/ws/btcusdt@trade?a=1&b=%20",
     "example.com:9443"),
    ("ws://example.com:443/", False, "example.com", 443, "/", "example.com:443"),
    ("wss://example.com:80", True, "example.com", 80, "/", "example.com:80"),
    ("WSS://EXAMPLE.com:443/Path", True, "example.com", 443, "/Path", "example.com"),
    ("ws://10.1.2.3:65535?x", False, "10.1.2.3", 65535, "/?x", "10.1.2.3:65535"),
    ("wss://bücher.example/", True, "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
])
def test_parts(url: str, secure: bool, host: str, port: int, resource: str, header: str) -> None:
    uri = parse_uri(url)
    assert (uri.url, uri.secure, uri.host, uri.port, uri.resource) == (url, secure, host, port, resource)
    assert uri.host_header == header


def test_address() -> None:
    assert parse_uri("ws://10.1.2.3/").address == "10.1.2.3"
    assert parse_uri("ws://example.com/").address is None
    assert parse_uri("ws://10.1.2/").address is None


@pytest.mark.parametrize(("url", "why"), [
    ("", "scheme"),
    ("example.com", "scheme"),
    ("https://example.com/", "scheme must be ws:// or wss://"),
    ("ws:///path", "no host"),
    ("ws://", "no host"),
    ("wss://example.com/#part", "fragment"),
    ("wss://example.com/#", "fragment"),
    ("wss://user:secret@example.com/", "user information"),
    ("wss://user@example.com/", "user information"),
    ("wss://[::1]/", "IPv6 is not supported"),
    ("wss://[::1/", "IPv6"),
    ("wss://example.com:0/", "1 to 65535"),
    ("wss://example.com:65536/", "0-65535"),
    ("wss://example.com:x/", "Port"),
    ("wss://example.com/a b", "percent-encoded"),
    ("wss://example.com/é", "percent-encoded"),
    ("wss://exa mple.com/", "percent-encoded"),
    ("wss://example.com/\x7f", "percent-encoded"),
    (f"wss://{'ü' * 70}.example/", "not a valid name"),
])
def test_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(InvalidURI) as caught:
        parse_uri(url)
    assert why in caught.value.msg
    assert str(caught.value) == f"{url} is not a valid WebSocket URI: {caught.value.msg}"
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\t"])
def test_no_line_break_reaches_the_request(break_: str) -> None:
    """urlsplit drops them silently; the request line must never hold one."""
    try:
        uri = parse_uri(f"ws://example.com/a{break_}X-Injected: 1")
    except InvalidURI:
        return
    assert break_ not in uri.resource + uri.host
