"""Cancelled at every point: whatever a task awaits, cancelling it loses nothing, leaks nothing, and breaks nobody else.

`cancelled_everywhere` runs a coroutine again and again, cancelled at its first suspension, its second, and so on, until
it gets through; after each time the world is asked whether it is whole.
"""
from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from aiolib import dial, echo, run, server, until
from proxylib import proxy

import xdpws
from xdpws.aio.driver import _drivers
from xdpws.aio.state import State
from xdpws.errors import ConnectionClosed, ConnectionClosedOK, UsageError

MIB = 1 << 20


class _Steps:
    """Counts a coroutine's suspensions and cancels its task at the one that was chosen."""

    def __init__(self, work: Coroutine[Any, Any, Any], at: int) -> None:
        self._work = work.__await__()
        self._left = at

    def __await__(self) -> Any:
        value = None
        while True:
            try:
                waited = self._work.send(value)
            except StopIteration as stop:
                return stop.value
            self._left -= 1
            if self._left == 0:
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                value = yield waited
            except BaseException as error:
                try:
                    waited = self._work.throw(error)
                except StopIteration as stop:
                    return stop.value
                value = yield waited


async def cancelled_everywhere(work: Callable[[], Coroutine[Any, Any, Any]],
                               whole: Callable[[], Awaitable[None]], most: int = 400) -> int:
    """How many points there were. `whole` runs after each cancellation."""
    async def stepped(at: int) -> Any:
        return await _Steps(work(), at)

    for at in range(1, most):
        task = asyncio.create_task(stepped(at))
        try:
            async with asyncio.timeout(10):
                await asyncio.wait([task])
        finally:
            task.cancel()
        if not task.cancelled():
            task.result()
            return at - 1
        await whole()
    raise AssertionError(f"more than {most} points")


async def nothing_left() -> None:
    """No engine is alive: every connection was given back."""
    await until(lambda: not _drivers.get(asyncio.get_running_loop()))


@pytest.mark.parametrize("way", ["direct", "http", "socks5"])
def test_connecting(way: str) -> None:
    async def main() -> None:
        async with server(echo) as url, proxy(way) as through:
            address = None if way == "direct" else f"{way}://127.0.0.1:{through.port}"

            async def work() -> None:
                async with dial(url, proxy=address) as ws:
                    await ws.send("x")
                    assert await ws.recv() == "x"

            before = len(os.listdir("/proc/self/fd"))
            assert await cancelled_everywhere(work, nothing_left) >= 4
            await nothing_left()
            await asyncio.sleep(0.05)
            assert len(os.listdir("/proc/self/fd")) <= before + 4  # the servers' ends may be closing

    run(main(), 60)


def test_connecting_that_is_cancelled_after_it_opened_closes_the_connection() -> None:
    """The task is cancelled in the very turn of the loop in which the connection opened."""
    async def main() -> None:
        async with server(echo) as url:
            for _ in range(20):
                task = asyncio.create_task(dial(url)._open())
                while not (drivers := _drivers.get(asyncio.get_running_loop())):
                    await asyncio.sleep(0)
                loop = next(iter(drivers.values())).runtime.loop
                while not task.done():
                    connections = [handler for _, handler in loop._members.values()]
                    if any(each.state is State.OPEN for each in connections):  # type: ignore[attr-defined]
                        task.cancel()
                        break
                    await asyncio.sleep(0)
                try:
                    ws = await task
                except asyncio.CancelledError:
                    await nothing_left()
                else:
                    await ws.close()

    run(main())


def test_receiving_loses_nothing() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            sent = 0
            got: list[Any] = []

            async def work() -> None:
                while len(got) < sent:
                    got.append(await ws.recv())

            async def more() -> None:
                nonlocal sent
                for _ in range(3):
                    await ws.send(str(sent))
                    sent += 1

            await more()
            for _ in range(30):
                await cancelled_everywhere(work, more, 100)
                await more()
            await work()
            assert got == [str(i) for i in range(sent)]

    run(main())


def test_sending_takes_back_or_finishes() -> None:
    """Whole messages arrive, or none of them; never a part, and the connection goes on."""
    sizes: list[int] = []

    async def slow(ws: Any) -> None:
        async for message in ws:
            sizes.append(len(message))
            await asyncio.sleep(0)

    async def main() -> None:
        async with server(slow, max_queue=1) as url, dial(url) as ws:
            async def work() -> None:
                await asyncio.gather(ws.send(bytes(3 * MIB)), ws.send(bytes(2 * MIB)), ws.send("small"))

            async def whole() -> None:
                assert ws.state is State.OPEN
                await ws.send(b"after")

            assert await cancelled_everywhere(work, whole, 50) >= 1
            await ws.send("last!!")
            await until(lambda: sizes and sizes[-1] == 6, 30)
        assert set(sizes) <= {3 * MIB, 2 * MIB, 5, 6}

    run(main(), 60)


@pytest.mark.parametrize("kind", ["iterable", "asynchronous"])
def test_a_message_of_frames_that_cannot_be_completed_ends_the_connection(kind: str) -> None:
    async def main() -> None:
        async with server(echo) as url:
            async def pieces() -> Any:
                yield "one "
                await asyncio.sleep(3600)

            def failing() -> Any:
                yield "one "
                raise RuntimeError("of the test")

            ws = await dial(url)
            if kind == "iterable":
                with pytest.raises(RuntimeError, match="of the test"):
                    await ws.send(failing())
            else:
                task = asyncio.create_task(ws.send(pieces()))
                await asyncio.sleep(0.02)
                waiting = asyncio.create_task(ws.send("behind it"))
                await asyncio.sleep(0.02)
                assert not waiting.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                with pytest.raises(ConnectionClosed):
                    await waiting
            await ws.wait_closed()
            with pytest.raises(ConnectionClosed) as caught:
                await ws.recv()
            assert caught.value.sent is not None
            assert (caught.value.sent.code, caught.value.sent.reason) == (1011, "error in fragmented message")

    run(main())


def test_messages_of_frames_arrive_whole() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            async def slow() -> Any:
                for word in (b"a", bytearray(b"b"), memoryview(b"c")):
                    await asyncio.sleep(0.01)
                    yield word

            both = asyncio.gather(ws.send(slow()), ws.send("not between"), ws.send(["x", "y"]))
            await (await ws.ping())  # control frames may come between
            await both
            assert [await ws.recv() for _ in range(3)] == [b"abc", "not between", "xy"]
            await ws.send([])
            for wrong in (["a", b"b"], [1], {"a": "b"}, 7):
                other = await dial(url)
                with pytest.raises(TypeError):
                    await other.send(wrong)  # type: ignore[arg-type]
                await other.close()
            await ws.send("still here")
            assert await ws.recv() == "still here"
            await ws.send("binary", text=False)
            assert await ws.recv() == b"binary"
            await ws.send([b"te", b"xt"], text=True)
            assert await ws.recv() == "text"

    run(main())


def test_pings_and_closing() -> None:
    async def main() -> None:
        async with server(echo) as url:
            ws = await dial(url)

            async def ping() -> None:
                await (await ws.ping())

            async def open_still() -> None:
                assert ws.state is State.OPEN
                await ping()

            assert await cancelled_everywhere(ping, open_still) >= 1
            assert not ws._pings._waiting or len(ws._pings._waiting) <= 2

            async def close() -> None:
                await ws.close()

            async def closing() -> None:
                assert ws.state in (State.CLOSING, State.CLOSED)

            await cancelled_everywhere(close, closing)
            await ws.wait_closed()
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()
            await nothing_left()

    run(main())


def test_reconnecting() -> None:
    async def once(ws: Any) -> None:
        await ws.send("hello")

    async def main() -> None:
        async with server(once) as url:
            async def work() -> None:
                count = 0
                async for ws in dial(url, backoff=xdpws.Backoff(first_s=0.001, cap_s=0.002)):
                    assert await ws.recv() == "hello"
                    count += 1
                    if count == 2:
                        return

            async def collected() -> None:
                """An asynchronous generator that was left is closed by the loop, soon."""
                await asyncio.sleep(0)
                await nothing_left()

            assert await cancelled_everywhere(work, collected) >= 6

    run(main(), 60)


def test_handlers_of_a_server() -> None:
    """Connections and handlers are gone after the server is, whenever its owner is cancelled."""
    async def hello(ws: xdpws.ServerConnection) -> None:
        await ws.send("hello")
        async for message in ws:
            await ws.send(message)

    async def main() -> None:
        async def work() -> None:
            async with xdpws.serve(hello, "127.0.0.1", 0) as running:
                async with dial(f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/") as ws:
                    assert await ws.recv() == "hello"

        assert await cancelled_everywhere(work, nothing_left) >= 6
        await nothing_left()

    run(main(), 60)


def test_another_loop_is_told_so() -> None:
    """Wrong-thread use raises instead of waiting for ever."""
    errors: list[BaseException] = []

    def elsewhere(ws: xdpws.ClientConnection) -> None:
        async def use() -> None:
            for call in (ws.recv(), ws.send("x"), ws.ping(), ws.pong(), ws.close(), ws.wait_closed()):
                try:
                    await call
                except BaseException as error:
                    errors.append(error)

        asyncio.run(use())

    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            await asyncio.to_thread(elsewhere, ws)
            assert [type(each) for each in errors] == [UsageError] * 6
            assert "belongs to another event loop" in str(errors[0])
            await ws.send("unharmed")
            assert await ws.recv() == "unharmed"

    run(main())
