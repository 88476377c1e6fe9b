"""Deribit: books whose changes name the one before, and heartbeats that must be answered."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

CHANNELS = ["book.BTC-PERPETUAL.100ms", "book.ETH-PERPETUAL.100ms"]


async def call(ws: xdpws.ClientConnection, method: str, **params: object) -> None:
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"public/{method}", "params": params}))


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await call(ws, "set_heartbeat", interval=10)
    await call(ws, "subscribe", channels=CHANNELS)


async def main() -> None:
    run = begin("deribit", "wss://www.deribit.com/ws/api/v2")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if "error" in message:
                    run.notice(message)
                elif message.get("method") == "heartbeat" and message["params"]["type"] == "test_request":
                    await call(ws, "test")
                elif message.get("method") == "subscription":
                    run.messages += 1
                    data = message["params"]["data"]
                    if message["params"]["channel"].startswith("book."):
                        name = data["instrument_name"]
                        if "prev_change_id" in data and not run.check(data["prev_change_id"] == last.get(name)):
                            break  # connect anew
                        last[name] = data["change_id"]
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
