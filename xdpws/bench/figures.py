"""Figures of runs: percentiles, whether a run may be compared, ratios within a repetition. Data in, data out."""
from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdpws.bench.clients import CSPIN
from xdpws.bench.scenario import BLAST, PACED, Scenario

LATE_SHARE = 0.003
"""A run whose sender was late (by more than 100 µs against its own schedule) on more of its ticks is not compared."""
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}
CURVE = (0.0, 1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 100.0)


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The smallest value that at least `percent` of the sorted values do not exceed; 0 when there are none."""
    if not ordered:
        return 0
    return ordered[min(len(ordered), max(1, math.ceil(len(ordered) * percent / 100))) - 1]


@dataclass(slots=True)
class Run:
    """One client in one scenario and repetition. refused: why it must not be compared, "" if it may.

    values: ns (p50, p90, p99, p99_9, min, max; first_p50 and last_p50 of a burst), rate (messages/s), cpu_us (of the
    client, for each message). curve: ns at the percentiles of CURVE.
    """

    client: str
    scenario: str
    rep: int
    values: dict[str, float] = field(default_factory=dict)
    curve: list[int] = field(default_factory=list)
    refused: str = ""
    version: str = ""
    fifo: bool = False
    stages: dict[str, dict[str, int]] = field(default_factory=dict)


def refusal(scenario: Scenario, client: dict[str, Any], sender: dict[str, Any]) -> str:
    """Why the run must not be compared: something was lost or wrong, or the sender was late."""
    if client.get("got") != scenario.warm + scenario.count:
        return f"lost: {client.get('got')} of {scenario.warm + scenario.count} messages came"
    if client.get("bad"):
        return f"{client['bad']} messages were wrong or out of order"
    ticks = sender.get("ticks", 0)
    if scenario.mode == PACED and not ticks:
        return "the sender did not report"
    if scenario.mode == PACED and sender["late"] > LATE_SHARE * ticks:
        return f"the sender was late {sender['late']} times of {ticks}, at most {sender['late_max_ns'] / 1000:.0f} µs"
    return ""


def evaluate(scenario: Scenario, client: dict[str, Any],
             latencies: Sequence[int]) -> tuple[dict[str, float], list[int]]:
    """Values and curve of a run from what the client printed and its latencies (ns, in order of arrival)."""
    values: dict[str, float] = {"cpu_us": 1e6 * client["cpu_seconds"] / client["got"]}
    if scenario.mode == BLAST:
        values["rate"] = scenario.count / client["seconds"] if client["seconds"] > 0 else 0.0
        return values, []
    ordered = sorted(latencies)
    values |= {name: percentile(ordered, percent) for name, percent in PERCENTILES.items()}
    values |= {"min": ordered[0], "max": ordered[-1]}
    if scenario.burst > 1:
        for name, at in (("first", 0), ("last", scenario.burst - 1)):
            values[f"{name}_p50"] = percentile(sorted(latencies[at::scenario.burst]), 50.0)
    return values, [percentile(ordered, percent) for percent in CURVE]


@dataclass(frozen=True, slots=True)
class Ratio:
    """metric of `ours` ÷ metric of the best of `others` (by `best`, the metric that decides which one), in a scenario.

    target: what it should be at most; at least, for rates.
    """

    name: str
    scenario: str
    metric: str
    ours: str
    others: tuple[str, ...]
    target: float
    best: str = "p50"

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.metric == "rate"


RATIOS: tuple[Ratio, ...] = (
    Ratio("p50_xdp_vs_cspin", "trade", "p50", "xdp", CSPIN, 0.60),
    Ratio("p50_xdp_vs_picows_spin", "trade", "p50", "xdp", ("picows_spin",), 0.55),
    Ratio("p50_xdp_vs_picows", "trade", "p50", "xdp", ("picows",), 0.22),
    Ratio("p99_xdp_vs_cspin", "trade", "p99", "xdp", CSPIN, 1.0),
    Ratio("first_of_burst_xdp_vs_cspin", "burst", "first_p50", "xdp", CSPIN, 0.7, "first_p50"),
    Ratio("p50_socket_spin_vs_cspin", "trade", "p50", "socket", CSPIN, 1.05),
    Ratio("p50_socket_epoll_vs_picows", "trade", "p50", "socket_epoll", ("picows",), 0.95),
    Ratio("echo_xdp_vs_cspin", "echo", "p50", "xdp", CSPIN, 0.65),
    Ratio("p50_xdp_poll_vs_cepoll", "trade", "p50", "xdp_poll", ("cepoll",), 0.85),
    Ratio("rate_xdp_vs_cspin_ra", "blast", "rate", "xdp", ("cspin_ra",), 1.0),
    Ratio("rate_socket_vs_cspin_ra", "blast", "rate", "socket", ("cspin_ra",), 1.0),
)


def needed(scenario: str) -> set[str]:
    """The clients that a ratio needs in this scenario."""
    return {name for r in RATIOS if r.scenario == scenario for name in (r.ours, *r.others)}


def ratio_of(ratio: Ratio, runs: Iterable[Run]) -> float | None:
    """The ratio within one repetition; None when a side is missing or was refused."""
    by_name = {run.client: run.values for run in runs if run.scenario == ratio.scenario and not run.refused}
    ours = by_name.get(ratio.ours)
    others = [by_name[name] for name in ratio.others if name in by_name]
    if ours is None or not others:
        return None
    key = ratio.metric if ratio.at_least else ratio.best
    other = (max if ratio.at_least else min)(others, key=lambda values: values[key])
    return ours[ratio.metric] / other[ratio.metric] if other[ratio.metric] else None


def ratios(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Each ratio by name, one value for every repetition that has it."""
    reps = sorted({run.rep for run in runs})
    found = {r.name: [ratio_of(r, [run for run in runs if run.rep == rep]) for rep in reps] for r in RATIOS}
    return {name: [value for value in values if value is not None] for name, values in found.items()}


def median(values: Sequence[float]) -> float | None:
    """The median; None when there is nothing."""
    return statistics.median(values) if values else None


def summary(runs: Sequence[Run]) -> dict[str, dict[str, dict[str, float]]]:
    """scenario → client → value → median over the repetitions that were not refused, `reps` how many they are."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for run in runs:
        table.setdefault(run.scenario, {}).setdefault(run.client, {})
    for scenario, clients in table.items():
        for client in clients:
            good = [r for r in runs if r.scenario == scenario and r.client == client and not r.refused]
            clients[client] = {name: statistics.median(r.values[name] for r in good)
                               for name in (good[0].values if good else {})} | {"reps": len(good)}
    return table


def curves(runs: Sequence[Run], scenario: str) -> dict[str, list[float]]:
    """client → median over repetitions of each point of its latency curve (CURVE)."""
    found: dict[str, list[list[int]]] = {}
    for run in runs:
        if run.scenario == scenario and run.curve and not run.refused:
            found.setdefault(run.client, []).append(run.curve)
    return {client: [statistics.median(points) for points in zip(*each, strict=True)] for client, each in found.items()}
