"""A program as users write it, for mypy --strict (tests/unit/test_typing.py). It is checked, not run."""
from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus
from typing import assert_type

import xdpws
import xdpws.sync


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send('{"op":"subscribe"}')


async def words() -> AsyncIterator[str]:
    yield "one"


def fatal(error: Exception) -> Exception | None:
    return error if isinstance(error, xdpws.InvalidStatus) and error.response.status_code == 401 else None


async def client() -> None:
    async with xdpws.connect("wss://x/", ssl=ssl.create_default_context(), additional_headers={"A": "b"},
                             proxy="socks5h://p:1", max_queue=(64, 16), keepalive="text:ping", idle_timeout=30) as ws:
        assert_type(ws, xdpws.ClientConnection)
        assert_type(await ws.recv(), str | bytes)
        assert_type(await ws.recv(decode=True), str)
        assert_type(await ws.recv(decode=False), bytes)
        assert_type(await ws.ping(), Awaitable[float])
        await ws.send(words())
        await ws.send(memoryview(b"x"), text=True)
        async for message in ws:
            assert_type(message, str | bytes)
        async for piece in ws.recv_streaming(True):
            assert_type(piece, str)
        assert_type(ws.close_code, int | None)
        assert_type(ws.response, xdpws.Response | None)
        assert_type(ws.state, xdpws.State)
        assert_type(ws.latency, float)
    async for ws in xdpws.connect("wss://x/", on_connect=subscribe, process_exception=fatal,
                                  backoff=xdpws.Backoff(cap_s=5), keepalive=xdpws.Keepalive("ping", answer="pong")):
        try:
            print(await ws.recv())
        except xdpws.ConnectionClosed as error:
            assert_type(error.rcvd, xdpws.Close | None)
    assert_type(await xdpws.connect("ws://x/"), xdpws.ClientConnection)


async def handler(ws: xdpws.ServerConnection) -> None:
    async for message in ws:
        xdpws.broadcast(ws.server.connections, message)


async def check(ws: xdpws.ServerConnection, request: xdpws.Request) -> xdpws.Response | None:
    return ws.respond(HTTPStatus.OK, "OK\n") if request.path == "/health" else None


async def server() -> None:
    tls = xdpws.TlsOptions(cert_file="cert.pem", key_file="key.pem")
    async with xdpws.serve(handler, "127.0.0.1", 8765, process_request=check, ssl=tls) as running:
        assert_type(running, xdpws.Server)
        assert_type(running.connections, set[xdpws.ServerConnection])
        await running.serve_forever()
    await xdpws.serve(handler, "", 0, process_request=xdpws.basic_auth(credentials=("user", "secret")))


def blocking() -> None:
    with xdpws.sync.connect("wss://x/", compression="deflate") as ws:
        assert_type(ws.recv(timeout=1), str | bytes)
        assert_type(ws.recv(decode=True), str)
        assert_type(ws.ping().wait(1), bool)
        for message in ws:
            assert_type(message, str | bytes)


def on_message(message: xdpws.Message) -> None:
    assert_type(message.data, memoryview)


def callbacks() -> None:
    with xdpws.Client("wss://x/", on_message=on_message) as running:
        assert_type(running, xdpws.Client)


if __name__ == "__main__":
    asyncio.run(client())
