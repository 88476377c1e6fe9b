"""`xdpws sim`: the exchange simulator as a command."""
from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from xdpws.cli.sim_venue import VENUE_OPTIONS, venue_config, venue_options
from xdpws.errors import UsageError
from xdpws.sim.config import ACKS, DROPS, KEY_TYPES, TLS_VERSIONS, ExchangeConfig
from xdpws.sim.frames import FRAGMENTS
from xdpws.sim.server import Exchange
from xdpws.sim.session import SessionResult
from xdpws.sim.venues.server import VenueExchange

__all__ = ["parse_listen", "parse_speed", "sim"]

_DEFAULT = ExchangeConfig()
_FILE = click.Path(dir_okay=False, path_type=Path)


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT, HOST, :PORT or [IPv6]:PORT. Raises `UsageError`."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UsageError(f"listen: {text!r} is not [IPv6]:PORT")
        port = rest[1:]
    elif text.count(":") > 1:
        raise UsageError(f"listen: write an IPv6 address in brackets, [{text}]:{_DEFAULT.port}")
    else:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        raise UsageError(f"listen: {port!r} in {text!r} is not a port number")
    return host or _DEFAULT.host, int(port) if port else _DEFAULT.port


def parse_speed(text: str) -> float | None:
    """A factor on recorded time, or None for "max". Raises `UsageError`."""
    if text == "max":
        return None
    try:
        return float(text.removesuffix("x"))
    except ValueError:
        raise UsageError(f"speed: {text!r} is neither a number nor max") from None


@click.command()
@click.argument("feed", metavar="FEED|synthetic", required=False)
@click.option("--listen", default=f"{_DEFAULT.host}:{_DEFAULT.port}", show_default=True, metavar="HOST:PORT",
              help="Where to listen; port 0 takes a free one and says which.")
@click.option("--plain", is_flag=True, help="ws:// without TLS.")
@click.option("--cert", type=_FILE, help="PEM file with the server's certificate chain; without it one is made.")
@click.option("--key", type=_FILE, help="PEM file with its private key.")
@click.option("--cert-dir", type=click.Path(file_okay=False, path_type=Path),
              help="Keep the made CA and certificate here [default: a temporary directory, removed at the end].")
@click.option("--name", "names", multiple=True, metavar="NAME",
              help="Name or address in the made certificate, repeatable [default: listen host, localhost, 127.0.0.1].")
@click.option("--key-type", type=click.Choice(KEY_TYPES), default=_DEFAULT.key_type, show_default=True,
              help="Key of the made certificate.")
@click.option("--tls", type=click.Choice(TLS_VERSIONS), help="Offer only this TLS version [default: both].")
@click.option("--ciphers", default="", metavar="A:B", help="OpenSSL cipher names, of TLS 1.2 and 1.3 alike.")
@click.option("--groups", default="", metavar="A:B",
              help="Key exchange groups; P-384 makes most clients see a HelloRetryRequest.")
@click.option("--speed", default="1", show_default=True, metavar="X|max",
              help="Play X times as fast as recorded, or as fast as the client takes it.")
@click.option("--loop", type=click.IntRange(min=0), default=1, show_default=True,
              help="Play this many times; 0 for ever.")
@click.option("--start", type=click.Choice(["connect", "subscribe"]), default=_DEFAULT.start, show_default=True,
              help="Begin at once, or when the client has sent its first message.")
@click.option("--ack", type=click.Choice(ACKS), default=_DEFAULT.ack, show_default=True,
              help="Answer control messages: auto only for the synthetic feed, recordings hold the answers already.")
@click.option("--count", type=click.IntRange(min=1), default=_DEFAULT.count, show_default=True,
              help="Messages of the synthetic feed.")
@click.option("--seed", type=int, default=_DEFAULT.seed, show_default=True,
              help="Decides the synthetic feed, random fragments and random records.")
@click.option("--rate", type=float, default=_DEFAULT.rate, show_default=True,
              help="Mean messages a second of the synthetic feed; with --venue: book changes a second (else 200).")
@click.option("--stamp", is_flag=True, help="Synthetic messages carry their send time, ns of CLOCK_MONOTONIC.")
@click.option("--records", default=_DEFAULT.records, show_default=True, metavar="per-message|random|coalesce:N",
              help="How messages are put into TLS records.")
@click.option("--fragment", type=click.Choice(FRAGMENTS), default=_DEFAULT.fragment, show_default=True,
              help="Split messages into frames; interleaved puts a ping between fragments.")
@click.option("--ping-interval", type=float, default=_DEFAULT.ping_interval_s, show_default=True, metavar="S",
              help="A WebSocket ping every S seconds; 0 for none.")
@click.option("--ping-timeout", type=float, default=_DEFAULT.ping_timeout_s, show_default=True, metavar="S",
              help="Cut a client that does not answer a ping within S seconds.")
@click.option("--drop-after", type=click.IntRange(min=0), metavar="N",
              help="Cut the connection after N messages, without close frame.")
@click.option("--drop", type=click.Choice(DROPS), default=_DEFAULT.drop, show_default=True,
              help="How --drop-after cuts.")
@click.option("--reset-mid-frame", is_flag=True,
              help="After the last message (or N of --drop-after) send half a frame, then reset.")
@click.option("--half-close", is_flag=True,
              help="After the last message (or N of --drop-after) end the sending direction, without close frame.")
@venue_options
@click.option("--once", is_flag=True, help="End when the first client is done.")
@click.option("--json", "as_json", is_flag=True, help="The ready line is a JSON object, with the expected rx_sha256.")
@click.option("--quiet", is_flag=True, help="Say nothing about clients on stderr.")
@click.pass_context
def sim(ctx: click.Context, /, **options: Any) -> None:
    """Be an exchange: play FEED (a file in format xdpws-feed/1) or the built-in synthetic feed to every client.

    Each client gets the feed from its start, then close code 1000. With --venue NAME instead of a feed it is that
    venue: subscriptions, pings, limits, and generated books with the venue's numbers or checksums. When ready, one
    line on stdout says the URL and the CA file to trust. Ctrl-C ends it.
    """
    options["host"], options["port"] = parse_listen(options.pop("listen"))
    once, as_json, quiet = (options[name] for name in ("once", "as_json", "quiet"))
    report = None if quiet else _report
    exchange: Exchange | VenueExchange
    if options["venue"] is not None:
        exchange = VenueExchange(venue_config(ctx, options), report)
    else:
        exchange = Exchange(_feed_config(ctx, options), report)
    asyncio.run(_run(exchange, once, as_json))


def _feed_config(ctx: click.Context, options: dict[str, Any]) -> ExchangeConfig:
    if options["feed"] is None:
        raise click.UsageError("Missing argument 'FEED|synthetic' (or --venue NAME).", ctx)
    for name in VENUE_OPTIONS:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"{name}: it applies only with --venue NAME")
    for name in ("venue", "once", "as_json", "quiet", *VENUE_OPTIONS):
        del options[name]
    return ExchangeConfig(
        speed=parse_speed(options.pop("speed")),
        ping_interval_s=options.pop("ping_interval"),
        ping_timeout_s=options.pop("ping_timeout"),
        **options,
    )


async def _run(prepared: Exchange | VenueExchange, once: bool, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with prepared as exchange:
        click.echo(_ready_json(exchange) if as_json else _ready_text(exchange))
        waiting: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        if once:
            waiting.append(asyncio.create_task(exchange.first_client_done()))
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


def _ready_text(exchange: Exchange | VenueExchange) -> str:
    ca_file = exchange.ca_file
    return f"listening on {exchange.url}" + (f" CA {ca_file}" if ca_file else "")


def _ready_json(exchange: Exchange | VenueExchange) -> str:
    return json.dumps({
        "url": exchange.url,
        "port": exchange.port,
        "ca": str(exchange.ca_file) if exchange.ca_file else None,
        "messages": exchange.messages if isinstance(exchange, Exchange) else None,
        "rx_sha256": exchange.expected_sha256() if isinstance(exchange, Exchange) else None,
    })


def _report(result: SessionResult) -> None:
    click.echo(f"{result.peer} {result.link}: {result.messages} messages, {result.reason}", err=True)
