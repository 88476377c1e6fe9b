"""What a callback gets."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdpws.timestamps import Stamps


class Message:
    """One data message.

    data: its payload, a memoryview of the receive buffer that is valid in the callback only (using it later raises
    ValueError; keep `bytes(msg.data)`). binary: False for text (its bytes are UTF-8). stamps: read in the callback
    too. session: the connection that it came on (`xdpws.Session`).
    """

    __slots__ = ("_event", "_read_stamps", "_user_ns", "binary", "data", "session")

    def __init__(self, data: memoryview, binary: bool, read_stamps: Callable[[Any, int], Stamps] | None,
                 event: Any = None, user_ns: int = 0, session: Any = None) -> None:
        """read_stamps: makes the stamps of `event` and `user_ns` when they are asked for (a closure for each message
        would cost more than most messages' stamps, which nobody reads)."""
        self.session = session
        self.data = data
        self.binary = binary
        self._read_stamps = read_stamps
        self._event = event
        self._user_ns = user_ns

    @property
    def stamps(self) -> Stamps:
        """When the message passed each stage; made when it is asked for, in the callback."""
        if self._read_stamps is None:
            raise ValueError("the stamps of a message can be read only in its callback")
        return self._read_stamps(self._event, self._user_ns)

    def _end(self) -> None:
        """The callback is over: what the message showed is no longer there."""
        self.data.release()
        self._read_stamps = None

    @property
    def text(self) -> str:
        """The payload decoded as UTF-8 (a copy)."""
        return bytes(self.data).decode()

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        kind = "binary" if self.binary else "text"
        return f"<Message {kind}, its callback is over>" if self._read_stamps is None else (
            f"<Message {kind}, {len(self.data)} bytes>")
