"""How connections end: the same scenario through `xdpws.connect` and through the `websockets` client gives the same
exception, codes and reasons."""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import websockets
from aiolib import dial, echo, raw_server, run, server, until
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from xdpws.aio.connection import State
from xdpws.errors import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, UsageError

Serve = Callable[[ServerConnection], Awaitable[None]]
Use = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Outcome:
    """What a program sees."""

    kind: str
    rcvd: tuple[int, str] | None
    sent: int | None
    then: bool | None
    code: int | None
    reason: str | None
    got: tuple[Any, ...]


async def outcome(opening: Any, use: Use) -> Outcome:
    got: list[Any] = []
    ws = await opening
    error: Any = None
    try:
        while True:
            await use(ws)
            got.append(await ws.recv())
    except (ConnectionClosed, websockets.exceptions.ConnectionClosed) as caught:
        error = caught
    await ws.wait_closed()
    with pytest.raises(type(error)):
        await ws.send("after the end")
    with pytest.raises(type(error)):
        await ws.recv()
    rcvd = (error.rcvd.code, error.rcvd.reason) if error.rcvd else None
    return Outcome(type(error).__name__, rcvd, error.sent.code if error.sent else None, error.rcvd_then_sent,
                   ws.close_code, ws.close_reason, tuple(got))


def by_close(*args: Any) -> Serve:
    async def serve(ws: ServerConnection) -> None:
        await ws.send("before")
        await ws.close(*args)
    return serve


def by_frame(opcode: Opcode, data: bytes) -> Serve:
    async def serve(ws: ServerConnection) -> None:
        await ws.send("before")
        ws.transport.write(Frame(opcode, data).serialize(mask=False))
        await ws.wait_closed()
    return serve


async def drop(ws: ServerConnection) -> None:
    await ws.send("before")
    ws.transport.close()  # FIN without a close frame


async def reset(ws: ServerConnection) -> None:
    await ws.send("before")
    await ws.recv()
    ws.transport.abort()


async def too_big(ws: ServerConnection) -> None:
    await ws.send("before")
    await ws.send("x" * 70_000)
    await ws.wait_closed()


async def nothing(ws: Any) -> None:
    """Only receive."""


def once(action: Use) -> Callable[[], Use]:
    def make() -> Use:
        done = False

        async def use(ws: Any) -> None:
            nonlocal done
            if not done:
                done = True
                await action(ws)
        return use
    return make


async def say(ws: Any) -> None:
    await ws.send("go")


SCENARIOS: dict[str, tuple[Serve, Callable[[], Use]]] = {
    "server 1000": (by_close(1000, "bye"), lambda: nothing),
    "server 1001": (by_close(1001, "going away"), lambda: nothing),
    "server 1008": (by_close(1008, "policy"), lambda: nothing),
    "server 1011": (by_close(1011, ""), lambda: nothing),
    "server 3000": (by_close(3000, "registered"), lambda: nothing),
    "server 4999": (by_close(4999, "ž" * 60), lambda: nothing),
    "server, no code": (by_frame(Opcode.CLOSE, b""), lambda: nothing),
    "server drops": (drop, lambda: nothing),
    "server resets": (reset, once(say)),
    "client 1000": (echo, once(lambda ws: ws.close())),
    "client 1001": (echo, once(lambda ws: ws.close(1001, "leaving"))),
    "client 4001": (echo, once(lambda ws: ws.close(4001, "mine"))),
    "too big": (too_big, lambda: nothing),
    "invalid UTF-8": (by_frame(Opcode.TEXT, b"\xff\xfe"), lambda: nothing),
    "reserved opcode": (by_frame(Opcode.CLOSE, b"\x03"), lambda: nothing),
    "bad close code": (by_frame(Opcode.CLOSE, b"\x03\xed"), lambda: nothing),
    "lone continuation": (by_frame(Opcode.CONT, b"x"), lambda: nothing),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_ends_as_with_the_websockets_library(name: str) -> None:
    serve, use = SCENARIOS[name]

    async def main() -> None:
        async with server(serve) as url:
            theirs = await outcome(websockets.connect(url, max_size=65536, compression=None, close_timeout=3,
                                                      ping_interval=None), use())
            ours = await outcome(dial(url, max_size=65536), use())
        assert ours == theirs

    run(main())


@pytest.mark.parametrize("client", ["xdpws", "websockets"])
def test_async_for_and_async_with(client: str) -> None:
    """`async for` ends quietly after 1000 and 1001 and raises otherwise; an exception in the block closes with 1011."""
    closes: list[int | None] = []

    def open_one(url: str) -> Any:
        return dial(url) if client == "xdpws" else websockets.connect(url, compression=None, ping_interval=None)

    async def note(ws: ServerConnection) -> None:
        await ws.wait_closed()
        closes.append(ws.close_code)

    async def main() -> None:
        for code, quiet in ((1000, True), (1001, True), (1011, False)):
            async with server(by_close(code, "")) as url, open_one(url) as ws:
                if quiet:
                    assert [m async for m in ws] == ["before"]
                else:
                    with pytest.raises((ConnectionClosedError, websockets.exceptions.ConnectionClosedError)):
                        [m async for m in ws]
        async with server(note) as url:
            async with open_one(url):
                pass
            with pytest.raises(KeyError):
                async with open_one(url):
                    raise KeyError("in the block")
            await until(lambda: len(closes) == 2)
        assert closes == [1000, 1011]

    run(main())


def test_text_of_the_exception_and_a_new_one_for_each() -> None:
    async def main() -> None:
        async with server(by_close(1008, "policy")) as url:
            ws = await dial(url)
            assert await ws.recv() == "before"
            with pytest.raises(ConnectionClosedError) as first:
                await ws.recv()
            with pytest.raises(ConnectionClosedError) as second:
                await ws.recv()
            assert str(first.value) == "received 1008 (policy violation) policy; then sent 1008 (policy violation)"
            assert first.value is not second.value
        async with server(drop) as url:
            ws = await dial(url)
            assert await ws.recv() == "before"
            with pytest.raises(ConnectionClosedError, match="no close frame received") as third:
                await ws.recv()
            assert (third.value.code, third.value.reason, third.value.rcvd) == (1006, "", None)

    run(main())


def test_check_utf8_can_be_left_out() -> None:
    async def main() -> None:
        async with server(by_frame(Opcode.TEXT, b"\xff\xfe")) as url, dial(url, check_utf8=False) as ws:
            assert await ws.recv() == "before"
            assert await ws.recv(decode=False) == b"\xff\xfe"

    run(main())


def test_close_codes_and_reasons_that_may_not_be_sent() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70000):
                with pytest.raises(UsageError, match=f"{code} is no close code"):
                    await ws.close(code)
            with pytest.raises(UsageError, match="at most 123 bytes, not 124"):
                await ws.close(1000, "x" * 124)
            assert ws.state is State.OPEN
            await ws.close(1000, "x" * 123)
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()

    run(main())


def test_messages_before_the_close_are_received_after_it() -> None:
    async def main() -> None:
        async with server(by_close(1000, "")) as url:
            ws = await dial(url)
            await ws.wait_closed()
            assert ws.state is State.CLOSED
            assert await ws.recv() == "before"
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()

    run(main())


def test_close_frees_who_waits() -> None:
    async def main() -> None:
        async with server(echo) as url:
            ws = await dial(url)
            receiving = asyncio.create_task(ws.recv())
            await asyncio.sleep(0)
            await ws.close(1000, "done")
            with pytest.raises(ConnectionClosedOK):
                await receiving

    run(main())


def test_pings_under_way_fail_when_it_ends() -> None:
    async def main() -> None:
        async with server(drop) as url:
            ws = await dial(url)
            try:
                waiter = await ws.ping()
            except ConnectionClosedError:
                return
            with pytest.raises(ConnectionClosedError):
                await waiter

    run(main())


def test_several_close_at_once() -> None:
    async def main() -> None:
        async with server(echo) as url:
            ws = await dial(url)
            await asyncio.gather(ws.close(1000, "first"), ws.close(4000, "second"), ws.close())
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "first")
            assert caught.value.rcvd_then_sent is False

    run(main())


def test_a_server_that_never_answers_the_close() -> None:
    """close_timeout bounds it, and says so."""
    async def deaf(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await over.wait()

    async def main() -> None:
        async with server(deaf) as url:
            ws = await dial(url, close_timeout=0.2)
            began = asyncio.get_running_loop().time()
            await ws.close()
            assert 0.15 < asyncio.get_running_loop().time() - began < 5
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert caught.value.rcvd is None
            assert caught.value.sent is not None
            assert caught.value.sent.code == 1000
            over.set()

    over = asyncio.Event()
    run(main())


def test_reset_in_the_midst_of_a_frame() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        protocol.send_response(protocol.accept(protocol.events_received()[0]))  # type: ignore[arg-type]
        for piece in protocol.data_to_send():
            writer.write(piece)
        writer.write(b"\x81\x03abc\x81\x7e\x10\x00partly")
        await writer.drain()
        writer.transport.abort()

    async def main() -> None:
        async with raw_server(half) as (host, port), dial(f"ws://{host}:{port}") as ws:
            assert await ws.recv() == "abc"
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert caught.value.code == 1006

    run(main())
