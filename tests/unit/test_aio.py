"""`xdpws.connect` over loopback: messages both ways, control frames, options, many connections, several loops."""
from __future__ import annotations

import asyncio
import gc
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiolib import dial, echo, raw_server, run, server, until
from websockets.asyncio.server import ServerConnection

import xdpws
from xdpws.aio import driver
from xdpws.aio.connection import State
from xdpws.digest import FeedDigest
from xdpws.errors import (
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    InvalidStatus,
    InvalidURI,
    OpenTimeout,
    SetupError,
    UsageError,
)
from xdpws.sim.cert import make_certificate
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.server import Exchange


def test_await_send_and_receive() -> None:
    async def main() -> None:
        async with server(echo) as url:
            ws = await dial(url)
            assert ws.state is State.OPEN
            assert (ws.transport, ws.transport_reason) == ("socket", "socket was asked for")
            assert ws.response is not None
            assert ws.response.status_code == 101
            for message in ("text", "", "žluťoučký kůň 🐎", b"\x00\xff binary", b"", bytearray(b"array")):
                await ws.send(message)
                got = await ws.recv()
                assert got == message
                assert isinstance(got, str) is isinstance(message, str)
            await ws.send(memoryview(b"view")[1:])
            assert await ws.recv() == b"iew"
            await ws.send("as bytes")
            assert await ws.recv(decode=False) == b"as bytes"
            await ws.send(b"as text")
            assert await ws.recv(decode=True) == "as text"
            with pytest.raises(TypeError, match="not int"):
                await ws.send(7)  # type: ignore[arg-type]
            await ws.close()
            assert ws.state is State.CLOSED
            assert (ws.close_code, ws.close_reason) == (1000, "")
            await ws.close()

    run(main())


def test_async_with_and_async_for() -> None:
    async def numbers(ws: ServerConnection) -> None:
        for i in range(1000):
            await ws.send(str(i))

    async def main() -> None:
        async with server(numbers) as url, dial(url) as ws:
            assert [int(m) async for m in ws] == list(range(1000))
            assert ws.state is State.CLOSED

    run(main())


def test_exchange_over_tls_is_complete() -> None:
    async def main() -> None:
        config = ExchangeConfig(count=5000, port=0, speed=None, records="random", fragment="interleaved")
        async with Exchange(config) as exchange:
            digest = FeedDigest()
            tls = xdpws.TlsOptions(ca_file=str(exchange.ca_file))
            async with dial(exchange.url, tls=tls) as ws:
                info = ws.info()
                assert info["tls_version"] == 13
                async for message in ws:
                    digest.update(message.encode() if isinstance(message, str) else message)
            assert (digest.messages, digest.hexdigest()) == (5000, exchange.expected_sha256())

    run(main())


@pytest.mark.parametrize("kind", [bytes, str])
@pytest.mark.parametrize("secure", [False, True])
def test_eight_megabytes_both_ways(secure: bool, kind: type, tmp_path: Path) -> None:
    async def main() -> None:
        options: dict[str, Any] = {}
        tls = None
        if secure:
            files = make_certificate(tmp_path, ("127.0.0.1",))
            options["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            options["ssl"].load_cert_chain(files.cert, files.key)
            tls = xdpws.TlsOptions(ca_file=str(files.ca))
        blob: Any = os.urandom(4 << 20).hex()
        message = blob if kind is str else blob.encode()
        async with server(echo, **options) as url, dial(url, max_size=8 << 20, tls=tls) as ws:
            for _ in range(2):
                await ws.send(message)
                assert await ws.recv() == message

    run(main())


def test_fragments_and_messages_sent_by_several_tasks_stay_whole() -> None:
    async def pieces(ws: ServerConnection) -> None:
        await ws.send(["one ", "", "message"])
        await ws.send([b"\x01", b"\x02" * 70000])
        await echo(ws)

    async def main() -> None:
        async with server(pieces) as url, dial(url) as ws:
            assert await ws.recv() == "one message"
            assert await ws.recv() == b"\x01" + b"\x02" * 70000
            messages = [bytes([i]) * (300_000 + i) for i in range(8)]
            async with asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(ws.send(message))
                got = [await ws.recv() for _ in messages]
            assert got == messages

    run(main())


def test_ping_gives_the_latency_and_answers_earlier_pings() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            assert ws.latency == 0.0
            first, second = await ws.ping("one"), await ws.ping(b"two")
            with pytest.raises(ConcurrencyError, match="same data"):
                await ws.ping(b"two")
            latency = await second
            assert 0.0 < latency < 5.0
            assert ws.latency == latency
            assert await first >= latency
            assert 0.0 < await (await ws.ping()) < 5.0
            for bad in (ws.ping, ws.pong):
                with pytest.raises(UsageError, match="at most 125 bytes, not 126"):
                    await bad(b"x" * 126)
            await ws.pong(b"unasked")
            await ws.send("still alive")
            assert await ws.recv() == "still alive"

    run(main())


def test_pings_of_the_server_are_answered_while_nobody_receives() -> None:
    latencies: list[float] = []

    async def pinger(ws: ServerConnection) -> None:
        for i in range(5):
            latencies.append(await (await ws.ping(f"ping {i}")))
        await ws.send("done")

    async def main() -> None:
        async with server(pinger) as url, dial(url) as ws:
            await until(lambda: len(latencies) == 5)
            assert await ws.recv() == "done"

    run(main())


def test_headers_subprotocol_and_user_agent() -> None:
    seen: list[Any] = []

    async def show(ws: ServerConnection) -> None:
        assert ws.request is not None
        seen.append((ws.request.path, ws.request.headers))

    async def main() -> None:
        async with server(show, subprotocols=["fix.v2", "fix.v1"]) as url:
            async with dial(f"{url}stream?a=1&b=%20x", subprotocols=["fix.v1", "other"], user_agent_header="trader/3",
                            additional_headers=[("X-Key", "abc"), ("X-More", "d e")]) as ws:
                assert ws.subprotocol == "fix.v1"
            async with dial(url, user_agent_header=None, subprotocols=["fix.v2", "fix.v1"]) as ws:
                assert ws.subprotocol == "fix.v2"
        async with server(show) as url:
            async with dial(url, additional_headers={"User-Agent": "mine"}) as ws:
                assert ws.subprotocol is None
            async with dial(url):
                pass
        path, headers = seen[0]
        assert path == "/stream?a=1&b=%20x"
        assert (headers["X-Key"], headers["X-More"], headers["User-Agent"]) == ("abc", "d e", "trader/3")
        assert headers["Sec-WebSocket-Protocol"] == "fix.v1, other"
        assert seen[2][1]["Host"] == url.split("/")[2]
        assert [headers.get_all("User-Agent") for _, headers in seen[1:]] == [[], ["mine"], ["xdpws"]]

    run(main())


def test_stamps_are_kept_when_asked_for() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url, stamps=True) as ws, dial(url) as plain:
            await ws.send("x")
            await ws.recv()
            stamps = ws.stamps
            assert stamps is not None
            assert stamps.nic is None
            assert stamps.decrypt_begin is None
            assert stamps.ring is not None
            assert stamps.parsed is not None
            assert stamps.user is not None
            assert stamps.ring <= stamps.parsed <= stamps.user
            await plain.send("x")
            await plain.recv()
            assert plain.stamps is None

    run(main())


def test_sixty_four_connections_on_one_loop() -> None:
    async def one(url: str, number: int) -> int:
        async with dial(url) as ws:
            for i in range(20):
                await ws.send(f"{number}:{i}")
            got = [await ws.recv() for _ in range(20)]
            assert got == [f"{number}:{i}" for i in range(20)]
            return len(got)

    async def main() -> None:
        async with server(echo) as url:
            counts = await asyncio.gather(*(one(url, i) for i in range(64)))
            assert sum(counts) == 64 * 20
            await until(lambda: not driver._drivers.get(asyncio.get_running_loop()))

    run(main())


def test_two_loops_one_after_another() -> None:
    async def main() -> int:
        async with server(echo) as url, dial(url) as ws:
            await ws.send("hello")
            await ws.recv()
            return ws._driver.runtime.engine.fileno()

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run(main())
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_loop_that_ends_in_the_midst_leaves_no_descriptor() -> None:
    async def main() -> None:
        async with server(echo) as url:
            ws = await dial(url)
            await ws.send("x")

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run(main())
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_open_timeout_names_what_it_waited_for() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        async with raw_server(mute) as (host, port):
            with pytest.raises(OpenTimeout, match=r"HTTP upgrade.*timed out") as caught:
                await dial(f"ws://{host}:{port}", open_timeout=0.1)
            assert isinstance(caught.value, TimeoutError)
            with pytest.raises(OpenTimeout, match=r"TLS.*timed out"):
                await dial(f"wss://{host}:{port}", open_timeout=0.1)
        await until(lambda: not driver._drivers.get(asyncio.get_running_loop()))

    run(main())


def test_refused_connection() -> None:
    async def main() -> None:
        async with raw_server(None) as (host, port):  # type: ignore[arg-type]
            pass
        with pytest.raises(ConnectError, match="refused") as caught:
            await dial(f"ws://{host}:{port}")
        assert isinstance(caught.value, OSError)
        await until(lambda: not driver._drivers.get(asyncio.get_running_loop()))

    run(main())


def test_another_status_than_101() -> None:
    async def refuse(ws: ServerConnection, request: Any) -> Any:
        return ws.respond(403, "not for you\n")

    async def main() -> None:
        async with server(echo, process_request=refuse) as url:
            with pytest.raises(InvalidStatus, match="HTTP 403 Forbidden") as caught:
                await dial(url)
            assert caught.value.response.body == b"not for you\n"
            assert caught.value.response.headers["content-length"] == "12"

    run(main())


def test_wrong_usage_is_told_at_once() -> None:
    with pytest.raises(InvalidURI, match="scheme must be ws:// or wss://"):
        xdpws.connect("http://x/")
    with pytest.raises(UsageError, match="transport is 'dpdk'"):
        xdpws.connect("ws://x/", transport="dpdk")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs interface=NAME"):
        xdpws.connect("ws://x/", transport="xdp")
    with pytest.raises(UsageError, match="at least 1"):
        xdpws.connect("ws://x/", max_queue=0)
    with pytest.raises(UsageError, match="at least 1"):
        xdpws.connect("ws://x/", max_size=0)
    with pytest.raises(UsageError, match="not a header name"):
        xdpws.connect("ws://x/", additional_headers={"bad name": "x"})


def test_unknown_host_names_the_host() -> None:
    async def main() -> None:
        with pytest.raises(SetupError, match=r"resolve no-such-host\.invalid"):
            await dial("ws://no-such-host.invalid/")

    run(main())


def test_auto_without_interface_is_the_socket_and_says_so() -> None:
    async def main() -> None:
        async with server(echo) as url, xdpws.connect(url) as ws:
            assert ws.transport == "socket"
            assert "no interface was named" in ws.transport_reason

    run(main())


def test_auto_where_af_xdp_cannot_be_had_falls_back_and_says_so() -> None:
    async def main() -> None:
        async with server(echo) as url:
            async with xdpws.connect(url, interface="xwnone0") as ws:
                assert ws.transport == "socket"
                assert "AF_XDP cannot be had: route to 127.0.0.1: the destination is this host" in ws.transport_reason
            with pytest.raises(SetupError, match="this host"):
                await xdpws.connect(url, interface="xwnone0", transport="xdp")
        await until(lambda: not driver._drivers.get(asyncio.get_running_loop()))

    run(main())


def test_local_addr_and_host_override() -> None:
    peers: list[Any] = []

    async def note(ws: ServerConnection) -> None:
        peers.append((ws.remote_address, ws.request.headers["Host"] if ws.request else ""))

    async def main() -> None:
        async with server(note) as url:
            port = int(url.split(":")[2].strip("/"))
            async with dial("ws://feed.example/", host="127.0.0.1", port=port, local_addr=("127.0.0.9", 0)):
                pass
        assert peers[0][0][0] == "127.0.0.9"
        assert peers[0][1] == "feed.example"

    run(main())


def test_info_is_there_while_it_is_open() -> None:
    async def main() -> None:
        async with server(echo) as url:
            ws = await dial(url)
            await ws.send("12345")
            await ws.recv()
            info = ws.info()
            assert info["transport"] == "socket"
            assert info["tcp_state"] == 1
            assert int(info["bytes_in"]) > 100
            await ws.close()
            assert ws.info() == {}
            with pytest.raises(ConnectionClosed):
                await ws.send("x")

    run(main())
