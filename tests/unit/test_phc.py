"""The NIC's clock against ours, by a clock that is played by hand."""
from __future__ import annotations

from collections.abc import Sequence

import pytest

from xdpws._ffi import ffi
from xdpws.control.phc import PhcFollower, PhcLine, PhcSample, open_phc, phc_index

OFFSET = 1_700_000_000_000_000_000 - 5_000_000_000  # CLOCK_REALTIME - CLOCK_MONOTONIC


class Clock:
    """A NIC's clock that is `ahead` of CLOCK_REALTIME and runs `ppm` fast. now: CLOCK_MONOTONIC."""

    def __init__(self, ppm: float = 0.0, ahead: int = 37_000_000_000) -> None:
        self.now, self.ppm, self.ahead, self.noise = 5_000_000_000, ppm, ahead, 300
        self.closed = False

    def shows(self, mono: int) -> int:
        return mono + OFFSET + self.ahead + round((mono - 5_000_000_000) * self.ppm / 1e6)

    def read(self) -> Sequence[PhcSample]:
        samples = []
        for width in (9000, 2 * self.noise, 4000):  # the narrowest bracket is the one to believe
            skew = 3000 if width > 2 * self.noise else 0
            samples.append(PhcSample(self.now + OFFSET, self.shows(self.now + width // 2 + skew),
                                     self.now + OFFSET + width))
            self.now += width
        return samples

    def close(self) -> None:
        self.closed = True


def at(line: PhcLine, phc: int) -> float:
    """What the core makes of it (base/phc.h)."""
    return line.mono_ns + (phc - line.phc_ns) * line.rate / 2**32


def follower(clock: Clock) -> PhcFollower:
    return PhcFollower(clock, lambda: OFFSET)


@pytest.mark.parametrize("ppm", [0.0, 43.7, -80.0, 480.0])
def test_the_line_gives_our_time_for_the_nics(ppm: float) -> None:
    clock = Clock(ppm)
    follow = follower(clock)
    assert follow.sample() is None
    clock.now += 1_000_000_000
    line = follow.sample()
    assert line is not None
    assert line.error_ns == clock.noise
    assert follow.steps == 0
    for later in (0, 1000, 500_000_000, 1_000_000_000):
        mono = clock.now + later
        assert abs(at(line, clock.shows(mono)) - mono) < 5
    assert abs(line.rate / 2**32 - 1 / (1 + ppm / 1e6)) < 1e-9


def test_a_clock_that_is_set_is_not_believed_until_it_was_read_twice() -> None:
    clock = Clock()
    follow = follower(clock)
    follow.sample()
    clock.now += 1_000_000_000
    assert follow.sample() is not None
    clock.ahead -= 37_000_000_000  # from TAI to UTC
    clock.now += 1_000_000_000
    assert follow.sample() is None
    assert follow.steps == 1
    clock.now += 1_000_000_000
    line = follow.sample()
    assert line is not None
    assert abs(at(line, clock.shows(clock.now)) - clock.now) < 5


def test_a_clock_that_stands_still_or_goes_back_is_none() -> None:
    clock = Clock()
    follow = follower(clock)
    follow.sample()
    clock.now += 1_000_000_000
    clock.ppm = -1e6
    assert follow.sample() is None
    assert follow.steps == 1
    follow.close()
    assert clock.closed


def test_an_interface_without_a_clock_says_so() -> None:
    assert phc_index("lo") == -1
    follow, why = open_phc("lo")
    assert follow is None
    assert why == "lo has no clock of its own"


def test_the_line_fits_the_core() -> None:
    line = PhcLine(1, 2, 1 << 32, 3, 4)
    names = ("phc_ns", "mono_ns", "rate", "span_ns")
    raw = ffi.new("struct xw_phc_line *", {name: getattr(line, name) for name in names})
    assert (raw.phc_ns, raw.mono_ns, raw.rate, raw.span_ns) == (1, 2, 1 << 32, 3)
