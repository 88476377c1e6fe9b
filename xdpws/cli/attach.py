"""`xdpws attach IFACE URL…`: receive over AF_XDP on an interface until the end, and say how it went."""
from __future__ import annotations

import json
import sys
import time
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from xdpws.cli.options import process_from, process_options, tls_from, tls_options, xdp_from, xdp_options
from xdpws.cli.receive import Receiver
from xdpws.control.tune_process import process_plan
from xdpws.errors import XdpwsError


@click.command()
@click.argument("interface", metavar="IFACE")
@click.argument("urls", metavar="URL…", nargs=-1, required=True)
@click.option("--transport", type=click.Choice(["auto", "xdp", "socket"]), default="auto", show_default=True,
              help="auto takes xdp where it works and says so when it does not.")
@xdp_options
@tls_options
@process_options
@click.option("--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("--wait", is_flag=True, help="Wait in poll() instead of spinning on the rings.")
@click.option("--record", metavar="FILE", help="Write the frames of both directions, and the TLS secrets, as pcapng.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end, nothing else there.")
def attach(interface: str, urls: tuple[str, ...], transport: Any, ca: str | None, insecure: bool,
           tls_version: str | None, tls_engine: Any, keylog: str | None, count: int | None, seconds: float | None,
           wait: bool, record: str | None, as_json: bool, **xdp_values: Any) -> int:
    """Attach to IFACE, connect to each URL and receive until the end, Ctrl-C, N messages or S seconds.

    The steering program leaves the interface with this process, however it ends. Everything that is not of these
    connections goes on to the kernel as before.

    Exit code: 0 received and ended in order, 1 the environment or a peer did not allow it, 2 wrong usage.
    """
    process = process_plan(process_from(xdp_values))
    receiver = Receiver(urls, transport=transport, xdp=xdp_from(interface, not wait, xdp_values | {"record": record}),
                        tls=tls_from(ca, insecure, tls_version, keylog, tls_engine), count=count, busy_poll=not wait)
    try:
        process.apply()
        _show(receiver, seconds, live=not as_json and sys.stderr.isatty())
    except XdpwsError as error:
        if as_json:
            click.echo(json.dumps({"error": str(error)}))
        raise
    finally:
        process.undo()
    return finish(receiver, as_json)


def finish(receiver: Receiver, as_json: bool) -> int:
    """Print the report and give the exit code."""
    error = receiver.error()
    report = receiver.report()
    if as_json:
        click.echo(json.dumps(report))
    else:
        for each in report.get("connections", [report]):
            Console().print(summary(each))
    if error is not None:
        if isinstance(error, XdpwsError):
            raise error
        click.echo(f"xdpws: {error}", err=True)
        return 1
    return 0


def _show(receiver: Receiver, seconds: float | None, live: bool) -> None:
    if not live:
        receiver.run(seconds)
        return
    last = [time.monotonic(), 0]
    with Live("connecting", console=Console(stderr=True), refresh_per_second=4, transient=True) as view:
        def tick() -> None:
            now, seen = time.monotonic(), receiver.messages
            rate = (seen - last[1]) / max(now - last[0], 1e-6)
            last[:] = [now, seen]
            latency = receiver.tallies[0].latency
            drops = sum(receiver.client.runtime.engine.drops().values())
            view.update(f"{seen:,} messages  {rate:,.0f}/s  ring to user p50 {latency.percentile(50) / 1000:.1f} µs "
                        f"p99 {latency.percentile(99) / 1000:.1f} µs  drops {drops}")
        receiver.run(seconds, tick)


def summary(report: dict[str, Any]) -> Table:
    """The report of one connection for people."""
    table = Table(title=report["url"], show_header=False, title_justify="left")
    latency = report["latency_ns"]
    rows = {
        "transport": f"{report['transport']} ({report['transport_reason']})",
        "mode": " ".join(str(v) for v in (report["xdp_mode"], report["loader"],
                                          "zero-copy" if report["zero_copy"] else "copy") if v)
                if report["transport"] == "xdp" else "",
        "TLS": "{:.1f} {cipher}, records by {engine} ({library})".format(report["tls"]["version"] / 10, **report["tls"])
               if report["tls"]["version"] else "none",
        "messages": f"{report['messages']:,} ({report['bytes']:,} bytes in {report['seconds']:.3f} s)",
        "SHA-256": report["rx_sha256"],
        "closed with": report["close_code"] if report["close_code"] is not None else "by us",
        "ring → user": f"p50 {latency['p50'] / 1000:.1f} µs, p99 {latency['p99'] / 1000:.1f} µs, "
                       f"max {latency['max'] / 1000:.1f} µs",
        "capture": f"{report['capture_lost']} frames missing" if report.get("capture_lost") else "",
        "drops": ", ".join(f"{k} {v}" for k, v in report["drops"].items()) or "none",
        "error": report["error"] or "",
    }
    for name, value in rows.items():
        if value != "":
            table.add_row(name, str(value))
    return table
