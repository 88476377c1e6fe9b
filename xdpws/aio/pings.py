"""`Pings`: those under way, and whom their pongs are for."""
from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable

from xdpws.errors import ConcurrencyError, UsageError


def control_payload(data: str | bytes | bytearray | memoryview) -> bytes:
    """The bytes of a ping or pong; TypeError and UsageError (more than 125) as they say."""
    if not isinstance(data, str | bytes | bytearray | memoryview):
        raise TypeError("data must be str or bytes-like")
    raw = data.encode() if isinstance(data, str) else bytes(data)
    if len(raw) > 125:
        raise UsageError(f"the data of a ping or pong is at most 125 bytes, not {len(raw)}")
    return raw


class Pings:
    """Belongs to one connection and its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[bytes, tuple[asyncio.Future[float], float]] = {}

    def new(self, data: str | bytes | bytearray | memoryview | None) -> tuple[bytes, asyncio.Future[float]]:
        """The payload of a new ping, four random bytes for None, and the future of its latency."""
        if data is None:
            raw = struct.pack(">I", random.getrandbits(32))
            while raw in self._waiting:
                raw = struct.pack(">I", random.getrandbits(32))
        else:
            raw = control_payload(data)
        if raw in self._waiting:
            raise ConcurrencyError("already waiting for a pong with the same data")
        waiter: asyncio.Future[float] = self._loop.create_future()
        self._waiting[raw] = (waiter, time.monotonic())
        return raw, waiter

    def forget(self, raw: bytes) -> None:
        """It was not sent after all."""
        self._waiting.pop(raw, None)

    def pong(self, payload: bytes) -> float | None:
        """A pong came: its latency in seconds, None if nobody waits for it. It answers its own ping and all that were
        sent before it (RFC 6455 section 5.5.3)."""
        if payload not in self._waiting:
            return None
        now = time.monotonic()
        latency = now - self._waiting[payload][1]
        for data in list(self._waiting):
            waiter, sent_at = self._waiting.pop(data)
            if not waiter.done():
                waiter.set_result(now - sent_at)
            if data == payload:
                break
        return latency

    def fail(self, error: Callable[[], Exception]) -> None:
        """The connection is gone."""
        for waiter, _ in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(error())
                waiter.exception()  # somebody may never ask
        self._waiting.clear()
