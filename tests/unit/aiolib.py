"""Servers and small helpers for the tests of `xdpws.connect`: everything runs in one asyncio loop over loopback."""
from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from websockets.asyncio.server import ServerConnection, serve

import xdpws

Handler = Callable[[ServerConnection], Awaitable[None]]
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], seconds: float = 30) -> T:
    """Run in a loop of its own, not longer than `seconds`."""
    async def limited() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(limited())


@contextlib.asynccontextmanager
async def server(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """A server by the `websockets` library; gives its URL. No compression, any size, no pings of its own."""
    settings: dict[str, Any] = {"compression": None, "max_size": None, "ping_interval": None, "close_timeout": 2,
                                **options}
    async with serve(handler, "127.0.0.1", 0, **settings) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        yield f"{'wss' if options.get('ssl') else 'ws'}://127.0.0.1:{port}/"


def dial(url: str, **options: Any) -> xdpws.connect:
    """`xdpws.connect` over the socket transport, without keepalive."""
    return xdpws.connect(url, **{"transport": "socket", "ping_interval": None, "close_timeout": 15, **options})


async def echo(ws: ServerConnection) -> None:
    """Send back what comes."""
    async for message in ws:
        await ws.send(message)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Let the loop run until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def raw_server(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
                     ) -> AsyncIterator[tuple[str, int]]:
    """A TCP server for what no WebSocket server does; gives host and port."""
    running = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        host, port = running.sockets[0].getsockname()
        yield host, port
    finally:
        running.close()
