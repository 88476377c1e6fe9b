"""xdpws.headers: lines of the upgrade request, and what may not stand in them."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdpws.errors import UsageError
from xdpws.headers import header_lines


def test_mapping_and_pairs() -> None:
    assert header_lines({}) == ""
    assert header_lines({"X-Key": "abc", "Origin": "https://x"}) == "X-Key: abc\r\nOrigin: https://x\r\n"
    assert header_lines([("X-A", "1"), ("X-A", "2")]) == "X-A: 1\r\nX-A: 2\r\n"
    assert header_lines(iter([("X-A", " padded\t ")])) == "X-A: padded\r\n"
    assert header_lines({"X-Tab": "a\tb", "X-Empty": ""}) == "X-Tab: a\tb\r\nX-Empty: \r\n"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\n", "é", "a\0", "(x)", "a/b"])
def test_names_that_are_no_token(name: str) -> None:
    with pytest.raises(UsageError, match="is not a header name"):
        header_lines({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "\0", "\x7f", "\x1b[0m", "é", "\r\n"])
def test_values_that_are_not_allowed(value: str) -> None:
    with pytest.raises(UsageError, match="value of the header X-Key has characters"):
        header_lines({"X-Key": value})


@pytest.mark.parametrize("name", ["Host", "UPGRADE", "connection", "Sec-WebSocket-Key", "sec-websocket-version",
                                  "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length",
                                  "Transfer-Encoding"])
def test_fields_of_the_handshake_itself(name: str) -> None:
    with pytest.raises(UsageError, match=f"the header {name} is set by the handshake itself"):
        header_lines({name: "x"})


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=30)), max_size=4))
def test_whatever_is_given_each_field_is_one_line(items: list[tuple[str, str]]) -> None:
    try:
        lines = header_lines(items)
    except UsageError:
        return
    assert lines.isascii()
    assert lines.count("\r\n") == lines.count("\n") == lines.count("\r") == len(items)
    for (name, value), line in zip(items, lines.split("\r\n"), strict=False):
        assert line == f"{name}: {value.strip()}"
