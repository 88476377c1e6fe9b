"""WebSocket data frames as a server sends them (RFC 6455 section 5.2): unmasked, encoded once, shared by all clients.

Only data frames and pings are made here, because they must be made fast or before the connection exists. Everything
that depends on the state of a connection (handshake, received frames, pong, close) is wsproto's.
"""
from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from itertools import pairwise

from xdpws.sim.stamp import SLOT

__all__ = ["CONTINUATION", "FRAGMENTS", "PING", "PONG", "Framer", "encode_fragments", "encode_frame"]

CONTINUATION = 0
PING = 9
PONG = 10
FRAGMENTS = ("none", "random", "interleaved")
_MAX_CUTS = 4


def encode_frame(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """One unmasked frame; the shortest of the three length forms."""
    first, size = opcode | (0x80 if fin else 0), len(payload)
    if size < 126:
        return struct.pack(">BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", first, 126, size) + payload
    return struct.pack(">BBQ", first, 127, size) + payload


def encode_fragments(opcode: int, payload: bytes, cuts: Sequence[int], between: Sequence[bytes] = ()) -> bytes:
    """One message as len(cuts) + 1 frames.

    `cuts` are ascending offsets into the payload, equal ones give empty fragments; `between[i]` is inserted
    after fragment i (a whole control frame, which RFC 6455 section 5.4 allows there).
    """
    edges = [0, *cuts, len(payload)]
    parts = []
    for i, (begin, end) in enumerate(pairwise(edges)):
        last = i == len(cuts)
        parts.append(encode_frame(opcode if i == 0 else CONTINUATION, payload[begin:end], fin=last))
        if not last and i < len(between):
            parts.append(between[i])
    return b"".join(parts)


class Framer:
    """Encodes messages and decides, by a seed, how they are fragmented.

    "none": one frame a message. "random": half of the messages in 2 to 5 fragments, cut anywhere, also inside a UTF-8
    character, some of them empty. "interleaved": as "random", with a ping between the first two fragments.
    """

    def __init__(self, fragment: str = "none", seed: int = 0) -> None:
        self._fragment = fragment
        self._rng = random.Random(f"fragment {seed}")

    def encode(self, opcode: int, payload: bytes) -> bytes:
        """The bytes of one message on the wire."""
        if self._fragment == "none" or self._rng.random() < 0.5:
            return encode_frame(opcode, payload)
        lowest = len(SLOT) if payload.startswith(SLOT) else 0
        cuts = sorted(self._rng.randint(lowest, len(payload)) for _ in range(self._rng.randint(1, _MAX_CUTS)))
        between = [encode_frame(PING, b"between fragments")] if self._fragment == "interleaved" else []
        return encode_fragments(opcode, payload, cuts, between)
