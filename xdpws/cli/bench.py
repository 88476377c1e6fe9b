"""`xdpws bench`: latency and throughput of our clients beside C loops over kernel sockets and the clients on PyPI."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from xdpws.bench import clients, figures, peers, scenario
from xdpws.bench.figures import RATIOS
from xdpws.bench.page import page
from xdpws.bench.runner import VENV, Outcome, Settings, bench, check_host

_QUICK = {"trade": 8000, "burst": 4000, "echo": 5000, "blast": 150000, "flood": 150000, "depth": 2000}
_REPS, _QUICK_REPS = 5, 2


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The object that --json prints."""
    each = figures.ratios(outcome.runs)
    return {
        "ratios": {name: _rounded(figures.median(values)) for name, values in each.items()},
        "ratio_reps": {name: [_rounded(value) for value in values] for name, values in each.items()},
        "targets": {r.name: {"at_least" if r.at_least else "at_most": r.target} for r in RATIOS},
        "facts": outcome.facts,
        "versions": {run.client: run.version for run in outcome.runs if run.version},
        "missing": outcome.missing,
        "refused": [{"client": r.client, "scenario": r.scenario, "rep": r.rep, "why": r.refused}
                    for r in outcome.runs if r.refused],
        "repeated": outcome.repeated,
        "medians": figures.summary(outcome.runs),
        "stages_ns": outcome.stages,
        "runs": [{"client": r.client, "scenario": r.scenario, "rep": r.rep, "fifo": r.fifo} | r.values
                 for r in outcome.runs if not r.refused],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _table(outcome: Outcome, chosen: scenario.Scenario, medians: dict[str, dict[str, float]]) -> Table:
    blast, burst = chosen.mode == scenario.BLAST, chosen.burst > 1
    table = Table(title=f"{chosen.title} (medians of {outcome.facts['reps']})", title_justify="left")
    columns = ["messages/s"] if blast else ["p50 µs", "p90", "p99", "p99.9", *(["first", "last"] if burst else [])]
    for name in ("client", *columns, "CPU µs", "÷ best C spin", "runs"):
        table.add_column(name, justify="left" if name == "client" else "right", no_wrap=True)
    metric = "rate" if blast else "p50"
    keys = ["rate"] if blast else ["p50", "p90", "p99", "p99_9", *(["first_p50", "last_p50"] if burst else [])]
    for name, values in sorted(medians.items(), key=lambda item: (-1 if blast else 1) * item[1].get(metric, 1e18)):
        title = clients.CLIENTS[name].title
        title = f"[bold]{title}[/bold]" if clients.CLIENTS[name].kind == "ours" else title
        if not values["reps"]:
            table.add_row(title, *["refused"] * len(keys), "", "", "0")
            continue
        against = figures.Ratio("", chosen.name, metric, name, clients.CSPIN, 0.0)
        reps = {run.rep for run in outcome.runs}
        each = [figures.ratio_of(against, [r for r in outcome.runs if r.rep == rep]) for rep in sorted(reps)]
        ratio = figures.median([value for value in each if value is not None])
        shown = [f"{values[key]:,.0f}" if blast else f"{values[key] / 1000:.2f}" for key in keys]
        table.add_row(title, *shown, f"{values['cpu_us']:.2f}", f"{ratio:.2f}" if ratio else "–",
                      f"{values['reps']:.0f}")
    return table


def _ratio_table(outcome: Outcome) -> Table:
    table = Table(title="ratios within a repetition", title_justify="left")
    for name in ("ratio", "median", "each", "target", ""):
        table.add_column(name, justify="left" if name in ("ratio", "") else "right", no_wrap=True)
    for ratio, (name, values) in zip(RATIOS, figures.ratios(outcome.runs).items(), strict=True):
        median = figures.median(values)
        good = median is not None and (median >= ratio.target if ratio.at_least else median <= ratio.target)
        table.add_row(name, f"{median:.3f}" if median is not None else "none", " ".join(f"{v:.2f}" for v in values),
                      f"{'≥' if ratio.at_least else '≤'} {ratio.target}",
                      "" if median is None else "[green]met[/green]" if good else "[red]missed[/red]")
    return table


def _stage_table(outcome: Outcome) -> Table:
    table = Table(title="where our own clients spend it, µs at p50 (p99)", title_justify="left")
    table.add_column("stage")
    names = [name for name, stages in outcome.stages.items() if stages]
    for name in names:
        table.add_column(clients.CLIENTS[name].title, justify="right")
    for stage in dict.fromkeys(stage for name in names for stage in outcome.stages[name]):
        cells = [outcome.stages[name].get(stage) for name in names]
        table.add_row(stage.replace("_", " "), *(f"{c['p50'] / 1000:.2f} ({c['p99'] / 1000:.2f})" if c else "–"
                                                 for c in cells))
    return table


def _print(outcome: Outcome, scenarios: list[scenario.Scenario], seconds: float) -> None:
    console = Console(width=None if Console().is_terminal else 140)
    medians = figures.summary(outcome.runs)
    facts = outcome.facts
    for each in scenarios:
        if each.name in medians:
            console.print(_table(outcome, each, medians[each.name]))
    console.print(_ratio_table(outcome))
    if any(outcome.stages.values()):
        console.print(_stage_table(outcome))
    priority = "SCHED_FIFO" if facts["fifo"] else "ordinary priority (SCHED_FIFO is refused or was not wanted)"
    console.print(f"{facts['cpu']}, Linux {facts['kernel']}, {facts['openssl']}, Python {facts['python']}, load "
                  f"{facts['load']} at the start; sender on core {facts['sender_core']}, client on core "
                  f"{facts['client_core']}, both {priority}; {seconds:.0f} s, {outcome.repeated} runs repeated.",
                  highlight=False)
    for name, why in outcome.missing.items():
        console.print(f"missing: {name}: {why}", highlight=False)
    for run in outcome.runs:
        if run.refused:
            console.print(f"not compared: {run.client}, {run.scenario}, repetition {run.rep + 1}: {run.refused}",
                          highlight=False)


@click.command("bench")
@click.option("--json", "json_out", is_flag=True, help="Print one object instead of tables.")
@click.option("--reps", type=click.IntRange(1, 100), help="Repetitions; 5, with --quick 2.")
@click.option("--clients", "client_names", metavar="A,B", help=f"Of: {', '.join(clients.CLIENTS)}.")
@click.option("--scenarios", "scenario_names", metavar="A,B", help=f"Of: {', '.join(scenario.SCENARIOS)}.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report with plots.")
@click.option("--quick", is_flag=True, help="Fewer messages, and only the clients that the ratios need.")
@click.option("--attempts", type=click.IntRange(1, 100), default=6, show_default=True,
              help="How often a run is tried while it is refused.")
@click.option("--fifo/--no-fifo", default=True, show_default=True, help="SCHED_FIFO for sender and client.")
@click.option("--pin/--no-pin", default=True, show_default=True, help="A core for each of sender and client.")
@click.option("--huge-pages", is_flag=True, help="2 MiB pages for the UMEM of our clients (xdpws tune).")
@click.option("--cpu-latency", type=click.IntRange(min=0), metavar="US", help="No idle state that takes longer.")
@click.option("--prefix", default="xwbench", show_default=True,
              help="Of the names of namespaces and interfaces.")
@click.option("--subnet", default="10.199.88", show_default=True, metavar="A.B.C", help="The /24 between them.")
def command(json_out: bool, reps: int | None, client_names: str | None, scenario_names: str | None, html: Path | None,
            quick: bool, attempts: int, fifo: bool, pin: bool, huge_pages: bool, cpu_latency: int | None,
            prefix: str, subnet: str) -> int:
    """Measure xdpws beside C loops over kernel sockets and the WebSocket clients on PyPI.

    A precise sender (C, TLS 1.3, the send time in every message) and the clients run on this host, in two network
    namespaces, each on a core of its own, the clients interleaved over several repetitions. A run in which something
    was lost or the sender was late is repeated, and never compared. Compare ratios, not hosts.
    """
    started = time.monotonic()
    chosen = clients.choose(client_names)
    scenarios = [s.sized(_QUICK[s.name]) if quick else s for s in scenario.choose(scenario_names)]
    check_host()
    if quick and client_names is None:
        wanted = {name for s in scenarios for name in figures.needed(s.name)}
        chosen = [c for c in chosen if c.name in wanted]
    missing = peers.install(VENV, chosen)
    settings = Settings(reps or (_QUICK_REPS if quick else _REPS), prefix, subnet, fifo, attempts, pin,
                        huge_pages, cpu_latency)
    outcome = bench(settings, chosen, scenarios, missing, lambda line: click.echo(line, err=True),
                    only_needed=quick and client_names is None)
    if html is not None:
        html.write_text(page(outcome, scenarios))
    if json_out:
        click.echo(json.dumps(as_json(outcome)))
    else:
        _print(outcome, scenarios, time.monotonic() - started)
    return 0 if not any(run.refused for run in outcome.runs) else 1
