"""How encoded messages are divided into TLS records, which recordings do not hold and the simulator must choose."""
from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from xdpws.errors import UsageError

__all__ = ["MAX_RECORD", "Records", "parse_records"]

MAX_RECORD = 16384
"""The most plaintext a TLS record may hold (RFC 8446 section 5.1); longer units become several records."""


def parse_records(text: str) -> int:
    """The meaning of `--records`: messages a record as a number, 1 for "per-message", 0 for "random".

    Accepts "per-message", "random", "coalesce N" and "coalesce:N" with N from 2 to 1024. Raises `UsageError`.
    """
    if text == "per-message":
        return 1
    if text == "random":
        return 0
    word, _, number = text.replace(":", " ").partition(" ")
    if word == "coalesce" and number.isdecimal() and 2 <= int(number) <= 1024:
        return int(number)
    raise UsageError(f'records: {text!r} is neither "per-message", "random" nor "coalesce:N" with N from 2 to 1024')


class Records:
    """Turns the messages of one burst into units; each unit is written to TLS by one call."""

    def __init__(self, messages_per_record: int = 1, seed: int = 0) -> None:
        """`messages_per_record` as from `parse_records`; the seed decides the sizes of random records."""
        self._per_record = messages_per_record
        self._rng = random.Random(f"records {seed}")

    def units(self, messages: Sequence[bytes]) -> Iterator[bytes]:
        """The units of a burst, in order; joined they are the joined messages."""
        if self._per_record == 1:
            yield from messages
        elif self._per_record == 0:
            yield from self._random(b"".join(messages))
        else:
            for i in range(0, len(messages), self._per_record):
                yield b"".join(messages[i : i + self._per_record])

    def _random(self, stream: bytes) -> Iterator[bytes]:
        """Cuts at sizes from 1 to 16384 bytes, log-uniform, so that headers and messages are split anywhere."""
        at = 0
        while at < len(stream):
            size = round(math.exp(self._rng.uniform(0.0, math.log(MAX_RECORD))))
            yield stream[at : at + size]
            at += size
