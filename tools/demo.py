"""The demo: a topology of two namespaces, the exchange simulator, and a feed received over AF_XDP and over a socket.

`make demo` plays the synthetic feed, `make demo FEED=path` a recorded one. For each transport the feed is played once
as fast as the client takes it and compared by its hash; then stamped messages at a steady rate give the one-way latency
(recorded payloads are never changed, so they cannot carry a send time).
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
XDPWS = ROOT / ".venv" / "bin" / "xdpws"
TOPO = ROOT / "vm" / "topo.sh"
PREFIX, SUBNET = "xwdemo", "10.199.77"
RATE, STAMPED = 5000, 20000
console = Console(width=None if sys.stdout.isatty() else 120)


def topo(*args: str) -> list[str]:
    """A command line of topo.sh for the demo's own topology."""
    return [str(TOPO), "--prefix", PREFIX, "--subnet", SUBNET, *args]


@contextmanager
def simulator(*args: str) -> Iterator[dict[str, Any]]:
    """`xdpws sim` on the server's side; gives its ready line."""
    command = topo("exec", "srv", str(XDPWS), "sim", *args, "--listen", f"{SUBNET}.1:0", "--json", "--quiet")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"demo: the simulator did not start: {' '.join(command)}")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(10)


def receive(ready: dict[str, Any], transport: str) -> dict[str, Any]:
    """One run of `xdpws attach`; its report."""
    command = topo("exec", "cli", str(XDPWS), "attach", f"{PREFIX}-v1", ready["url"], "--transport", transport,
                   "--ca", ready["ca"], "--json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(f"demo: {' '.join(command)}\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def row(transport: str, feed: dict[str, Any], ready: dict[str, Any], stamped: dict[str, Any]) -> list[str]:
    """One line of the closing table."""
    missing = ready["messages"] - feed["messages"]
    equal = feed["rx_sha256"] == ready["rx_sha256"]
    mode = f"{feed['xdp_mode']}, {'zero-copy' if feed['zero_copy'] else 'copy'}" if transport == "xdp" else "kernel TCP"
    oneway, inside = stamped["oneway_ns"], stamped["latency_ns"]

    def us(values: dict[str, int]) -> str:
        return f"{values['p50'] / 1000:.1f} / {values['p99'] / 1000:.1f}"

    rate = feed["messages"] / feed["seconds"] if feed["seconds"] else 0
    return [feed["transport"], mode, f"{feed['messages']:,}", str(missing),
            "[green]equal[/green]" if equal else "[red]DIFFERENT[/red]", f"{rate:,.0f}", us(oneway), us(inside)]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--feed", default="")
    feed = parser.parse_args().feed or "synthetic"
    if os.geteuid() != 0:
        print("demo: it makes network namespaces, so it needs root; try: sudo make demo", file=sys.stderr)
        return 1
    started = time.monotonic()
    subprocess.run(topo("up"), check=True, stdout=subprocess.DEVNULL)
    table = Table(title=f"{feed} over wss:// (TLS), from {PREFIX}-srv to {PREFIX}-cli", title_justify="left")
    for name in ("transport", "mode", "messages", "missing", "hash", "messages/s", "one-way µs\np50 / p99",
                 "ring → user µs\np50 / p99"):
        table.add_column(name, justify="left" if name in ("transport", "mode", "hash") else "right", no_wrap=True)
    good = True
    try:
        for transport in ("xdp", "socket"):
            console.print(f"[bold]{transport}[/bold]: the feed, as fast as the client takes it …")
            with simulator(feed, "--speed", "max") as ready:
                report = receive(ready, transport)
            console.print(f"  {report['messages']:,} messages in {report['seconds']:.2f} s; "
                          f"{report['transport_reason']}")
            console.print(f"  stamped messages, {RATE} a second …")
            with simulator("synthetic", "--stamp", "--count", str(STAMPED), "--rate", str(RATE)) as stamped_ready:
                stamped = receive(stamped_ready, transport)
            good &= report["rx_sha256"] == ready["rx_sha256"] and report["messages"] == ready["messages"]
            good &= stamped["messages"] == STAMPED and report["transport"] == transport
            table.add_row(*row(transport, report, ready, stamped))
    finally:
        subprocess.run(topo("down"), check=False, stdout=subprocess.DEVNULL)
    console.print(table)
    console.print(f"{time.monotonic() - started:.0f} s. One-way: from the send time in the message to the callback, "
                  "the simulator's own Python and encryption included.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
