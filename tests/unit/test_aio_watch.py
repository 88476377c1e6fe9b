"""What finds a connection dead, and what keeps it alive: silence, pings of the application, full queues."""
from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiolib import dial, echo, raw_server, run, server, until
from websockets.asyncio.server import ServerConnection

import xdpws
from xdpws.aio.state import State
from xdpws.config import Keepalive
from xdpws.errors import ConnectionClosed, ConnectionClosedError, UsageError


async def hold(ws: ServerConnection) -> None:
    """Stay open and say nothing."""
    await ws.wait_closed()


async def all_of(ws: xdpws.ClientConnection, firsts: list[int] | None = None) -> None:
    """Receive until it ends, and note each message's first byte."""
    while True:
        message = await ws.recv(decode=False)
        if firsts is not None:
            firsts.append(message[0])


def reason(caught: pytest.ExceptionInfo[ConnectionClosed]) -> str:
    assert caught.value.sent is not None
    assert caught.value.sent.code == 1011
    return caught.value.sent.reason


# ---- silence -----------------------------------------------------------------------------------------------------


def test_silence_closes_though_pings_and_pongs_flow() -> None:
    async def pinging(ws: ServerConnection) -> None:
        while True:
            await (await ws.ping())
            await asyncio.sleep(0.02)

    async def main() -> None:
        async with server(pinging) as url, dial(url, idle_timeout=0.25, ping_interval=0.02) as ws:
            began = time.monotonic()
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert 0.24 < time.monotonic() - began < 3
            assert reason(caught) == "no data for 0.25 s"
            assert ws.latency > 0

    run(main())


def test_data_keeps_it_open_and_the_clock_begins_anew() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url, idle_timeout=0.4) as ws:
            for i in range(8):
                await asyncio.sleep(0.1)
                await ws.send(str(i))
                assert await ws.recv() == str(i)
            last = time.monotonic()
            with pytest.raises(ConnectionClosedError):
                await ws.recv()
            assert time.monotonic() - last > 0.35

    run(main())


def test_a_full_queue_is_no_silence() -> None:
    async def flood(ws: ServerConnection) -> None:
        for i in range(40):
            await ws.send(bytes([i]) + bytes(70_000))
        await ws.wait_closed()

    async def main() -> None:
        async with server(flood) as url, dial(url, idle_timeout=0.2, max_queue=2) as ws:
            await until(lambda: ws.paused)
            await asyncio.sleep(0.5)
            assert ws.state is State.OPEN
            got = [(await ws.recv(decode=False))[0] for _ in range(40)]
            assert got == list(range(40))
            with pytest.raises(ConnectionClosedError):
                await ws.recv()

    run(main())


# ---- pings of the application --------------------------------------------------------------------------------------


def venue(answer: str, heard: list[Any]) -> Any:
    async def speak(ws: ServerConnection) -> None:
        await ws.send("hello")
        async for message in ws:
            heard.append(message)
            await ws.send(answer)
            await ws.send(f"data {len(heard)}")

    return speak


def test_text_ping_as_okx_and_bitget_want_it() -> None:
    """The answers are swallowed; what is data comes in its order."""
    async def main() -> None:
        heard: list[Any] = []
        async with server(venue("pong", heard)) as url:
            async with dial(url, keepalive=Keepalive("ping", interval_s=0.03, answer="pong")) as ws:
                got = [await ws.recv() for _ in range(4)]
            assert got == ["hello", "data 1", "data 2", "data 3"]
            assert set(heard) == {"ping"}

    run(main())


def test_the_short_form() -> None:
    assert Keepalive.parse("text:ping") == Keepalive("ping", answer="pong")
    assert Keepalive.parse('text:{"op":"ping"}') == Keepalive('{"op":"ping"}')
    assert Keepalive.parse("binary:x") == Keepalive(b"x")
    assert Keepalive.parse("text:a:b") == Keepalive("a:b")
    assert Keepalive.parse(None) is None
    for wrong in ("ping", "text:", "json:{}", ":ping"):
        with pytest.raises(UsageError, match="keepalive"):
            Keepalive.parse(wrong)
    for bad in ({"interval_s": 0}, {"timeout_s": 0}, {"message": 7}):
        with pytest.raises(UsageError):
            Keepalive(**{"message": "ping", **bad})  # type: ignore[arg-type]


def test_answers_may_be_delivered_and_recognised_by_a_function() -> None:
    async def main() -> None:
        heard: list[Any] = []
        number = iter(range(1, 1000))
        keepalive = Keepalive(lambda: f'{{"op":"ping","id":{next(number)}}}', interval_s=0.03,
                              answer=lambda data: b'"pong"' in data, deliver=True)
        async with server(venue('{"op":"pong"}', heard)) as url, dial(url, keepalive=keepalive) as ws:
            got = [await ws.recv() for _ in range(5)]
            assert got == ["hello", '{"op":"pong"}', "data 1", '{"op":"pong"}', "data 2"]
            assert heard[:2] == ['{"op":"ping","id":1}', '{"op":"ping","id":2}']

    run(main())


def test_a_venue_that_does_not_answer_is_left() -> None:
    async def talkative(ws: ServerConnection) -> None:
        while True:
            await ws.send("data that proves nothing")
            await asyncio.sleep(0.01)

    async def main() -> None:
        keepalive = Keepalive("ping", interval_s=0.05, answer="pong", timeout_s=0.1)
        async with server(talkative) as url, dial(url, keepalive=keepalive, max_queue=None) as ws:
            with pytest.raises(ConnectionClosedError) as caught:
                await all_of(ws)
            assert reason(caught) == "application keepalive timeout"

    run(main())


def test_answers_are_no_data() -> None:
    async def only_pongs(ws: ServerConnection) -> None:
        async for _ in ws:
            await ws.send("pong")

    async def main() -> None:
        keepalive = Keepalive("ping", interval_s=0.03, answer="pong")
        async with server(only_pongs) as url, dial(url, keepalive=keepalive, idle_timeout=0.3) as ws:
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert reason(caught) == "no data for 0.3 s"

    run(main())


def test_a_keepalive_that_raises_closes_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> str:
        raise RuntimeError("of the test")

    async def main() -> None:
        async with server(hold) as url, dial(url, keepalive=Keepalive(broken, interval_s=0.02)) as ws:
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert reason(caught) == "application keepalive failed"

    run(main())
    assert "of the test" in caplog.text


# ---- while the queue is full ---------------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes([0x80 | opcode, len(payload)]) + payload


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server's part of the handshake."""
    from websockets.server import ServerProtocol

    protocol = ServerProtocol()
    protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
    protocol.send_response(protocol.accept(protocol.events_received()[0]))  # type: ignore[arg-type]
    for piece in protocol.data_to_send():
        writer.write(piece)


def test_pings_are_answered_and_pongs_seen_while_nobody_receives() -> None:
    seen: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        for i in range(200):
            writer.write(frame(2, bytes([i]) * 100))
        writer.write(frame(9, b"are you there?"))
        seen.append(await reader.readexactly(2 + 4 + 14))
        await asked.wait()
        head = await reader.readexactly(6)  # their ping, masked
        payload = await reader.readexactly(head[1] & 127)
        writer.write(frame(10, bytes(a ^ b for a, b in zip(payload, head[2:] * 2, strict=False))))
        await done.wait()
        writer.close()

    async def main() -> None:
        async with raw_server(speak) as (host, port):
            ws = await dial(f"ws://{host}:{port}/", max_queue=4)
            await until(lambda: seen)
            assert ws.paused
            assert len(ws._queue) < 200
            waiter = await ws.ping(b"1234")
            asked.set()
            assert await waiter > 0  # though 100 messages before its pong are not received yet
            assert ws.paused
            for i in range(200):
                assert await ws.recv() == bytes([i]) * 100
            done.set()
            with pytest.raises(ConnectionClosedError):
                await ws.recv()

    asked, done = asyncio.Event(), asyncio.Event()
    run(main())


@pytest.mark.parametrize("how", ["close frame", "end", "reset"])
def test_the_end_is_seen_while_nobody_receives(how: str) -> None:
    """The queue is full and its owner does something else; it is told the end, and still has every message."""
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        for i in range(100):
            writer.write(frame(2, bytes([i])))
        await writer.drain()
        await go.wait()
        if how == "close frame":
            writer.write(frame(8, b"\x03\xe9over"))
            assert (await reader.readexactly(1))[0] == 0x88
        if how == "reset":
            writer.transport.abort()
        writer.close()

    async def main() -> None:
        async with raw_server(speak) as (host, port):
            ws = await dial(f"ws://{host}:{port}/", max_queue=4)
            await until(lambda: ws.paused)
            go.set()
            await ws.wait_closed()
            assert ws.state is State.CLOSED
            assert ws.close_code == (1001 if how == "close frame" else 1006)
            with pytest.raises(ConnectionClosed):
                await ws.send("nobody there")
            got: list[int] = []
            with pytest.raises(ConnectionClosed):
                await all_of(ws, got)
            assert got == list(range(100)) if how != "reset" else got == list(range(len(got)))

    go = asyncio.Event()
    run(main())


def test_marks_of_the_queue() -> None:
    async def flood(ws: ServerConnection) -> None:
        for i in range(500):
            await ws.send(str(i))

    async def main() -> None:
        async with server(flood) as url:
            async with dial(url, max_queue=(10, 8)) as ws:
                await until(lambda: ws.paused)
                before = len(ws._queue)
                while len(ws._queue) > 9:
                    await ws.recv()
                assert ws.paused
                await ws.recv()
                assert not ws.paused or len(ws._queue) >= 10
                assert before < 500
            async with dial(url, max_queue=None) as ws:
                await until(lambda: len(ws._queue) == 500)
                assert not ws.paused
        for wrong in (0, (4, 4), (4, -1), (0, 0)):
            with pytest.raises(UsageError, match="max_queue"):
                dial("ws://x/", max_queue=wrong)

    run(main())
