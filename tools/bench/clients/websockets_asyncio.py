"""websockets, the asyncio implementation: no compression, no keepalive, payloads as bytes."""
from __future__ import annotations

from time import monotonic_ns
from typing import Any

import websockets.speedups  # noqa: F401  (its C extension must be there)
from websockets.asyncio.client import connect

NAMES = ("websockets",)


async def run(run: Any) -> None:
    """Receive until the last message."""
    take, message = run.take, run.message.decode()
    async with connect(run.url, ssl=run.tls(), compression=None, ping_interval=None, max_size=None) as ws:
        run.armed()
        recv, send = ws.recv, ws.send
        while True:
            if run.echo:
                run.asked = monotonic_ns()
                await send(message)
            payload = await recv(decode=False)
            t = monotonic_ns()
            if take(t, payload):
                break
