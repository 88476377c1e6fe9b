"""Histograms exported in HdrHistogram's formats, judged by PyPI's `hdrhistogram`."""
from __future__ import annotations

import random

import pytest
from hdrh.histogram import HdrHistogram

from xdpws._ffi import ffi, lib
from xdpws.hdr import StageHistogram

HIGHEST = (1 << 36) - 1


def made(values: list[int]) -> StageHistogram:
    """As the core records them."""
    raw = ffi.new("struct xw_hist *")
    area_len = int(lib.xw_stages_size(0))
    assert area_len
    for value in values:
        raw.counts[_index(value)] += 1
    raw.count, raw.total = len(values), sum(values)
    raw.min, raw.max = (min(values), max(values)) if values else (0, 0)
    return StageHistogram(raw)


def _index(value: int) -> int:
    low, high = 0, int(lib.XW_HIST_LEN) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if value <= lib.xw_hist_upper(middle) else (middle + 1, high)
    return low


CASES = {
    "one": [1], "zero": [0], "neighbours": list(range(300)), "single gap": [1, 3, 5], "largest": [HIGHEST],
    "spread": [random.Random(7).randrange(1, 10 ** random.Random(i).randrange(1, 10)) for i in range(3000)],
    "many of one": [1234] * 70000 + [10**9],
}


@pytest.mark.parametrize("name", CASES)
def test_their_decoder_reads_what_we_encode(name: str) -> None:
    values = CASES[name]
    ours = made(values)
    theirs = HdrHistogram(1, HIGHEST, 2)
    for value in values:
        assert theirs.record_value(value)
    decoded = HdrHistogram.decode(ours.encode())
    assert decoded.get_total_count() == len(values)
    assert decoded.counts_len == theirs.counts_len == lib.XW_HIST_LEN
    for percent in (0.001, 1, 10, 50, 90, 99, 99.9, 99.99, 100):
        assert decoded.get_value_at_percentile(percent) == theirs.get_value_at_percentile(percent)
    for percent in (1, 50, 90, 99, 99.9, 100):
        assert ours.percentile(percent) == min(theirs.get_value_at_percentile(percent), max(values))


def test_an_empty_one() -> None:
    empty = made([])
    assert HdrHistogram.decode(empty.encode()).get_total_count() == 0
    assert empty.percentile(50) == 0
    assert empty.mean == 0.0
    assert empty.deviation() == 0.0
    assert "Total count    =            0" in empty.percentiles()


def test_text_of_percentiles_has_all_values_and_ends_at_the_largest() -> None:
    histogram = made([1000 * i for i in range(1, 1001)])
    lines = histogram.percentiles().splitlines()
    rows = [line.split() for line in lines[2:] if not line.startswith("#")]
    values, shares, counts = ([float(row[i]) for row in rows] for i in range(3))
    assert values == sorted(values)
    assert shares == sorted(shares)
    assert counts == sorted(counts)
    assert (values[-1], shares[-1], counts[-1]) == (1000.0, 1.0, 1000)
    assert all(count / 1000 >= share for share, count in zip(shares, counts, strict=True))
    median = next(value for value, share in zip(values, shares, strict=True) if share >= 0.5)
    assert 500 <= median <= 505
    assert abs(histogram.mean - 500500) < 1
    assert abs(histogram.deviation() - 288675) < 1500


def test_since_and_plus() -> None:
    before, later = made([500, 600]), made([500, 600, 70000])
    new = later.since(before)
    assert new.count == 1
    assert 69500 <= new.minimum <= 70000 <= new.maximum
    assert before.plus(new).summary() == later.summary() | {"min": 500}
    assert later.since(None).summary() == later.summary()
    assert before.count == 2
