"""The bench end to end, small: our clients and a C loop over a topology of its own. Nothing is asserted about times."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from topology import needs_topology, unique_prefix, unique_subnet

from xdpws.bench.figures import RATIOS

pytestmark = [needs_topology, pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")]


def test_every_message_arrives_and_the_object_has_its_fields(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    argv = [sys.executable, "-m", "xdpws.cli.main", "bench", "--quick", "--json", "--reps", "1", "--clients",
            "cspin,xdp,socket", "--attempts", "1", "--html", str(report), "--no-fifo", "--prefix", unique_prefix(),
            "--subnet", unique_subnet()]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110)
    found = json.loads(done.stdout)
    assert set(found["ratios"]) == {r.name for r in RATIOS}
    # a sender that was late says something about this host; whatever else is refused says something about us
    assert [r for r in found["refused"] if "late" not in r["why"]] == []
    assert found["missing"] == {}
    ran = {(r["client"], r["scenario"]) for r in found["runs"] + found["refused"]}
    assert ran == {(c, s) for c in ("cspin", "xdp", "socket") for s in ("trade", "burst", "echo", "blast")}
    blasts = [r for r in found["runs"] if r["scenario"] == "blast"]
    assert len(blasts) == 3  # they have no schedule, so none is refused
    assert all(r["rate"] > 0 for r in blasts)
    assert set(found["stages_ns"]["xdp"]) >= {"sent_to_kernel", "kernel_to_ring", "decrypt", "parse", "parsed_to_user"}
    assert found["facts"]["fifo"] is False
    assert report.read_text().startswith("<!doctype html>")


def test_bad_names_are_told() -> None:
    argv = [sys.executable, "-m", "xdpws.cli.main", "bench", "--clients", "nobody"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no such client: nobody" in done.stderr
