"""Our TCP against Linux's and lwIP's over a faulty wire, in both roles: the octets are equal.

`make interop` is the long form.

Rows of goodput are printed (pytest -s), not judged: a shared machine's figures are no test.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import interop
import pytest
from faultlink import FaultLink, needs_faultlink

ROOT = Path(__file__).resolve().parents[2]
pytestmark = needs_faultlink


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    subprocess.run(["make", "-s", "tcp-cat", "lwip-peer"], cwd=ROOT, check=True, timeout=300)


@pytest.mark.parametrize("way", ["receive", "send"])
@pytest.mark.parametrize(("kind", "rate", "size", "pairs"), [
    ("none", 0.0, 16_000_000, ("xdp", "box", "lwip")), ("all", 0.01, 500_000, ("xdp", "box", "lwip")),
    ("loss", 0.05, 500_000, ("xdp", "box")), ("corrupt", 0.05, 500_000, ("xdp", "box")),
])
def test_octets_are_equal(kind: str, rate: float, size: int, pairs: tuple[str, ...], way: str) -> None:
    with FaultLink(both=interop.faults(kind, rate)) as link:
        rows = list(interop.rows(link, kind, rate, way, size, "cubic", set(pairs)))
        counts = link.counts("to_client")
    for row in rows:
        print(interop.show(row))
    assert [r.pair for r in rows] == ["kernel/kernel cubic", "xdp/kernel", "box(passive)/kernel", "xdp/lwip",
                                      "box(passive)/lwip"][:1 + len(pairs) + ("lwip" in pairs)]
    assert all(r.equal for r in rows)
    assert not rate or counts.lost + counts.corrupted > 0


def test_a_difference_is_seen() -> None:
    """The check itself: one octet too few is not equal."""
    short = (999, 1.0, interop.bulk.digest_of(999))
    assert not interop.measured("none", 0.0, "x", "send", 1000, short, 0.0).equal
    assert interop.measured("none", 0.0, "x", "send", 999, short, 0.0).equal
