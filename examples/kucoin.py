"""KuCoin: a token by REST for every connection, a JSON ping at the interval it came with, level 2 updates that number
each change."""
from __future__ import annotations

import asyncio
import json
import ssl
import urllib.request
from typing import Any

from common import begin

import xdpws
from xdpws.errors import ConnectError, ConnectionClosedError

TOPIC = "/market/level2:BTC-USDT,ETH-USDT"


def bullet(rest: str, ca: str | None) -> dict[str, Any]:
    request = urllib.request.Request(f"{rest}/api/v1/bullet-public", method="POST")
    with urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cafile=ca)) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
        return data


async def main() -> None:
    run = begin("kucoin", "wss://ws-api-spot.kucoin.com/", "https://api.kucoin.com")
    ca = run.connect["tls"].ca_file
    while True:
        # Every connection has its own token, so the loop is this one and not `async for ws in connect(...)`.
        token = await asyncio.to_thread(bullet, run.rest, ca)
        every_s = token["instanceServers"][0]["pingInterval"] / 1000
        keepalive = xdpws.Keepalive('{"id":2,"type":"ping"}', every_s)
        last: dict[str, int] = {}
        try:
            async with xdpws.connect(f"{run.url}?token={token['token']}", keepalive=keepalive, **run.connect) as ws:
                run.opened(ws)
                await ws.send(json.dumps({"id": 1, "type": "subscribe", "topic": TOPIC, "response": True}))
                async for text in ws:
                    message = json.loads(text)
                    if message["type"] == "error":
                        run.notice(message)
                    if message["type"] != "message":
                        continue
                    run.messages += 1
                    data = message["data"]
                    if data["symbol"] in last and not run.check(data["sequenceStart"] == last[data["symbol"]] + 1):
                        break  # connect anew
                    last[data["symbol"]] = data["sequenceEnd"]
                    if run.done:
                        run.finish()
        except (ConnectionClosedError, ConnectError) as error:
            run.notice(error)
        await asyncio.sleep(0.5)


asyncio.run(main())
