"""A feed made ready to be sent: every message encoded once, shared by all clients."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from xdpws.digest import FeedDigest
from xdpws.errors import UsageError
from xdpws.sim.feed import Record
from xdpws.sim.frames import Framer
from xdpws.sim.stamp import PREFIX, SLOT

__all__ = ["Script", "Source", "expected_digest"]

LOOP_GAP_NS = 1_000_000
"""Recorded time between the last message of a round and the start of the next one."""


class Source(Protocol):
    """Where messages come from; every call of `messages` starts from the first one."""

    def messages(self) -> Iterator[Record]:
        """The server's data messages in order."""


@dataclass(frozen=True, slots=True)
class Script:
    """`due_ns[i]` is the recorded time of message i, `wire[i]` its frames.

    `stamp_at[i]` is the offset in `wire[i]` of the digits to be filled at sending; the tuple is empty if the feed
    is not stamped. All messages are in memory: about their payload plus 100 bytes each.
    """

    due_ns: tuple[int, ...]
    wire: tuple[bytes, ...]
    stamp_at: tuple[int, ...]

    @classmethod
    def build(cls, source: Source, framer: Framer, stamped: bool = False) -> Script:
        """Encode all messages of a source. Raises `FeedError` from the source, `UsageError` if it has none."""
        due, wire = [], []
        for record in source.messages():
            assert record.opcode is not None
            due.append(record.t_ns)
            wire.append(framer.encode(record.opcode, record.payload))
        if not wire:
            raise UsageError("feed: it holds no message of the server")
        stamp_at = tuple(frame.index(SLOT) + len(PREFIX) for frame in wire) if stamped else ()
        return cls(tuple(due), tuple(wire), stamp_at)

    @property
    def round_ns(self) -> int:
        """Recorded time that one round takes, ns."""
        return self.due_ns[-1] + LOOP_GAP_NS


def expected_digest(source: Source, messages: int) -> FeedDigest:
    """The digest of the first `messages` messages of a source that is repeated as often as needed."""
    digest = FeedDigest()
    while digest.messages < messages:
        before = digest.messages
        for record in islice(source.messages(), messages - digest.messages):
            digest.update(record.payload)
        if digest.messages == before:
            raise UsageError("feed: it holds no message of the server")
    return digest
