"""BitMEX: order books by the ids of their levels. Nothing is numbered, so the proof is that every update and delete is
of a known level and every insert of an unknown one."""
from __future__ import annotations

import asyncio
import json

from common import begin

import xdpws

TOPICS = ["orderBookL2:XBTUSD", "orderBookL2:ETHUSD"]


async def subscribe(ws: xdpws.ClientConnection) -> None:
    await ws.send(json.dumps({"op": "subscribe", "args": TOPICS}))


async def main() -> None:
    run = begin("bitmex", "wss://ws.bitmex.com/realtime")
    async for ws in xdpws.connect(run.url, on_connect=subscribe, keepalive="text:ping", **run.connect):
        run.opened(ws)
        books: dict[str, set[tuple[str, int]]] = {}
        try:
            async for text in ws:
                message = json.loads(text)
                if "error" in message:
                    run.notice(message)
                if "table" not in message:
                    continue
                run.messages += 1
                action = message["action"]
                if not message["table"].startswith("orderBookL2"):
                    continue
                good = True
                for row in message["data"]:
                    known, level = books.setdefault(row["symbol"], set()), (row["side"], row["id"])
                    if action != "partial":
                        good = good and run.check((level in known) == (action != "insert"))
                    (known.discard if action == "delete" else known.add)(level)
                if not good:
                    break  # connect anew
                if run.done:
                    run.finish()
        except xdpws.ConnectionClosedError as closed:
            run.notice(closed)


asyncio.run(main())
