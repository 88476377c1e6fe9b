"""`xdpws record` and `xdpws replay` together: what was received over AF_XDP comes out of the capture again."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attach import ROOT, attach, xdpws
from peers.process import sim_process
from scapy.layers.inet import TCP
from scapy.utils import rdpcap
from topology import Topology, needs_topology

from xdpws.replay.capture import read_capture

pytestmark = needs_topology


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@pytest.mark.parametrize("tls", ["1.3", "1.2"])
def test_a_recorded_feed_replays_to_the_same_hash(topo: Topology, tmp_path: Path, tls: str) -> None:
    capture = tmp_path / "feed.pcapng"
    with sim_process("synthetic", "--count", "3000", "--rate", "6000", "--tls", tls, "--listen", f"{topo.srv_ip}:0",
                     netns=topo.srv_ns) as sim:
        done = subprocess.run(
            topo.command("cli", *xdpws("record", topo.cli_if, sim.ready["url"], "--ca", sim.ready["ca"], "-o", capture,
                                       "--json")), capture_output=True, text=True, timeout=60, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["transport"] == "xdp"
        assert report["rx_sha256"] == sim.ready["rx_sha256"]
        assert report["capture_lost"] == 0
    assert capture.stat().st_mode & 0o777 == 0o600
    played = subprocess.run(xdpws("replay", capture, "--json"), capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert played.returncode == 0, played.stderr
    (connection,) = json.loads(played.stdout)["connections"]
    assert connection["kind"] == "wss"
    assert connection["messages"] == 3000
    assert connection["rx_sha256"] == sim.ready["rx_sha256"]
    assert connection["tls"]["version"] == int(float(tls) * 10)
    assert connection["stages_ns"]["decrypt"]["count"] == 3000
    packets = rdpcap(str(capture))
    ports = {(p[TCP].sport, p[TCP].dport) for p in packets if TCP in p}
    assert len(ports) == 2  # both directions, one connection, nothing else
    assert len(packets) == len(read_capture(capture).frames)


def test_attach_records_beside_receiving_and_keeps_the_users_key_log(topo: Topology, tmp_path: Path) -> None:
    capture, keylog = tmp_path / "feed.pcapng", tmp_path / "keys.log"
    keylog.write_text("# before\nCLIENT_RANDOM 00 00\n")
    with sim_process("synthetic", "--count", "500", "--rate", "5000", "--listen", f"{topo.srv_ip}:0", "--tls", "1.3",
                     netns=topo.srv_ns) as sim:
        report = attach(topo, topo.cli_if, sim.ready["url"], "--ca", sim.ready["ca"], "--transport", "xdp", "--record",
                        capture, "--keylog", keylog)
    assert report["capture_lost"] == 0
    inside = [line for line in read_capture(capture).secrets.splitlines() if line]
    assert inside == keylog.read_text().splitlines()[2:]  # ours, and not what was there before
    assert any(line.startswith("SERVER_TRAFFIC_SECRET_0 ") for line in inside)


def test_a_capture_that_cannot_be_written_says_so(topo: Topology, tmp_path: Path) -> None:
    done = subprocess.run(
        topo.command("cli", *xdpws("record", topo.cli_if, "wss://10.0.0.1/", "-o", tmp_path / "no" / "such.pcapng")),
        capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1
    assert "such.pcapng" in done.stderr or "route" in done.stderr
