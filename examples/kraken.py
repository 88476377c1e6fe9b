"""Kraken spot v2: books of ten levels with a CRC-32 over all of them.

Numbers come as JSON numbers, and the checksum is over their digits: they are kept as text, never made floats.
"""
from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

from common import begin

import xdpws

SYMBOLS = ["BTC/USD", "ETH/USD"]
DEPTH = 10
Side = dict[str, str]


def apply(side: Side, rows: list[dict[str, str]], best: int) -> None:
    """Set and remove levels, then cut the side to the depth: Kraken does not delete what falls out of it."""
    for row in rows:
        if float(row["qty"]):
            side[row["price"]] = row["qty"]
        else:
            side.pop(row["price"], None)
    for price in sorted(side, key=lambda text: best * float(text), reverse=True)[DEPTH:]:
        del side[price]


def checksum(bids: Side, asks: Side) -> int:
    def digits(text: str) -> str:
        return text.replace(".", "").lstrip("0")

    levels = sorted(asks.items(), key=lambda level: float(level[0]))
    levels += sorted(bids.items(), key=lambda level: -float(level[0]))
    return zlib.crc32("".join(digits(price) + digits(size) for price, size in levels).encode())


async def subscribe(ws: xdpws.ClientConnection) -> None:
    params = {"channel": "book", "symbol": SYMBOLS, "depth": DEPTH}
    await ws.send(json.dumps({"method": "subscribe", "params": params}))


async def main() -> None:
    run = begin("kraken", "wss://ws.kraken.com/v2")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, **run.connect):
        run.opened(ws)
        books: dict[str, tuple[Side, Side]] = {}
        try:
            async for text in ws:
                message: dict[str, Any] = json.loads(text, parse_float=str, parse_int=str)
                if message.get("success") is False:
                    run.notice(message)
                if message.get("channel") != "book":
                    continue  # an answer, the status, a heartbeat
                run.messages += 1
                data = message["data"][0]
                if message["type"] == "snapshot":
                    books[data["symbol"]] = ({}, {})
                bids, asks = books[data["symbol"]]
                apply(bids, data["bids"], 1)
                apply(asks, data["asks"], -1)
                if not run.check(checksum(bids, asks) == int(data["checksum"])):
                    break  # connect anew
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
