"""Bitfinex v2: with the flag SEQ_ALL every message of a connection bears a number, heartbeats too."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

SYMBOLS = ("tBTCUSD", "tETHUSD")
SEQ_ALL = 65536


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send(json.dumps({"event": "conf", "flags": SEQ_ALL}))
    for symbol in SYMBOLS:
        await ws.send(json.dumps({"event": "subscribe", "channel": "book", "symbol": symbol, "prec": "P0"}))


async def main() -> None:
    run = begin("bitfinex", "wss://api-pub.bitfinex.com/ws/2")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, **run.connect):
        run.opened(ws)
        last = 0
        try:
            async for text in ws:
                message = json.loads(text)
                if isinstance(message, dict):  # an event
                    if message.get("event") == "error" or message.get("code") == 20051:
                        run.notice(message)
                    continue
                run.messages += 1
                if not run.check(message[-1] == last + 1):
                    break  # connect anew
                last = message[-1]
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
