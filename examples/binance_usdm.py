"""Binance USD-M futures: the real-time depth stream, whose events name the one before by `pu`."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

STREAMS = "/".join(f"{symbol}@depth@0ms/{symbol}@bookTicker" for symbol in ("btcusdt", "ethusdt"))


async def main() -> None:
    run = begin("binance-usdm", f"wss://fstream.binance.com/stream?streams={STREAMS}")
    async for ws in xdpws.connect(run.url, **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for text in ws:
                event = json.loads(text)["data"]
                run.messages += 1
                if event["e"] == "depthUpdate":
                    symbol = event["s"]
                    if symbol in last and not run.check(event["pu"] == last[symbol]):
                        break  # connect anew
                    last[symbol] = event["u"]
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
