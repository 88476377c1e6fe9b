"""`xdpws.connect` under pressure: full queues, slow readers on either side, cancelled calls, keepalive, ends."""
from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import tracemalloc
from typing import Any

import pytest
from aiolib import dial, echo, raw_server, run, server, until
from websockets.asyncio.server import ServerConnection
from websockets.utils import accept_key

from xdpws.aio import driver
from xdpws.aio.connection import State
from xdpws.errors import ConcurrencyError, ConnectionClosed, ConnectionClosedError, ConnectionClosedOK

MIB = 1 << 20


def counted(number: int, size: int) -> bytes:
    return number.to_bytes(4, "big") + bytes(size - 4)


@pytest.mark.parametrize("secure", [False, True])
def test_slow_reader_with_the_smallest_queue_loses_nothing(secure: bool, tmp_path: Any) -> None:
    """50 MB against max_queue=1: the server waits, memory stays bounded, every message comes once and in order."""
    import ssl

    import xdpws
    from xdpws.sim.cert import make_certificate

    count, size, sent = 800, 64 * 1024, 0
    options: dict[str, Any] = {}
    tls = None
    if secure:
        files = make_certificate(tmp_path, ("127.0.0.1",))
        options["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        options["ssl"].load_cert_chain(files.cert, files.key)
        tls = xdpws.TlsOptions(ca_file=str(files.ca))

    async def flood(ws: ServerConnection) -> None:
        nonlocal sent
        for i in range(count):
            await ws.send(counted(i, size))
            sent += 1

    async def main() -> None:
        async with server(flood, **options) as url, dial(url, max_queue=1, tls=tls) as ws:
            await until(lambda: sent)
            last = -1
            while last != sent:  # until the server is held back
                last = sent
                await asyncio.sleep(0.1)
            assert sent * size < 30 * MIB
            tracemalloc.start()
            for i in range(count):
                data = await ws.recv()
                assert len(data) == size
                assert data[:4] == i.to_bytes(4, "big")
            assert tracemalloc.get_traced_memory()[1] < 8 * MIB
            tracemalloc.stop()
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()

    run(main())


def test_queue_of_many_small_messages_is_bounded() -> None:
    async def flood(ws: ServerConnection) -> None:
        for i in range(20_000):
            await ws.send(counted(i, 200))

    async def main() -> None:
        async with server(flood) as url, dial(url, max_queue=4) as ws:
            await until(lambda: ws.paused)
            await asyncio.sleep(0.05)
            assert len(ws._queue) <= 4 + 64  # what one poll of the engine had already shown
            for i in range(20_000):
                assert (await ws.recv())[:4] == i.to_bytes(4, "big")

    run(main())


def test_send_waits_for_a_slow_server_and_goes_on() -> None:
    async def slow(ws: ServerConnection) -> None:
        await go.wait()
        async for message in ws:
            got.append(len(message))

    async def main() -> None:
        async with server(slow, max_queue=1) as url, dial(url) as ws:
            sending = asyncio.create_task(send_all(ws))
            last = -1
            while last != len(done):
                last = len(done)
                await asyncio.sleep(0.1)
            assert len(done) < 40
            assert not sending.done()
            go.set()
            await sending
            await ws.close()
        assert got == [MIB + i for i in range(40)]

    async def send_all(ws: Any) -> None:
        for i in range(40):
            await ws.send(bytes(MIB + i))
            done.append(i)

    go = asyncio.Event()
    got: list[int] = []
    done: list[int] = []
    run(main())


def test_close_comes_after_what_is_being_sent() -> None:
    """A message that waits for room is whole before the close frame; a send after close() raises."""
    async def slow(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await go.wait()
        ws.transport.resume_reading()
        async for message in ws:
            got.append(len(message))
        codes.append(ws.close_code)

    async def main() -> None:
        async with server(slow, max_queue=1) as url:
            ws = await dial(url)
            sending = [asyncio.create_task(ws.send(bytes(24 * MIB))), asyncio.create_task(ws.send("last"))]
            await asyncio.sleep(0.05)
            assert not sending[0].done()
            closing = asyncio.create_task(ws.close(1000, "enough"))
            await asyncio.sleep(0)
            assert ws.state is State.CLOSING
            late = asyncio.create_task(ws.send("too late"))
            await asyncio.sleep(0.05)
            go.set()
            await closing
            await asyncio.gather(*sending)
            with pytest.raises(ConnectionClosedOK):
                await late
            await until(lambda: codes)
        assert got == [24 * MIB, 4]
        assert codes == [1000]

    go = asyncio.Event()
    got: list[int] = []
    codes: list[Any] = []
    run(main())


def test_close_is_bounded_when_the_server_never_reads() -> None:
    async def deaf(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await over.wait()

    async def main() -> None:
        async with server(deaf) as url:
            ws = await dial(url, close_timeout=0.2)
            sending = asyncio.create_task(ws.send(bytes(24 * MIB)))
            await asyncio.sleep(0.05)
            await ws.close()
            with pytest.raises(ConnectionClosedError) as caught:
                await sending
            assert caught.value.sent is None
            over.set()

    over = asyncio.Event()
    run(main())


def test_server_closes_while_a_message_is_being_sent() -> None:
    """The message that has begun is finished, so that our answer to the close frame can follow it."""
    async def closing(ws: ServerConnection) -> None:
        await ws.recv()
        ws.transport.pause_reading()
        ws.transport.write(b"\x88\x02\x03\xe9")  # close 1001
        await go.wait()
        ws.transport.resume_reading()
        await ws.wait_closed()

    async def main() -> None:
        async with server(closing) as url:
            ws = await dial(url)
            await ws.send("go")
            await ws.ping()
            sending = asyncio.create_task(ws.send(bytes(24 * MIB)))
            await asyncio.sleep(0)
            waiting = asyncio.create_task(ws.send("never begun"))
            await until(lambda: ws.state is State.CLOSING)
            assert not sending.done()
            go.set()
            await sending
            with pytest.raises(ConnectionClosed):
                await waiting
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1001

    go = asyncio.Event()
    run(main())


def test_messages_after_our_close_are_bounded() -> None:
    async def flood(ws: ServerConnection) -> None:
        await ws.send("first")
        ws.transport.pause_reading()
        for i in range(500):
            await ws.send(counted(i, 64 * 1024))
        ws.transport.resume_reading()
        await ws.wait_closed()

    async def main() -> None:
        async with server(flood) as url:
            ws = await dial(url, max_queue=8, close_timeout=10)
            assert await ws.recv() == "first"
            await ws.close()
            kept = [m async for m in ws]
            assert 8 <= len(kept) <= 8 + 64

    run(main())


def test_concurrent_recv_is_refused() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            first = asyncio.create_task(ws.recv())
            await asyncio.sleep(0)
            with pytest.raises(ConcurrencyError, match="another task is receiving"):
                await ws.recv()
            await ws.send("for the first")
            assert await first == "for the first"

    run(main())


def test_cancelling_recv_loses_nothing() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            got: list[Any] = []
            cancelled = 0
            for i in range(300):
                await ws.send(str(i))
            while len(got) < 300:
                receiving = asyncio.create_task(ws.recv())
                for _ in range(len(got) % 3):
                    await asyncio.sleep(0)
                receiving.cancel()
                try:
                    got.append(await receiving)
                except asyncio.CancelledError:
                    cancelled += 1
                    if cancelled % 2:
                        got.append(await ws.recv())
            assert got == [str(i) for i in range(300)]
            assert cancelled > 10
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.01)

    run(main())


def test_cancelling_send_takes_back_what_has_not_begun() -> None:
    async def slow(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await go.wait()
        ws.transport.resume_reading()
        async for message in ws:
            got.append((len(message), message[:1]))

    async def main() -> None:
        async with server(slow, max_queue=1) as url, dial(url) as ws:
            begun, waiting, after = (asyncio.create_task(ws.send(m)) for m in (b"a" * (24 * MIB), b"b" * 9, b"c" * 7))
            await asyncio.sleep(0.05)
            begun.cancel()
            waiting.cancel()
            for task in (begun, waiting):
                with pytest.raises(asyncio.CancelledError):
                    await task
            go.set()
            await after
            await ws.send(b"d")
            await until(lambda: len(got) == 3)
        assert got == [(24 * MIB, b"a"), (7, b"c"), (1, b"d")]

    go = asyncio.Event()
    got: list[Any] = []
    run(main())


def test_keepalive_keeps_a_living_connection() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url, ping_interval=0.02, ping_timeout=5) as ws:
            await until(lambda: ws.latency > 0)
            first = ws.latency
            await until(lambda: ws.latency != first)
            await ws.send("x")
            assert await ws.recv() == "x"

    run(main())


def test_keepalive_timeout_closes_with_1011() -> None:
    async def deaf(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await over.wait()

    async def main() -> None:
        async with server(deaf) as url:
            ws = await dial(url, ping_interval=0.05, ping_timeout=0.1, close_timeout=0.2)
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert caught.value.rcvd is None
            assert caught.value.sent is not None
            assert (caught.value.sent.code, caught.value.sent.reason) == (1011, "keepalive ping timeout")
            assert ws.close_code == 1006
            over.set()

    over = asyncio.Event()
    run(main())


def test_keepalive_does_not_blame_the_peer_for_our_full_queue() -> None:
    async def flood(ws: ServerConnection) -> None:
        for i in range(100):
            await ws.send(counted(i, 64 * 1024))
        await ws.wait_closed()

    async def main() -> None:
        async with server(flood) as url, dial(url, max_queue=1, ping_interval=0.02, ping_timeout=0.05) as ws:
            await until(lambda: ws.paused)
            await asyncio.sleep(0.4)
            assert ws.state is State.OPEN
            for i in range(100):
                assert (await ws.recv())[:4] == i.to_bytes(4, "big")

    run(main())


def test_server_goes_in_the_midst_of_many() -> None:
    async def stop_after(ws: ServerConnection) -> None:
        for i in range(100):
            await ws.send(str(i))
        ws.transport.close()

    async def one(url: str) -> int:
        got: list[Any] = []
        try:
            async with dial(url) as ws:
                while True:
                    got.append(await ws.recv())
        except ConnectionClosedError:
            assert got == [str(i) for i in range(100)]
        return len(got)

    async def main() -> None:
        async with server(stop_after) as url:
            assert await asyncio.gather(*(one(url) for _ in range(16))) == [100] * 16
        await until(lambda: not driver._drivers.get(asyncio.get_running_loop()))

    run(main())


def test_a_loop_that_ends_with_open_connections_leaves_no_descriptor() -> None:
    """asyncio.run() while connections are open: the engine and what it holds go with the loop."""
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.server import ServerProtocol

        protocol = ServerProtocol()
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        protocol.send_response(protocol.accept(protocol.events_received()[0]))  # type: ignore[arg-type]
        for piece in protocol.data_to_send():
            writer.write(piece)
        await reader.read()
        writer.close()

    async def main() -> None:
        async with raw_server(upgrade) as (host, port):
            ws = await dial(f"ws://{host}:{port}")
            kept.append(ws)

    kept: list[Any] = []
    run(main())
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run(main())
        gc.collect()
    assert all(ws._driver.runtime.engine.closed for ws in kept)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_cancelled_program_closes_in_order() -> None:
    """Ctrl-C under asyncio.run cancels every task at once; the close handshake is still done."""
    codes: list[Any] = []

    async def note(ws: ServerConnection) -> None:
        await ws.wait_closed()
        codes.append(ws.close_code)

    async def main() -> None:
        async with server(note) as url:
            async def use() -> None:
                async with dial(url) as ws:
                    opened.set()
                    await ws.recv()

            task = asyncio.create_task(use())
            await opened.wait()
            for each in asyncio.all_tasks():
                if each is task or each.get_name().startswith("xdpws"):
                    each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: codes)
        assert codes == [1011]

    opened = asyncio.Event()
    run(main())


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("count", [15, 16, 17, 40])
def test_a_queue_that_fills_in_the_poll_that_ends_it(count: int, end: str) -> None:
    """The last messages, more than the queue takes, and the end come at once: the connection is gone in the engine when
    the queue asks it to pause. Nothing is lost, nothing is raised into the loop."""
    async def all_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        frames = b"".join(b"\x82\x04" + counted(i, 4) for i in range(count))
        writer.write(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                     accept_key(key).encode() + b"\r\n\r\n" + frames)
        if end == "rst":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async def main() -> None:
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        async with raw_server(all_at_once) as (host, port):
            for _ in range(20):
                async with dial(f"ws://{host}:{port}") as ws:
                    for i in range(count):
                        assert await ws.recv() == counted(i, 4)
                    with pytest.raises(ConnectionClosedError):
                        await ws.recv()
        assert faults == []

    run(main())
