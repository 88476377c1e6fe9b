"""The soak's short form: all feeds that are there for 20 s, with disconnects, over a socket and over AF_XDP."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from topology import missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(150)
def test_nothing_is_lost_between_cuts(tmp_path: Path) -> None:
    """Without root only the socket's half runs; its report says so."""
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "soak.py"), "--seconds", "20", "--out", str(tmp_path)],
                          capture_output=True, text=True, timeout=140, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "soak.json").read_text())
    for transport in ["socket"] if missing() else ["socket", "xdp"]:
        side = figures[transport]
        assert side["errors"] == []
        assert side["messages"] > 1000
        assert sum(side["cuts"].values()) > 5
        assert len(side["rss_kib"]) >= 10
    assert ("without AF_XDP" in done.stdout) == bool(missing())


def test_a_lost_message_is_an_error() -> None:
    """The judge is not blind: a cut that comes before its message, and memory that grows, are errors."""
    sys.path.insert(0, str(ROOT / "tools"))
    import soak

    play = soak.Play("synthetic", 1, 500, "", None, 400, "drop=fin", True)
    assert len(list(play.payloads())) == 500
    tally = soak.Tally()
    soak.check_whole(play, 400, tally)
    assert tally.errors == []
    soak.check_whole(play, 399, tally)
    assert tally.errors == ["synthetic: 399 messages before the cut at 400"]
    assert soak.flat([1000] * 40)[2]
    assert not soak.flat([100_000 + 1000 * i for i in range(40)])[2]
