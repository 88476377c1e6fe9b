"""Kraken futures: book messages numbered per product. Kraken wants to hear from a client once a minute; the WebSocket
pings that xdpws sends by itself do."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

PRODUCTS = ["PI_XBTUSD", "PI_ETHUSD"]


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send(json.dumps({"event": "subscribe", "feed": "book", "product_ids": PRODUCTS}))


async def main() -> None:
    run = begin("kraken-futures", "wss://futures.kraken.com/ws/v1")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, ping_interval=20, **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if "event" in message:
                    if message["event"] not in ("info", "subscribed"):
                        run.notice(message)
                    continue
                run.messages += 1
                if message["feed"] in ("book", "book_snapshot"):
                    product, number = message["product_id"], message["seq"]
                    if message["feed"] == "book" and not run.check(number == last.get(product, 0) + 1):
                        break  # connect anew
                    last[product] = number
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
