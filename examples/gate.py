"""Gate.io futures: book updates chained by U and u. Gate cuts slow readers, so do not work in the receiving loop."""
from __future__ import annotations

import asyncio
import json
import time

from common import begin

import xdpws

CONTRACTS = ("BTC_USDT", "ETH_USDT")


async def subscribe(ws: xdpws.ClientConnection) -> None:
    for contract in CONTRACTS:
        await ws.send(json.dumps({"time": int(time.time()), "channel": "futures.order_book_update",
                                  "event": "subscribe", "payload": [contract, "100ms", "20"]}))


async def main() -> None:
    run = begin("gate", "wss://fx-ws.gateio.ws/v4/ws/usdt")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if message["event"] != "update":
                    if message.get("error"):
                        run.notice(message)
                    continue
                run.messages += 1
                if message["channel"] == "futures.order_book_update":
                    update = message["result"]
                    name = update["s"]
                    if name in last and not run.check(update["U"] == last[name] + 1):
                        break  # connect anew
                    last[name] = update["u"]
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
