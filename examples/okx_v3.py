"""OKX's old v3 protocol, as OKCoin and others spoke it: raw DEFLATE in binary frames, CRC-32 of the best 25 levels."""
from __future__ import annotations

import asyncio
import json
import zlib
from itertools import chain, zip_longest

from common import begin

import xdpws

CHANNELS = ["spot/depth:BTC-USDT", "spot/trade:BTC-USDT"]
Side = dict[str, str]


def apply(side: Side, rows: list[list[str]]) -> None:
    for price, size, *_ in rows:
        if float(size):
            side[price] = size
        else:
            side.pop(price, None)


def checksum(bids: Side, asks: Side) -> int:
    best = (sorted(bids.items(), key=lambda level: -float(level[0]))[:25],
            sorted(asks.items(), key=lambda level: float(level[0]))[:25])
    crc = zlib.crc32(":".join(chain.from_iterable(filter(None, chain(*zip_longest(*best))))).encode())
    return crc - (1 << 32) if crc >> 31 else crc


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send(json.dumps({"op": "subscribe", "args": CHANNELS}))


async def main() -> None:
    run = begin("okx-v3", "wss://real.okex.com:8443/ws/v3")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, keepalive=xdpws.Keepalive("ping"), **run.connect):
        run.opened(ws)
        books: dict[str, tuple[Side, Side]] = {}
        try:
            async for data in ws:
                assert isinstance(data, bytes)
                text = zlib.decompress(data, -zlib.MAX_WBITS)  # every message is a DEFLATE stream of its own
                if text == b"pong":
                    continue
                message = json.loads(text)
                if "event" in message:
                    if message["event"] != "subscribe":
                        run.notice(message)
                    continue
                run.messages += 1
                for row in message["data"] if "/depth" in message["table"] else ():
                    if message["action"] == "partial":
                        books[row["instrument_id"]] = ({}, {})
                    bids, asks = books[row["instrument_id"]]
                    apply(bids, row["bids"])
                    apply(asks, row["asks"])
                    good = run.check(checksum(bids, asks) == row["checksum"])
                    if not good:
                        break
                else:
                    if run.done:
                        run.finish()
                    continue
                break  # a wrong checksum: connect anew
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
