"""xdpws.sim.peer, by way of a venue: what clients do wrong is answered and ends that client only."""
from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine
from typing import Any

import pytest

from xdpws.sim.venues.config import VenueConfig
from xdpws.sim.venues.server import VenueExchange

UPGRADE = (b"GET /ws/v5/public HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await work

    asyncio.run(limited())


def masked(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """A client's frame with the mask 0, payloads of at most 65535 bytes."""
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    head += bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return head + bytes(4) + payload


async def say(raw: bytes, rest: bytes = b"") -> tuple[bytes, str]:
    """What a client gets that sends `raw`, and later `rest`; and how the venue saw it end."""
    results: list[str] = []
    config = VenueConfig("okx", port=0, plain=True, close_timeout_s=0.5)
    async with VenueExchange(config, lambda result: results.append(result.reason)) as venue:
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
        writer.write(raw)
        answer = b""
        if rest:
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(rest)
        answer += await reader.read(-1)
        writer.close()
        while not results:
            await asyncio.sleep(0.01)
    return answer, results[0]


@pytest.mark.parametrize(("raw", "status", "reason"), [
    (b"GET /ws/v5/public HTTP/1.1\r\nHost: x\r\n\r\n", b"404", "answered 404"),
    (UPGRADE.replace(b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", b""), b"400", "no WebSocket upgrade request"),
    (UPGRADE.replace(b"/ws/v5/public", b"/other"), b"404", "answered 404 to GET /other"),
    (b"hello\r\n\r\n", b"", "sent no HTTP request"),
    (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000, b"", "sent too long a request")])
def test_requests_that_are_no_upgrade(raw: bytes, status: bytes, reason: str) -> None:
    async def work() -> None:
        answer, seen = await say(raw)
        assert status in answer[:20]
        assert reason in seen

    run(work())


@pytest.mark.parametrize(("frames", "reason"), [
    (b"\x81\x02hi", "broke the protocol"),
    (masked(3, b""), "broke the protocol"),
    (masked(1, b"\xff\xfe"), "broke the protocol"),
    (masked(1, b"x" * 65_000, fin=False) + masked(0, b"x" * 65_000, fin=False) * 17, "sent a message that is too big"),
    (masked(8, struct.pack(">H", 1000)), "closed with 1000")])
def test_frames_that_end_a_client(frames: bytes, reason: str) -> None:
    async def work() -> None:
        answer, seen = await say(UPGRADE, frames)
        assert b"101" in answer[:20]
        assert reason in seen, seen

    run(work())


def test_fragments_and_pings_between_them_are_one_message() -> None:
    async def work() -> None:
        async with VenueExchange(VenueConfig("okx", port=0, plain=True)) as venue:
            reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(masked(1, b"pi", fin=False) + masked(9, b"?") + masked(0, b"ng"))
            assert await reader.readexactly(9) == b"\x8a\x01?" + b"\x81\x04pong"
            writer.close()

    run(work())
