"""Bitget order books: a text ping twice a minute, and a CRC-32 over the best 25 levels after every update."""
from __future__ import annotations

import asyncio
import json
import zlib
from itertools import chain, zip_longest

from common import begin

import xdpws

SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Book:
    """Prices and sizes stay the venue's text: the checksum is over their digits."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    def apply(self, data: dict[str, list[list[str]]]) -> None:
        for side, rows in ((self.bids, data["bids"]), (self.asks, data["asks"])):
            for price, size in rows:
                if float(size):
                    side[price] = size
                else:
                    side.pop(price, None)

    def checksum(self) -> int:
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))[:25]
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))[:25]
        levels = filter(None, chain.from_iterable(zip_longest(bids, asks)))
        crc = zlib.crc32(":".join(chain.from_iterable(levels)).encode())
        return crc - (1 << 32) if crc >> 31 else crc


async def subscribe(ws: xdpws.ClientConnection) -> None:
    args = [{"instType": "SPOT", "channel": "books", "instId": symbol} for symbol in SYMBOLS]
    await ws.send(json.dumps({"op": "subscribe", "args": args}))


async def main() -> None:
    run = begin("bitget", "wss://ws.bitget.com/v2/ws/public")
    # The ping: without one for two minutes Bitget cuts.
    async for ws in xdpws.connect(run.url, on_connect=subscribe, keepalive="text:ping", **run.connect):
        run.opened(ws)
        books: dict[str, Book] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if "event" in message:
                    if message["event"] != "subscribe":
                        run.notice(message)
                    continue
                run.messages += 1
                if message["arg"]["channel"] == "books":
                    name, data = message["arg"]["instId"], message["data"][0]
                    if message["action"] == "snapshot":
                        books[name] = Book()
                    books[name].apply(data)
                    if not run.check(books[name].checksum() == data["checksum"]):
                        break  # the loop connects anew and gets a new snapshot
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
