"""Binance spot: an order book from a REST snapshot and the depth stream, proved by the update ids U and u.

Binance pings by WebSocket; xdpws answers by itself. After every cut the book is built anew.
"""
from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from common import begin

import xdpws

SYMBOLS = ("btcusdt", "ethusdt")
Event = dict[str, Any]


class Book:
    """Until its snapshot is there it keeps what comes; then every event must follow on the one before."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.last = 0
        self.waiting: list[Event] | None = []

    def begin(self, snapshot: Event) -> None:
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])
        self.last = snapshot["lastUpdateId"]

    def follows(self, event: Event) -> bool:
        """Apply an event; False if one is missing before it."""
        if event["u"] <= self.last:
            return True  # older than the snapshot
        if not event["U"] <= self.last + 1 <= event["u"]:
            return False
        self.last = event["u"]
        for side, rows in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, size in rows:
                if float(size):
                    side[price] = size
                else:
                    side.pop(price, None)
        return True


def snapshot(rest: str, symbol: str, ca: str | None) -> Event:
    url = f"{rest}/api/v3/depth?symbol={symbol.upper()}&limit=1000"
    with urllib.request.urlopen(url, timeout=10, context=ssl.create_default_context(cafile=ca)) as answer:
        loaded: Event = json.load(answer)
        return loaded


async def main() -> None:
    streams = "/".join(f"{symbol}@depth@100ms/{symbol}@trade" for symbol in SYMBOLS)
    run = begin("binance", f"wss://stream.binance.com:9443/stream?streams={streams}", "https://api.binance.com")
    ca = run.connect["tls"].ca_file
    async for ws in xdpws.connect(run.url, **run.connect):
        run.opened(ws)
        books = {symbol.upper(): Book() for symbol in SYMBOLS}
        first = {name: asyncio.create_task(asyncio.to_thread(snapshot, run.rest, name, ca)) for name in books}
        try:
            async for text in ws:
                event = json.loads(text)["data"]
                if event["e"] == "serverShutdown":
                    run.notice("it will shut down soon")
                    continue
                run.messages += 1
                if event["e"] == "depthUpdate":
                    book, events = books[event["s"]], [event]
                    if book.waiting is not None:
                        book.waiting.append(event)
                        if not first[event["s"]].done():
                            continue
                        book.begin(first[event["s"]].result())
                        events, book.waiting = book.waiting, None
                    if not all(run.check(book.follows(kept)) for kept in events):
                        break  # connect anew
                if run.done:
                    run.finish()
        except (xdpws.ConnectionClosedError, urllib.error.URLError) as error:
            run.notice(error)


asyncio.run(main())
