"""xdpws.timestamps: the histogram against sorted lists."""
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdpws.timestamps import STAGES, Histogram, Stamps

VALUES = st.one_of(st.integers(0, 300), st.integers(0, 1 << 20), st.integers(0, 1 << 62),
                   st.builds(lambda power, near: max(0, (1 << power) + near), st.integers(0, 62), st.integers(-2, 2)))


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


PERCENT = st.one_of(st.floats(0, 100), st.sampled_from([0, 50, 90, 99, 99.9, 100]))


@given(st.lists(VALUES, min_size=1, max_size=300), PERCENT)
def test_percentile_is_at_most_a_64th_too_high(values: list[int], percent: float) -> None:
    histogram = filled(values)
    values.sort()
    exact = values[max(1, math.ceil(len(values) * percent / 100)) - 1]
    got = histogram.percentile(percent)
    assert exact <= got <= exact + exact // 64
    if exact < 128:
        assert got == exact


@given(st.lists(VALUES, min_size=1, max_size=300))
def test_exact_figures_and_order(values: list[int]) -> None:
    histogram = filled(values)
    assert (histogram.count, histogram.total) == (len(values), sum(values))
    assert (histogram.minimum, histogram.maximum) == (min(values), max(values))
    summary = histogram.summary()
    assert list(summary) == ["min", "p50", "p90", "p99", "p99_9", "max"]
    assert list(summary.values()) == sorted(summary.values())
    assert histogram.percentile(100) == max(values)


def test_memory_is_bounded() -> None:
    histogram = Histogram()
    for power in range(63):
        for step in range(256):
            histogram.record((1 << power) + (step << power >> 8))
    assert len(histogram._counts) <= 128 + 57 * 64


def test_empty_and_negative() -> None:
    empty = Histogram()
    assert empty.percentile(50) == 0
    assert set(empty.summary().values()) == {0}
    histogram = filled([-5, 7])
    assert (histogram.minimum, histogram.percentile(50), histogram.maximum) == (0, 0, 7)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 129, 255, 256, (1 << 62) + 1])
def test_a_single_value_is_exact(value: int) -> None:
    assert set(filled([value]).summary().values()) == {value}


def test_stamps_have_the_stages_and_nothing_made_up() -> None:
    stamps = Stamps()
    assert all(getattr(stamps, stage) is None for stage in STAGES)
    with pytest.raises(AttributeError):
        stamps.user = 1  # type: ignore[misc]
