"""What the bench makes of its runs: percentiles, refusals, ratios within a repetition; no process is started."""
from __future__ import annotations

from typing import Any

import pytest

from xdpws.bench import clients, figures, scenario
from xdpws.bench.figures import RATIOS, Run, evaluate, percentile, ratios, refusal
from xdpws.bench.scenario import SCENARIOS, Scenario
from xdpws.errors import UsageError

PACED = Scenario("t", "t", "paced", 10, 90, 1000)
BURST = Scenario("b", "b", "paced", 0, 6, 1000, 3)


def said(**other: Any) -> dict[str, Any]:
    return {"got": 100, "bad": 0, "seconds": 0.5, "cpu_seconds": 0.001, **other}


def sender(late: int, ticks: int = 1000) -> dict[str, Any]:
    return {"ticks": ticks, "late": late, "late_max_ns": 250_000}


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.9, 100)])
def test_percentile_is_the_nearest_rank(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_percentile_of_nothing_and_of_one() -> None:
    assert percentile([], 50) == 0
    assert percentile([7], 99.9) == 7


def test_a_run_is_refused_when_messages_are_lost_or_wrong() -> None:
    assert refusal(PACED, said(), sender(0)) == ""
    assert "99 of 100" in refusal(PACED, said(got=99), sender(0))
    assert "out of order" in refusal(PACED, said(bad=1), sender(0))


def test_a_run_is_refused_when_the_sender_was_late_on_too_many_ticks() -> None:
    assert refusal(PACED, said(), sender(3)) == ""
    assert refusal(PACED, said(), sender(4)) == "the sender was late 4 times of 1000, at most 250 µs"
    assert "did not report" in refusal(PACED, said(), {})
    blast = Scenario("x", "x", "blast", 10, 90)
    assert refusal(blast, said(), {}) == ""  # it has no schedule to be late against


def test_values_of_a_burst_tell_the_first_from_the_last() -> None:
    values, curve = evaluate(BURST, said(got=6, cpu_seconds=6e-6), [10, 20, 30, 12, 22, 32])
    assert (values["first_p50"], values["last_p50"], values["min"], values["max"]) == (10, 30, 10, 32)
    assert values["cpu_us"] == pytest.approx(1.0)
    assert (curve[0], curve[-1]) == (10, 32)
    assert len(curve) == len(figures.CURVE)


def test_the_rate_of_a_blast() -> None:
    values, curve = evaluate(Scenario("x", "x", "blast", 10, 1000), said(seconds=0.25), [])
    assert values["rate"] == 4000
    assert curve == []


def paced(client: str, rep: int, p50: float, p99: float = 0, **other: Any) -> Run:
    return Run(client, "trade", rep, {"p50": p50, "p99": p99 or 2 * p50}, **other)


def test_ratios_are_taken_within_a_repetition_against_the_best_loop() -> None:
    runs = [paced("xdp", 0, 6), paced("cspin", 0, 12), paced("cspin_ra", 0, 10),
            paced("xdp", 1, 60), paced("cspin", 1, 80), paced("cspin_ra", 1, 100)]
    found = ratios(runs)
    assert found["p50_xdp_vs_cspin"] == [0.6, 0.75]
    assert found["p50_xdp_vs_picows"] == []
    assert figures.median(found["p50_xdp_vs_cspin"]) == pytest.approx(0.675)
    assert figures.median([]) is None


def test_the_p99_is_that_of_the_loop_with_the_best_p50() -> None:
    runs = [paced("xdp", 0, 6, 20), paced("cspin", 0, 12, 10), paced("cspin_ra", 0, 10, 40)]
    assert ratios(runs)["p99_xdp_vs_cspin"] == [0.5]


def test_refused_runs_are_in_no_ratio_and_no_median() -> None:
    runs = [paced("xdp", 0, 6), Run("cspin", "trade", 0, {"p50": 1, "p99": 1}, refused="late"), paced("xdp", 1, 5),
            paced("cspin", 1, 10)]
    assert ratios(runs)["p50_xdp_vs_cspin"] == [0.5]
    table = figures.summary(runs)["trade"]
    assert table["cspin"] == {"p50": 10, "p99": 20, "reps": 1}
    assert table["xdp"]["p50"] == 5.5


def test_rates_are_better_when_they_are_higher() -> None:
    runs = [Run("xdp", "blast", 0, {"rate": 300.0}), Run("cspin_ra", "blast", 0, {"rate": 200.0})]
    assert ratios(runs)["rate_xdp_vs_cspin_ra"] == [1.5]
    assert {r.name for r in RATIOS if r.at_least} == {"rate_xdp_vs_cspin_ra", "rate_socket_vs_cspin_ra"}


def test_every_ratio_names_clients_and_scenarios_that_there_are() -> None:
    for ratio in RATIOS:
        assert ratio.scenario in SCENARIOS
        assert {ratio.ours, *ratio.others} <= set(clients.CLIENTS)


def test_names_that_there_are_not_are_told() -> None:
    with pytest.raises(UsageError, match="no such scenario: nothing"):
        scenario.choose("trade,nothing")
    with pytest.raises(UsageError, match="no such client: curl"):
        clients.choose("curl")


def test_paced_runs_end_before_the_kernel_takes_the_core() -> None:
    for each in SCENARIOS.values():
        if each.mode == scenario.PACED:
            assert (each.warm + each.count) / each.rate < 0.95
            assert each.warm % each.burst == 0
            assert each.sized(1001).count % each.burst == 0
