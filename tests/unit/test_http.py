"""xdpws.http: answers and close frames as values."""
from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Close as TheirClose

from xdpws.http import Close, Headers, parse_response


def test_response() -> None:
    got = parse_response(b"HTTP/1.1 403 Not For You\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\n"
                         b"set-cookie: b=2\r\nX-Empty:\r\n\r\nbody\r\n\r\nmore")
    assert (got.status_code, got.reason_phrase, got.body) == (403, "Not For You", b"body\r\n\r\nmore")
    assert got.headers["CONTENT-type"] == "text/plain"
    assert got.headers["Set-Cookie"] == "a=1, b=2"
    assert got.headers["x-empty"] == ""
    assert dict(got.headers) == {"content-type": "text/plain", "set-cookie": "a=1, b=2", "x-empty": ""}


@pytest.mark.parametrize(("data", "status", "reason"), [
    (b"", 0, ""), (b"HTTP/1.1 200", 200, ""), (b"HTTP/1.1 xyz Odd\r\n\r\n", 0, "Odd"), (b"garbage", 0, ""),
    (b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n", 101, "Switching Protocols"),
    (b"HTTP/1.0 500 caf\xe9\r\n\r\n", 500, "caf\xe9"),
])
def test_lenient(data: bytes, status: int, reason: str) -> None:
    got = parse_response(data)
    assert (got.status_code, got.reason_phrase) == (status, reason)


@example(b"\xb9")  # a superscript one: a digit to str.isdigit, none to int
@given(st.binary(max_size=200))
def test_raises_nothing(data: bytes) -> None:
    assert parse_response(data).status_code >= 0
    assert parse_response(b"HTTP/1.1 " + data).status_code >= 0


def test_headers_in_any_case() -> None:
    headers = Headers({"upgrade": "websocket"})
    assert "Upgrade" in headers
    assert headers["UPGRADE"] == headers.get("Upgrade") == "websocket"
    assert "other" not in headers
    assert 7 not in headers
    assert headers.get("Other") is None
    assert headers.get("Other", "x") == "x"
    with pytest.raises(KeyError):
        headers["Other"]


@pytest.mark.parametrize("code", [*range(1000, 1005), *range(1007, 1015), 1016, 2999, 3000, 3999, 4000, 4999, 5000])
@pytest.mark.parametrize("reason", ["", "why"])
def test_close_reads_as_with_the_websockets_library(code: int, reason: str) -> None:
    assert str(Close(code, reason)).lower() == str(TheirClose(code, reason)).lower()
