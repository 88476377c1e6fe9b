"""`xdpws connect URL`: an interactive client; messages to stdout, lines of stdin are sent."""
from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from xdpws.aio import connect as open_connection
from xdpws.cli.options import tls_from, tls_options, xdp_from, xdp_options
from xdpws.errors import ConnectionClosedError, ConnectionClosedOK


@click.command()
@click.argument("url")
@click.option("--interface", metavar="IFACE", help="Use AF_XDP on this interface where it works.")
@click.option("--transport", type=click.Choice(["auto", "xdp", "socket"]), default="auto", show_default=True)
@xdp_options
@tls_options
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A further header of the request.")
@click.option("--quiet", is_flag=True, help="Say nothing on stderr about transport and close.")
def connect(url: str, interface: str | None, transport: Any, ca: str | None, insecure: bool, tls_version: str | None,
            tls_engine: Any, keylog: str | None, headers: tuple[str, ...], quiet: bool, **xdp_values: Any) -> int:
    """Connect to URL; messages go to stdout, each on a line, and lines of stdin are sent as text messages.

    Needs no privilege over the socket transport. At the end of stdin receiving goes on until the server closes or
    Ctrl-C. Exit code: 0 closed in order, 1 otherwise, 2 wrong usage.
    """
    xdp = xdp_from(interface, False, xdp_values) if interface else None
    tls = tls_from(ca, insecure, tls_version, keylog, tls_engine)
    fields = [tuple(part.strip() for part in header.split(":", 1)) for header in headers]
    if any(len(field) != 2 for field in fields):
        raise click.UsageError("--header must be NAME:VALUE")
    opening = open_connection(url, transport=transport, xdp=xdp, tls=tls, max_size=1 << 26,
                              additional_headers=[(f[0], f[1]) for f in fields])
    try:
        return asyncio.run(_talk(opening, quiet))
    except KeyboardInterrupt:
        return 0


async def _lines(queue: asyncio.Queue[str | None]) -> None:
    """Lines of stdin into a queue, read by a thread, because stdin may be a file."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(queue.put(line.rstrip("\n")), loop).result()

    await asyncio.to_thread(read)


async def _send(ws: Any) -> None:
    queue: asyncio.Queue[str | None] = asyncio.Queue(16)
    reader = asyncio.create_task(_lines(queue))
    try:
        while not (reader.done() and queue.empty()):
            getter = asyncio.create_task(queue.get())
            await asyncio.wait({getter, reader}, return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                await ws.send(getter.result())
            else:
                getter.cancel()
    finally:
        reader.cancel()


async def _talk(opening: Any, quiet: bool) -> int:
    async with opening as ws:
        if not quiet:
            click.echo(f"connected over {ws.transport}: {ws.transport_reason}", err=True)
        sender = asyncio.create_task(_send(ws))
        code = 0
        try:
            while True:
                message = await ws.recv()
                if isinstance(message, bytes):
                    sys.stdout.buffer.write(message + b"\n")
                    sys.stdout.buffer.flush()
                else:
                    click.echo(message)
        except ConnectionClosedOK as closed:
            text = str(closed)
        except ConnectionClosedError as closed:
            text, code = str(closed), 1
        finally:
            sender.cancel()
        if not quiet:
            click.echo(f"closed: {text}", err=True)
        return code
