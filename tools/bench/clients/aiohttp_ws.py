"""aiohttp's WebSocket client: no compression, payloads as bytes."""
from __future__ import annotations

from time import monotonic_ns
from typing import Any

import aiohttp

NAMES = ("aiohttp",)


async def run(run: Any) -> None:
    """Receive until the last message."""
    take, message = run.take, run.message.decode()
    async with aiohttp.ClientSession() as session:
        options: dict[str, Any] = {"compress": 0, "max_msg_size": 0, "autoclose": False, "decode_text": False}
        async with session.ws_connect(run.url, ssl=run.tls(), **options) as ws:
            run.armed()
            receive, send = ws.receive, ws.send_str
            while True:
                if run.echo:
                    run.asked = monotonic_ns()
                    await send(message)
                answer = await receive()
                t = monotonic_ns()
                if take(t, answer.data):
                    break
