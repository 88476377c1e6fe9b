"""Kraken spot v1, the old protocol: arrays, prices as text, a CRC-32 over the ten best levels in every update."""
from __future__ import annotations

import asyncio
import json
import zlib

from common import begin

import xdpws

PAIRS = ["XBT/USD", "ETH/USD"]
DEPTH = 10
Side = dict[str, str]


def apply(side: Side, rows: list[list[str]], best: int, depth: int) -> None:
    """Set and remove levels, then cut the side to the depth: Kraken does not delete what falls out of it."""
    for price, size, *_ in rows:
        if float(size):
            side[price] = size
        else:
            side.pop(price, None)
    for price in sorted(side, key=lambda text: best * float(text), reverse=True)[depth:]:
        del side[price]


def checksum(bids: Side, asks: Side) -> int:
    levels = sorted(asks.items(), key=lambda level: float(level[0]))[:10]
    levels += sorted(bids.items(), key=lambda level: -float(level[0]))[:10]
    digits = (text.replace(".", "").lstrip("0") for level in levels for text in level)
    return zlib.crc32("".join(digits).encode())


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send(json.dumps({"event": "subscribe", "pair": PAIRS, "subscription": {"name": "book", "depth": DEPTH}}))


async def main() -> None:
    run = begin("kraken-v1", "wss://ws.kraken.com/")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, **run.connect):
        run.opened(ws)
        books: dict[str, tuple[Side, Side]] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if isinstance(message, dict):  # an event: status, subscription, heartbeat
                    if message.get("status") == "error":
                        run.notice(message)
                    continue
                run.messages += 1
                *parts, channel, pair = message[1:]  # an update of both sides has two parts
                data = {key: rows for part in parts for key, rows in part.items()}
                if "as" in data:
                    books[pair] = ({}, {})
                bids, asks = books[pair]
                depth = int(channel.removeprefix("book-"))
                apply(bids, data.get("b", data.get("bs", [])), 1, depth)
                apply(asks, data.get("a", data.get("as", [])), -1, depth)
                if "c" in data and not run.check(checksum(bids, asks) == int(data["c"])):
                    break  # connect anew
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
