"""HTX (Huobi): gzip in binary frames, JSON pings that must be answered, books chained by prevSeqNum."""
from __future__ import annotations

import asyncio
import gzip
import json

from common import begin

import xdpws

TOPICS = ("market.btcusdt.mbp.150", "market.ethusdt.mbp.150")


async def subscribe(ws: xdpws.ClientConnection) -> None:
    for topic in TOPICS:
        await ws.send(json.dumps({"sub": topic, "id": topic}))


async def main() -> None:
    run = begin("htx", "wss://api.huobi.pro/feed")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, **run.connect):
        run.opened(ws)
        last: dict[str, int] = {}
        try:
            async for data in ws:
                assert isinstance(data, bytes)
                message = json.loads(gzip.decompress(data))
                if "ping" in message:
                    await ws.send(json.dumps({"pong": message["ping"]}))
                    continue
                if "ch" not in message:
                    if message.get("status") == "error":
                        run.notice(message)
                    continue
                run.messages += 1
                topic, tick = message["ch"], message["tick"]
                if "prevSeqNum" in tick:
                    if topic in last and not run.check(tick["prevSeqNum"] == last[topic]):
                        break  # connect anew
                    last[topic] = tick["seqNum"]
                elif "version" in tick:  # depth.step0: whole books, only their order can be proved
                    if topic in last and not run.check(tick["version"] >= last[topic]):
                        break
                    last[topic] = tick["version"]
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
