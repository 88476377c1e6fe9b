"""`xdpws.serve` as Autobahn|Testsuite's peer: sends back what comes, prints its port (tools/autobahn.py --server)."""
from __future__ import annotations

import asyncio

import xdpws


async def echo(ws: xdpws.ServerConnection) -> None:
    """Send back what comes."""
    async for message in ws:
        await ws.send(message)


async def main() -> None:
    """Serve until killed."""
    async with xdpws.serve(echo, "127.0.0.1", 0, max_size=1 << 26, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
