"""`xdpws tune` on a real interface, and `xdpws attach` with a tuned process."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attach import ROOT, attach, xdpws
from peers.process import sim_process
from topology import Topology, needs_topology

pytestmark = needs_topology
LOCAL = ("--huge-pages", "0", "--no-real-time")  # what is the whole machine's is not the tests' to change


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


def run(topo: Topology, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(topo.command("cli", *xdpws("tune", topo.cli_if, *args)), capture_output=True, text=True,
                          timeout=30, cwd=ROOT)


def values(topo: Topology) -> list[str]:
    names = ("napi_defer_hard_irqs", "gro_flush_timeout")
    return [topo.exec("cli", "cat", f"/sys/class/net/{topo.cli_if}/{name}").stdout.strip() for name in names]


def test_apply_and_undo(topo: Topology) -> None:
    before = values(topo)
    shown = run(topo, *LOCAL)
    assert "napi_defer_hard_irqs" in shown.stdout
    assert values(topo) == before
    done = run(topo, "--apply", "--json", *LOCAL)
    assert done.returncode == 0, done.stderr
    assert {Path(s["path"]).name for s in json.loads(done.stdout)["settings"]} == {"napi_defer_hard_irqs",
                                                                                   "gro_flush_timeout"}
    assert values(topo) == ["2", "200000"]
    assert "nothing to change" in run(topo, *LOCAL).stdout
    assert run(topo, "--undo").returncode == 0
    assert values(topo) == before
    assert "is not tuned" in run(topo, "--undo").stdout


def test_a_feed_with_a_tuned_process(topo: Topology) -> None:
    with sim_process("synthetic", "--count", "2000", "--rate", "5000", "--listen", f"{topo.srv_ip}:0",
                     netns=topo.srv_ns) as sim:
        report = attach(topo, topo.cli_if, sim.ready["url"], "--ca", sim.ready["ca"], "--transport", "xdp", "--wait",
                        "--cpu", "1", "--fifo", "5", "--lock-memory", "--cpu-latency", "0")
    assert report["rx_sha256"] == sim.ready["rx_sha256"]
