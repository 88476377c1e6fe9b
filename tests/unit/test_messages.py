"""xdpws.messages: a message shows a buffer, in its callback only."""
from __future__ import annotations

import pytest

from xdpws.messages import Message
from xdpws.timestamps import Stamps


def message(data: bytes, binary: bool = False) -> Message:
    return Message(memoryview(data), binary, lambda event, user_ns: Stamps(kernel=event, user=user_ns), 5, 7,
                   "the session")


def test_shows_what_it_is() -> None:
    made = message("žluť".encode())
    assert (bytes(made), len(made), made.text, made.binary) == ("žluť".encode(), 6, "žluť", False)
    assert made.data.tobytes() == bytes(made)
    assert made.stamps == Stamps(kernel=5, user=7)
    assert made.session == "the session"
    assert repr(made) == "<Message text, 6 bytes>"
    assert repr(message(b"\xff", True)) == "<Message binary, 1 bytes>"
    assert (len(message(b"")), message(b"").text) == (0, "")


def test_text_that_is_none() -> None:
    with pytest.raises(UnicodeDecodeError):
        _ = message(b"\xff").text


def test_no_copy_is_made() -> None:
    buffer = bytearray(b"before")
    made = Message(memoryview(buffer), True, None)
    buffer[:] = b"behind"
    assert bytes(made) == b"behind"


def test_over() -> None:
    made = message(b"x")
    kept = bytes(made)
    made._end()
    assert kept == b"x"
    for use in (bytes, len, lambda m: m.text, lambda m: m.data[0]):
        with pytest.raises(ValueError, match="released"):
            use(made)
    with pytest.raises(ValueError, match="only in its callback"):
        _ = made.stamps
    assert repr(made) == "<Message text, its callback is over>"
