"""`xdpws top`: how long the messages of running clients take from stage to stage, live."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from xdpws.errors import SetupError
from xdpws.hdr import StageHistogram
from xdpws.stack.stages import STAGES, StageArea, StageReport, areas


class Watched:
    """One engine of another process, and what it had told when it was last looked at."""

    def __init__(self, path: Path) -> None:
        self.area = StageArea.open(path)
        self._before: dict[int, StageReport] = {}
        self._at = time.monotonic()

    def look(self, total: bool) -> list[dict[str, Any]]:
        """Each connection: rate, and its stages since the last look (`total`: since it began)."""
        now, found = time.monotonic(), []
        took = max(now - self._at, 1e-6)
        reports = self.area.read()
        for report in reports:
            before = None if total else self._before.get(report.ident)
            base = self._before.get(report.ident)
            seconds = took if base else max((time.monotonic_ns() - report.began_ns) / 1e9, 1e-6)
            rate = (report.messages - (base.messages if base else 0)) / seconds
            found.append({
                "pid": self.area.pid, "url": report.name, "open": report.live, "messages": report.messages,
                "bytes": report.bytes, "rate": rate,
                "stages": {name: _since(h, before, name) for name, h in report.stages.items()}})
        self._before, self._at = {r.ident: r for r in reports}, now
        return found


def _since(histogram: StageHistogram, before: StageReport | None, name: str) -> StageHistogram:
    return histogram.since(before.stages.get(name)) if before else histogram


def table(connection: dict[str, Any]) -> Table:
    """One connection for people; times in microseconds."""
    state = "" if connection["open"] else ", closed"
    result = Table(title=f"{connection['url']} (pid {connection['pid']}{state}): {connection['messages']:,} messages, "
                         f"{connection['rate']:,.0f}/s", title_justify="left")
    for name in ("stage, µs", "p50", "p90", "p99", "p99.9", "max", "count"):
        result.add_column(name, justify="left" if name.startswith("stage") else "right", no_wrap=True)
    for name in STAGES:
        histogram = connection["stages"].get(name)
        if histogram is None or not histogram.count:
            continue
        s = histogram.summary()
        cells = [f"{s[key] / 1000:.2f}" for key in ("p50", "p90", "p99", "p99_9", "max")]
        result.add_row(name.replace("_", " "), *cells, f"{s['count']:,}")
    return result


def as_json(connection: dict[str, Any]) -> dict[str, Any]:
    """One connection for --json: ns, and each histogram in HdrHistogram's V2 compressed encoding."""
    stages = {name: h.summary() | {"negative": h.negative, "hdr": h.encode()}
              for name, h in connection["stages"].items()}
    return connection | {"rate": round(connection["rate"], 3), "stages": stages}


def _watched(pid: int | None, known: dict[Path, Watched]) -> dict[Path, Watched]:
    """The engines that there are now; those that ended are given back."""
    there = areas(pid)
    for path in set(known) - set(there):
        known.pop(path).area.close()
    for path in there:
        if path not in known:
            try:
                known[path] = Watched(path)
            except SetupError:
                if pid is not None:
                    raise
    return known


@click.command()
@click.argument("pid", type=click.IntRange(min=1), required=False)
@click.option("--interval", type=click.FloatRange(min=0.05), default=1.0, show_default=True, help="Seconds.")
@click.option("--total", is_flag=True, help="Since each connection began, not since the last look.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many looks.")
@click.option("--once", is_flag=True, help="As --total --count 1.")
@click.option("--json", "json_out", is_flag=True,
              help="One JSON object a look on stdout, with the histograms in HdrHistogram's encoding.")
def top(pid: int | None, interval: float, total: bool, count: int | None, once: bool, json_out: bool) -> int:
    """Show the stages of messages of every client of this user that records them (or of PID), live.

    `xdpws attach` and `connect` record; a program does with EngineConfig(stamps="histogram"). Nothing of the client is
    stopped or slowed: it writes into shared memory, and this command reads.
    """
    count, total = (1, True) if once else (count, total)
    console = Console()
    known = _watched(pid, {})
    if not known:
        cause = f"process {pid} records no histograms" if pid else "no client of this user records histograms"
        raise SetupError("find a client to look at", cause,
                         'xdpws attach IFACE URL, or EngineConfig(stamps="histogram")')
    live = not json_out and count is None
    with Live(console=console, auto_refresh=False) if live else _Plain(console) as view:
        looks = 0
        while known:
            found = [connection for watched in known.values() for connection in watched.look(total)]
            if json_out:
                click.echo(json.dumps({"connections": [as_json(each) for each in found]}))
            else:
                view.update(Group(*(table(each) for each in found)), refresh=True)
            looks += 1
            if looks == count:
                return 0
            try:
                time.sleep(interval)
            except KeyboardInterrupt:
                return 0
            known = _watched(pid, known)
    return 0


class _Plain:
    """As rich's Live, for output that is kept."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, what: Group, refresh: bool = True) -> None:
        self._console.print(what)
