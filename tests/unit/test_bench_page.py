"""The bench's HTML report: whole, self-contained, escaped."""
from __future__ import annotations

from html.parser import HTMLParser

from xdpws.bench.figures import CURVE, Run
from xdpws.bench.page import page
from xdpws.bench.runner import Outcome
from xdpws.bench.scenario import SCENARIOS

VOID = {"meta", "line", "polyline", "rect"}


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_report_is_whole_and_loads_nothing() -> None:
    curve = [5000 + 100 * i for i in range(len(CURVE))]
    values = {"p50": 6000.0, "p90": 7000.0, "p99": 8000.0, "p99_9": 9000.0, "cpu_us": 1.5}
    outcome = Outcome(
        runs=[Run("xdp", "trade", 0, values, curve), Run("cspin", "trade", 0, dict(values, p50=9000.0), curve),
              Run("picows", "trade", 0, refused="<late>")],
        missing={"aiohttp": "aiohttp cannot be installed: no network"},
        stages={"xdp": {"decrypt": {"p50": 1200, "p99": 3000}, "parse": {"p50": 300, "p99": 400}}},
        facts={"kernel": "6.1", "reps": 1})
    text = page(outcome, [SCENARIOS["trade"]])
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert parser.links == []
    assert parser.seen.count("svg") == 2
    assert parser.seen.count("polyline") == 2
    assert "0.667" in text  # 6 ÷ 9
    assert "&lt;late&gt;" in text
    assert "<late>" not in text
    assert "no network" in text
