"""Timestamps of a message's way up, and the histogram that sums them.

All times are nanoseconds of CLOCK_MONOTONIC, the clock of `time.monotonic_ns()` (docs/stamps.md). `nic` is converted
from the NIC's clock over xdp, and None where the two clocks cannot be compared; over a socket it is as that clock shows
it. A stage that was not measured is None; nothing is ever made up.
"""
from __future__ import annotations

import math
from typing import NamedTuple

STAGES = ("nic", "kernel", "ring", "decrypt_begin", "decrypt_end", "parsed", "first", "user")


class Stamps(NamedTuple):
    """When a message passed each stage, ns.

    nic: hardware time of arrival of the packet that completed the message. kernel: in the XDP program, or the kernel's
    receive time over a socket. ring: taken from the AF_XDP ring, or recv() returned. decrypt_begin, decrypt_end: of its
    last TLS record. parsed: the frame was complete. first: `kernel` (else `ring`) of the message's first packet. user:
    handed to the callback.
    """

    nic: int | None = None
    kernel: int | None = None
    ring: int | None = None
    decrypt_begin: int | None = None
    decrypt_end: int | None = None
    parsed: int | None = None
    first: int | None = None
    user: int | None = None


class Histogram:
    """Counts of non-negative integers in buckets of at most 1/64 relative width: bounded memory, whatever is recorded.

    The minimum, the maximum and the count are exact; a percentile is exact below 128 and at most 1.6 % too high above.
    """

    __slots__ = ("_counts", "count", "maximum", "minimum", "total")
    _SUB = 6  # 2**6 buckets for each power of two

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.minimum = 0
        self.maximum = 0

    def record(self, value: int) -> None:
        """Add one value; a negative one counts as 0 (clocks of two stages may be read in either order)."""
        if value < 0:
            value = 0
        shift = value.bit_length() - self._SUB - 1
        bucket = value if shift <= 0 else (shift << (self._SUB + 1)) + (value >> shift)
        counts = self._counts
        counts[bucket] = counts.get(bucket, 0) + 1
        if self.count == 0 or value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        self.count += 1
        self.total += value

    def percentile(self, percent: float) -> int:
        """The smallest recorded magnitude that `percent` (0 to 100) of the values do not exceed; 0 when empty."""
        if self.count == 0:
            return 0
        wanted = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(self._upper(bucket), self.maximum)
        return self.maximum

    def _upper(self, bucket: int) -> int:
        if bucket < 1 << (self._SUB + 1):
            return bucket
        shift = bucket >> (self._SUB + 1)
        mantissa = bucket - (shift << (self._SUB + 1))
        return ((mantissa + 1) << shift) - 1

    def summary(self) -> dict[str, int]:
        """min, p50, p90, p99, p99_9 and max, as the CLI prints them."""
        return {"min": self.minimum, "p50": self.percentile(50), "p90": self.percentile(90),
                "p99": self.percentile(99), "p99_9": self.percentile(99.9), "max": self.maximum}
