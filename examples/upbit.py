"""Upbit: plain JSON in binary frames, one subscription as an array with a ticket, a text ping against the cut after
120 seconds of silence. Books come whole with a time; only their order can be proved."""
from __future__ import annotations

import asyncio
import json
import uuid

from common import begin

import xdpws

KEEPALIVE = "text:PING"
CODES = ["USDT-BTC", "USDT-ETH"]


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send(json.dumps([{"ticket": str(uuid.uuid4())}, {"type": "orderbook", "codes": CODES},
                              {"type": "trade", "codes": CODES}, {"format": "SIMPLE"}]))


async def main() -> None:
    run = begin("upbit", "wss://api.upbit.com/websocket/v1")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, keepalive=KEEPALIVE, **run.connect):
        run.opened(ws)
        last: dict[tuple[str, str], int] = {}
        try:
            async for data in ws:
                message = json.loads(data)
                if "error" in message:
                    run.notice(message)
                if "ty" not in message:
                    continue
                run.messages += 1
                key = (message["ty"], message["cd"])
                if key in last and not run.check(message["tms"] >= last[key]):
                    break  # connect anew
                last[key] = message["tms"]
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
