"""What a connection tells of itself and of its end: request, addresses, ids, logs, causes; and simple parameters."""
from __future__ import annotations

import asyncio
import logging
import socket
import struct
import uuid
from typing import Any

import pytest
from aiolib import dial, echo, run, server
from websockets.asyncio.server import ServerConnection

import xdpws
from xdpws.errors import (
    ConnectError,
    ConnectionClosedError,
    InvalidMessage,
    PayloadTooBig,
    ProtocolError,
    UsageError,
)


def test_request_response_addresses_and_id() -> None:
    async def main() -> None:
        fields = [("X", "1"), ("X", "2")]
        async with server(echo) as url, dial(url + "a?b=c", origin="https://me", additional_headers=fields,
                                             subprotocols=["p"]) as ws, dial(url) as other:
            assert ws.request is not None
            assert ws.request.path == "/a?b=c"
            assert ws.request.headers["Origin"] == "https://me"
            assert ws.request.headers.get_all("x") == ["1", "2"]
            assert ws.request.headers["Sec-WebSocket-Protocol"] == "p"
            assert ws.request.headers["Upgrade"] == "websocket"
            assert len(ws.request.headers["Sec-WebSocket-Key"]) == 24
            assert ws.request.headers["User-Agent"] == "xdpws"
            assert ws.remote_address == ("127.0.0.1", int(url.split(":")[2].strip("/")))
            assert ws.local_address[0] == "127.0.0.1"
            assert ws.local_address[1] > 1024
            assert isinstance(ws.id, uuid.UUID)
            assert ws.id != other.id
            assert ws.uri.resource == "/a?b=c"

    run(main())


def test_local_address_and_a_socket_of_ones_own() -> None:
    async def main() -> None:
        async with server(echo) as url:
            host, port = "127.0.0.1", int(url.split(":")[2].strip("/"))
            async with dial(url, local_addr=("127.0.0.2", 0)) as ws:
                assert ws.local_address[0] == "127.0.0.2"
            sock = socket.create_connection((host, port))
            async with dial("ws://anything.test/", sock=sock) as ws:
                assert sock.fileno() == -1  # it was taken over
                await ws.send("by my socket")
                assert await ws.recv() == "by my socket"
                assert ws.transport_reason == "a socket was given"
            async with dial("ws://anything.test/", host=host, port=port) as ws:
                assert ws.request is not None
                assert ws.request.headers["Host"] == "anything.test"
            with socket.socket() as other, pytest.raises(UsageError, match="transport='socket'"):
                xdpws.connect(url, transport="xdp", interface="x", sock=other)

    run(main())


def test_logger_is_told_of_reconnects(caplog: pytest.LogCaptureFixture) -> None:
    async def once(ws: ServerConnection) -> None:
        await ws.send("x")

    async def main() -> None:
        async with server(once) as url:
            count = 0
            async for ws in dial(url, backoff=xdpws.Backoff(first_s=0.001), logger=logging.getLogger("mine")):
                await ws.recv()
                count += 1
                if count == 2:
                    break

    caplog.set_level(logging.INFO, "mine")
    run(main())
    assert any(each.name == "mine" and "reconnecting in" in each.message for each in caplog.records)


def test_reconnect_delays_as_in_websockets() -> None:
    made: list[str] = []

    def delays() -> Any:
        made.append("series")
        yield 0.001
        yield 0.002
        while True:
            yield 0.0

    async def once(ws: ServerConnection) -> None:
        await ws.send("x")

    async def main() -> None:
        async with server(once) as url:
            count = 0
            async for ws in dial(url, reconnect_delays=delays):
                await ws.recv()
                count += 1
                if count == 4:
                    break
        assert made == ["series"]

    run(main())


def test_on_connect_that_fails_by_the_network_is_tried_again() -> None:
    async def moody(ws: ServerConnection) -> None:
        if len(asked) < 3:
            asked.append("cut")
            ws.transport.abort()
            return
        await ws.send("at last")

    async def subscribe(ws: xdpws.ClientConnection) -> None:
        first = await ws.recv()
        assert first == "at last"

    async def main() -> None:
        async with server(moody) as url:
            async for _ in dial(url, backoff=xdpws.Backoff(first_s=0.001), on_connect=subscribe):
                break
        assert len(asked) == 3

    asked: list[str] = []
    run(main())


# ---- why it ended --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "cause", "code"), [
    ("long", PayloadTooBig, 1009), ("not utf-8", ProtocolError, 1007), ("reserved bits", ProtocolError, 1002),
    ("reset", ConnectError, None), ("gone", None, None),
])
def test_the_cause_of_an_end(what: str, cause: type[Exception] | None, code: int | None) -> None:
    async def speak(ws: ServerConnection) -> None:
        await ws.recv()
        if what == "long":
            await ws.send(bytes(5000))
        elif what == "not utf-8":
            ws.transport.write(b"\x81\x01\xff")
        elif what == "reserved bits":
            ws.transport.write(b"\xf1\x00")
        elif what == "reset":
            linger = struct.pack("ii", 1, 0)
            ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            ws.transport.abort()
        else:
            ws.transport.close()
        await ws.wait_closed()

    async def main() -> None:
        async with server(speak) as url, dial(url, max_size=1000) as ws:
            await ws.send("go")
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            if cause is None:
                assert caught.value.__cause__ is None
            else:
                assert type(caught.value.__cause__) is cause
                assert str(caught.value.__cause__)
            assert (caught.value.sent.code if caught.value.sent else None) == code

    run(main())


def test_decoding_what_is_no_text_fails_the_connection() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url) as ws:
            await ws.send(b"\xff\xfe")
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv(decode=True)
            assert isinstance(caught.value.__cause__, UnicodeDecodeError)
            assert caught.value.sent is not None
            assert caught.value.sent.code == 1007

    run(main())


def test_an_answer_that_is_none() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
        writer.close()

    async def main() -> None:
        running = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with running:
            with pytest.raises(InvalidMessage):
                await dial(f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/")

    run(main())


def test_sizes_without_a_limit() -> None:
    async def main() -> None:
        async with server(echo) as url, dial(url, max_size=None) as ws:
            await ws.send(bytes(9 << 20))
            assert len(await ws.recv()) == 9 << 20
        for wrong in ((1000, 10), -1, 1 << 40):
            with pytest.raises(UsageError, match="max_size"):
                dial("ws://x/", max_size=wrong)
        dial("ws://x/", max_size=(1000, None))

    run(main())
