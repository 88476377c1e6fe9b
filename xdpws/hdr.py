"""`StageHistogram`: a snapshot of one histogram, and its export in the formats of HdrHistogram.

`encode()` is the V2 compressed encoding in base64, which the tools and libraries of HdrHistogram read
(`hdrh.histogram.HdrHistogram.decode`); `percentiles()` is their plain text of percentiles.
"""
from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from xdpws._ffi import ffi, lib

_DIGITS = 2
_HIGHEST = (1 << 36) - 1
# HdrHistogram, "V2 encoding" and "V2 compressed encoding": base cookies with the word size of the counts in bits 4 to
# 7, which is 1 for ZigZag LEB128.
_COOKIE_V2 = 0x1C849303 | 0x10
_COOKIE_V2_COMPRESSED = 0x1C849304 | 0x10


def _zigzag(value: int, out: bytearray) -> None:
    """ZigZag LEB128-64b9B: seven bits a byte, the ninth byte has eight."""
    rest = (value << 1) ^ (value >> 63)
    for _ in range(8):
        if rest < 0x80:
            break
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest & 0xFF)


class StageHistogram:
    """Nanoseconds. Made from a `struct xw_hist *` that nobody writes any more."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    @property
    def count(self) -> int:
        """How many values."""
        return int(self._raw.count)

    @property
    def minimum(self) -> int:
        """The smallest; exact."""
        return int(self._raw.min)

    @property
    def maximum(self) -> int:
        """The largest; exact."""
        return int(self._raw.max)

    @property
    def mean(self) -> float:
        """Exact; 0.0 when empty."""
        return self._raw.total / self._raw.count if self._raw.count else 0.0

    @property
    def clamped(self) -> int:
        """Values above 68.7 s."""
        return int(self._raw.clamped)

    @property
    def negative(self) -> int:
        """Values below 0, counted as 0: two clocks that disagree by more than the stage takes."""
        return int(self._raw.negative)

    def percentile(self, percent: float) -> int:
        """The value that `percent` (0 to 100) of the values do not exceed, at most 0.8 % too high; 0 when empty."""
        return int(lib.xw_hist_percentile(self._raw, percent))

    def summary(self) -> dict[str, int]:
        """min, p50, p90, p99, p99_9, max and count."""
        return {"min": self.minimum, "p50": self.percentile(50), "p90": self.percentile(90),
                "p99": self.percentile(99), "p99_9": self.percentile(99.9), "max": self.maximum, "count": self.count}

    def since(self, before: StageHistogram | None) -> StageHistogram:
        """What came after `before`, an earlier snapshot of the same histogram."""
        raw = ffi.new("struct xw_hist *", self._raw[0])
        if before is not None:
            lib.xw_hist_since(raw, before._raw)
        return StageHistogram(raw)

    def plus(self, other: StageHistogram) -> StageHistogram:
        """Both together."""
        raw = ffi.new("struct xw_hist *", self._raw[0])
        lib.xw_hist_add(raw, other._raw)
        return StageHistogram(raw)

    def _counts(self) -> list[int]:
        counts = ffi.unpack(self._raw.counts, lib.XW_HIST_LEN)
        while counts and not counts[-1]:
            counts.pop()
        return list(counts)

    def encode(self) -> str:
        """The V2 compressed encoding in base64."""
        payload, zeros = bytearray(), 0
        for count in self._counts():
            if not count:
                zeros += 1
                continue
            if zeros:
                _zigzag(-zeros if zeros > 1 else 0, payload)
                zeros = 0
            _zigzag(count, payload)
        head = struct.pack(">iiiiqqd", _COOKIE_V2, len(payload), 0, _DIGITS, 1, _HIGHEST, 1.0)
        packed = zlib.compress(head + bytes(payload))
        return base64.b64encode(struct.pack(">ii", _COOKIE_V2_COMPRESSED, len(packed)) + packed).decode()

    def percentiles(self, ticks: int = 5, unit: float = 1000.0) -> str:
        """HdrHistogram's plain text: value in `unit` ns (1000: microseconds), percentile, how many up to there, and
        1/(1-percentile); `ticks` lines for each halving of the distance to 100 %."""
        lines = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""]
        counts, total, seen, at = self._counts(), self.count, 0, 0.0
        for i, count in enumerate(counts):
            seen += count
            share = 100.0 * seen / total if total else 0.0
            while count and at <= share:
                value = min(int(lib.xw_hist_upper(i)), self.maximum) / unit
                if seen >= total:
                    lines.append(f"{value:12.3f} {1:2.12f} {seen:10d}")
                    break
                lines.append(f"{value:12.3f} {at / 100:2.12f} {seen:10d} {1 / (1 - at / 100):14.2f}")
                at += 100.0 / (ticks * 2 ** (_halvings(at) + 1))
        lines += [f"#[Mean    = {self.mean / unit:12.3f}, StdDeviation   = {self.deviation() / unit:12.3f}]",
                  f"#[Max     = {self.maximum / unit:12.3f}, Total count    = {total:12d}]",
                  f"#[Buckets = {29:12d}, SubBuckets     = {256:12d}]"]
        return "\n".join(lines) + "\n"

    def deviation(self) -> float:
        """Standard deviation, of the middles of the buckets."""
        if not self.count:
            return 0.0
        mean, total = self.mean, 0.0
        for i, count in enumerate(self._counts()):
            if count:
                lower = int(lib.xw_hist_upper(i - 1)) + 1 if i else 0
                total += count * ((lower + int(lib.xw_hist_upper(i))) / 2 - mean) ** 2
        return float((total / self.count) ** 0.5)


def _halvings(percent: float) -> int:
    """How often the distance to 100 % was halved."""
    halvings, left = 0, 100.0 - percent
    while left <= 50.0 and halvings < 60:
        left *= 2
        halvings += 1
    return halvings
