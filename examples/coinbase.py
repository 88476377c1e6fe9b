"""Coinbase Exchange: level 2 books and trades. Book updates bear no number; trade ids rise by one, and the heartbeat
of each second repeats the last one, so it also shows a trade that is missing while nothing else comes."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

PRODUCTS = ["BTC-USD", "ETH-USD"]


async def subscribe(ws: xdpws.ClientConnection) -> None:
    """Within five seconds, or Coinbase ends the connection."""
    await ws.send(json.dumps({"type": "subscribe", "product_ids": PRODUCTS,
                              "channels": ["level2", "matches", "heartbeat"]}))


async def main() -> None:
    run = begin("coinbase", "wss://ws-feed.exchange.coinbase.com/")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, compression="deflate", **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                kind, product = message["type"], message.get("product_id", "")
                if kind == "error":
                    run.notice(message)
                if kind in ("error", "subscriptions"):
                    continue
                run.messages += 1
                if kind in ("match", "last_match"):
                    number = message["trade_id"]
                    if product in last and not run.check(number == last[product] + 1):
                        break  # connect anew
                    last[product] = number
                heard = kind == "heartbeat" and product in last
                if heard and not run.check(message["last_trade_id"] == last[product]):
                    break
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
