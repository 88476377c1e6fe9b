"""Bitstamp: order book differences. They bear only a time in microseconds, so their order can be proved and a missing
one cannot; the trades' channel has no consecutive ids either. The venue asks for a reconnect before maintenance."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

KEEPALIVE = 'text:{"event":"bts:heartbeat"}'
CHANNELS = ("diff_order_book_btcusd", "diff_order_book_ethusd")


async def subscribe(ws: xdpws.ClientConnection) -> None:
    for channel in CHANNELS:
        await ws.send(json.dumps({"event": "bts:subscribe", "data": {"channel": channel}}))


async def main() -> None:
    run = begin("bitstamp", "wss://ws.bitstamp.net/")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, keepalive=KEEPALIVE, **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if message["event"] == "bts:request_reconnect":
                    run.notice("reconnect")
                    break
                if message["event"].startswith("bts:"):
                    if message["event"] == "bts:error":
                        run.notice(message)
                    continue
                run.messages += 1
                channel, micro = message["channel"], int(message["data"]["microtimestamp"])
                if channel in last and not run.check(micro >= last[channel]):
                    break  # connect anew
                last[channel] = micro
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
