"""A digest of received data messages: two parties with the same digest saw the same messages in the same order.

Definition (as in the header of recorded feeds, `rx_sha256`): SHA-256 over, for every data message in order, the
payload's length as 4 bytes big-endian followed by the payload. Control frames and fragment boundaries do not count.
"""
from __future__ import annotations

import hashlib
import struct

__all__ = ["FeedDigest"]

_LENGTH = struct.Struct(">I")


class FeedDigest:
    """Running digest over data messages; `messages` and `payload_bytes` count what went in."""

    __slots__ = ("_sha", "messages", "payload_bytes")

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.messages = 0
        self.payload_bytes = 0

    def update(self, payload: bytes | bytearray | memoryview) -> None:
        """Append one message. A memoryview must be contiguous and of bytes; text goes in as its UTF-8."""
        size = len(payload)
        self._sha.update(_LENGTH.pack(size))
        self._sha.update(payload)
        self.messages += 1
        self.payload_bytes += size

    def hexdigest(self) -> str:
        """The digest so far, 64 lower-case hex digits; more messages may follow."""
        return self._sha.hexdigest()
