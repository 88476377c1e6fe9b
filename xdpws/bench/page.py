"""The HTML report: one file, plots as inline SVG, nothing loaded from anywhere."""
from __future__ import annotations

import html
import math
from collections.abc import Sequence

from xdpws.bench import figures
from xdpws.bench.clients import CLIENTS
from xdpws.bench.figures import CURVE, RATIOS
from xdpws.bench.runner import Outcome
from xdpws.bench.scenario import BLAST, Scenario

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf", "#bcbd22",
            "#7f7f7f", "#393b79", "#ad494a", "#637939", "#ce6dbd")
_STAGE_COLOURS = ("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 860, 380, 60, 40, 10
_PLOT = _WIDTH - _LEFT - 230
_STYLE = """body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.7em 0 1.6em}
th,td{padding:.15em .7em;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}.ours{font-weight:600}.met{color:#1a7f37}.missed{color:#b42318}
svg{display:block;margin:.5em 0 1.6em}svg text{font:12px system-ui,sans-serif;fill:#333}h2{margin-top:2em}"""


def _escape(text: object) -> str:
    return html.escape(str(text))


def table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table; each row is (its class, its cells)."""
    lines = ["<table><tr>" + "".join(f"<th>{_escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += [f'<tr class="{_escape(kind)}">' + "".join(f"<td>{_escape(cell)}</td>" for cell in cells) + "</tr>"
              for kind, cells in rows]
    return "\n".join([*lines, "</table>"])


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_escape(text)}</text>'


def distribution(curves: dict[str, list[float]]) -> str:
    """Share of the messages (down) that arrived within a time (right, logarithmic), one line a client. Times in ns."""
    if not curves:
        return ""
    low = math.log10(max(1.0, min(min(curve) for curve in curves.values())))
    high = max(low + 0.3, math.log10(max(curve[-2] for curve in curves.values())))

    def x(ns: float) -> float:
        return _LEFT + _PLOT * min(1.0, max(0.0, (math.log10(max(ns, 1.0)) - low) / (high - low)))

    def y(percent: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * percent / 100

    parts = [f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="latency distribution">']
    for percent in (0, 25, 50, 75, 90, 100):
        parts += [_line(_LEFT, y(percent), _LEFT + _PLOT, y(percent), "#ddd"), _text(_LEFT - 6, y(percent) + 4,
                                                                                    f"{percent} %", "end")]
    for power in range(math.floor(low), math.ceil(high) + 1):
        for digit in (1, 2, 5):
            ns = digit * 10.0 ** power
            if low <= math.log10(ns) <= high:
                parts += [_line(x(ns), _TOP, x(ns), _HEIGHT - _BOTTOM, "#eee"),
                          _text(x(ns), _HEIGHT - _BOTTOM + 16, f"{ns / 1000:g}", "middle")]
    parts.append(_text(_LEFT + _PLOT / 2, _HEIGHT - 6, "µs (logarithmic)", "middle"))
    ordered = sorted(curves.items(), key=lambda item: item[1][CURVE.index(50.0)])
    for number, (name, curve) in enumerate(ordered):
        colour = _COLOURS[number % len(_COLOURS)]
        width = 2.5 if CLIENTS[name].kind == "ours" else 1.3
        points = " ".join(f"{x(ns):.1f},{y(percent):.1f}" for percent, ns in zip(CURVE, curve, strict=True))
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{points}"/>')
        row = _TOP + 14 + 18 * number
        parts += [_line(_LEFT + _PLOT + 12, row - 4, _LEFT + _PLOT + 30, row - 4, colour),
                  _text(_LEFT + _PLOT + 36, row, CLIENTS[name].title)]
    return "\n".join([*parts, "</svg>"])


def breakdown(stages: dict[str, dict[str, dict[str, int]]]) -> str:
    """The stages of our own clients at p50, as bars on one scale. Times in ns."""
    bars = {name: each for name, each in stages.items() if each}
    if not bars:
        return ""
    kinds = list(dict.fromkeys(stage for each in bars.values() for stage in each))
    longest = max(sum(s["p50"] for s in each.values()) for each in bars.values()) or 1
    height = 34 * len(bars) + 30 + 18 * len(kinds)
    parts = [f'<svg width="{_WIDTH}" height="{height}" role="img" aria-label="stages">']
    for row, (name, each) in enumerate(bars.items()):
        at, top = 200.0, 10 + 34 * row
        parts.append(_text(190, top + 16, CLIENTS[name].title, "end"))
        for stage, values in each.items():
            width = (_WIDTH - 290) * values["p50"] / longest
            colour = _STAGE_COLOURS[kinds.index(stage) % len(_STAGE_COLOURS)]
            parts.append(f'<rect x="{at:.1f}" y="{top}" width="{width:.1f}" height="22" fill="{colour}">'
                         f"<title>{_escape(stage)}: {values['p50'] / 1000:.2f} µs</title></rect>")
            at += width
        parts.append(_text(at + 6, top + 16, f"{sum(s['p50'] for s in each.values()) / 1000:.1f} µs"))
    for row, stage in enumerate(kinds):
        top = 34 * len(bars) + 20 + 18 * row
        colour = _STAGE_COLOURS[row % len(_STAGE_COLOURS)]
        parts += [f'<rect x="200" y="{top}" width="12" height="12" fill="{colour}"/>',
                  _text(218, top + 11, stage.replace("_", " "))]
    return "\n".join([*parts, "</svg>"])


def _scenario(outcome: Outcome, scenario: Scenario, medians: dict[str, dict[str, float]]) -> str:
    blast = scenario.mode == BLAST
    keys = ["rate"] if blast else [k for k in ("p50", "p90", "p99", "p99_9", "first_p50", "last_p50")
                                   if any(k in values for values in medians.values())]
    rows = []
    for name, values in sorted(medians.items(), key=lambda item: -item[1].get("rate", -item[1].get("p50", 1e18))):
        cells = [(f"{values[k]:,.0f}" if blast else f"{values[k] / 1000:.2f}") if k in values else "–" for k in keys]
        rows.append((CLIENTS[name].kind, [CLIENTS[name].title, *cells, f"{values['cpu_us']:.2f}" if "cpu_us" in values
                                          else "–", f"{values['reps']:.0f}"]))
    head = ["client", *(["messages/s"] if blast else [f"{k.replace('_', ' ')} µs" for k in keys]), "CPU µs", "runs"]
    return (f"<h2>{_escape(scenario.title)}</h2>\n{table(head, rows)}\n"
            f"{distribution(figures.curves(outcome.runs, scenario.name))}")


def _ratios(outcome: Outcome) -> str:
    rows = []
    for ratio, (name, values) in zip(RATIOS, figures.ratios(outcome.runs).items(), strict=True):
        median = figures.median(values)
        met = median is not None and (median >= ratio.target if ratio.at_least else median <= ratio.target)
        rows.append(("" if median is None else "met" if met else "missed", [
            name, "none" if median is None else f"{median:.3f}", " ".join(f"{v:.2f}" for v in values),
            f"{'≥' if ratio.at_least else '≤'} {ratio.target}"]))
    return "<h2>Ratios within a repetition</h2>\n" + table(["ratio", "median", "each", "target"], rows)


def page(outcome: Outcome, scenarios: Sequence[Scenario]) -> str:
    """The whole report."""
    medians = figures.summary(outcome.runs)
    facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in outcome.facts.items())
    notes = [f"missing: {name}: {why}" for name, why in outcome.missing.items()]
    notes += [f"not compared: {r.client}, {r.scenario}, repetition {r.rep + 1}: {r.refused}" for r in outcome.runs
              if r.refused]
    body = [_ratios(outcome), *(_scenario(outcome, s, medians[s.name]) for s in scenarios if s.name in medians)]
    if any(outcome.stages.values()):
        body.append("<h2>Where our own clients spend it (p50 of each stage)</h2>\n" + breakdown(outcome.stages))
    body += [f"<p>{_escape(note)}</p>" for note in notes]
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>xdpws bench</title>'
            f"<style>{_STYLE}</style></head>\n<body><h1>xdpws bench</h1>\n<p>{_escape(facts)}</p>\n"
            + "\n".join(body) + "\n</body></html>\n")
