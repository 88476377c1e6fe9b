"""Bybit v5 linear: order books of 50 levels whose update id rises by one; a JSON ping each 20 seconds."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

TOPICS = ["orderbook.50.BTCUSDT", "orderbook.50.ETHUSDT", "publicTrade.BTCUSDT"]


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send(json.dumps({"op": "subscribe", "args": TOPICS}))


async def main() -> None:
    run = begin("bybit", "wss://stream.bybit.com/v5/public/linear")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, keepalive='text:{"op":"ping"}', **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if "topic" not in message:  # an acknowledgement, perhaps after the first snapshot, or a pong
                    if message.get("success") is False:
                        run.notice(message)
                    continue
                run.messages += 1
                if message["topic"].startswith("orderbook."):
                    topic, number = message["topic"], message["data"]["u"]
                    if message["type"] == "delta" and not run.check(number == last.get(topic, 0) + 1):
                        break  # connect anew
                    last[topic] = number
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
