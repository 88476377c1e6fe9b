"""The client that Autobahn|Testsuite tests: every case's messages are sent back as they came.

    autobahn_client.py URL AGENT [--transport xdp --interface IF] [--jobs N]
"""
from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import xdpws
from xdpws.errors import ConnectionClosed, InvalidHandshake


async def one_case(url: str, options: dict[str, Any]) -> None:
    """Echo until the connection ends, however it ends: the suite judges that."""
    try:
        async with xdpws.connect(url, **options) as ws:
            while True:
                await ws.send(await ws.recv())
    except (ConnectionClosed, InvalidHandshake):
        return


async def main(args: argparse.Namespace) -> None:
    options: dict[str, Any] = {"transport": args.transport, "interface": args.interface, "ping_interval": None,
                               "max_size": 1 << 25, "compression": "deflate", "open_timeout": 20}
    async with xdpws.connect(args.url + "/getCaseCount", **options) as ws:
        count = json.loads(await ws.recv())
    cases = iter(range(1, count + 1))

    async def worker() -> None:
        for number in cases:
            await one_case(f"{args.url}/runCase?case={number}&agent={args.agent}", options)

    await asyncio.gather(*(worker() for _ in range(args.jobs)))
    await one_case(f"{args.url}/updateReports?agent={args.agent}", options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("agent")
    parser.add_argument("--transport", default="socket")
    parser.add_argument("--interface")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    asyncio.run(main(parser.parse_args()))
