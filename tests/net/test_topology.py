"""vm/topo.sh and the Topology helper: what is made works, is made once, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from topology import TOPO_SH, Topology, needs_topology, unique_prefix, unique_subnet

pytestmark = needs_topology


def topo_sh(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(TOPO_SH), *argv], capture_output=True, text=True, timeout=60)


def test_ends_reach_each_other_and_offloads_are_off() -> None:
    with Topology(queues=3, mtu=1400) as topo:
        topo.exec("cli", "ping", "-c1", "-W2", topo.srv_ip)
        topo.exec("srv", "ping", "-c1", "-W2", topo.cli_ip)
        for side, name in (("srv", topo.srv_if), ("cli", topo.cli_if)):
            features = topo.exec(side, "ethtool", "-k", name).stdout
            for feature in ("tx-checksumming", "tcp-segmentation-offload", "generic-segmentation-offload",
                            "generic-receive-offload"):
                assert f"\n{feature}: off" in features, feature
            link = topo.exec(side, "ip", "-d", "link", "show", "dev", name).stdout
            assert " mtu 1400 " in link
            assert " numrxqueues 3 " in link
            assert topo.mac(side) in link
    assert not os.path.exists(topo.netns("srv"))
    assert not os.path.exists(topo.netns("cli"))


def test_no_packet_but_those_asked_for() -> None:
    with Topology() as topo:
        topo.exec("cli", "ping", "-c1", "-W2", topo.srv_ip)
        stats = topo.exec("cli", "ip", "-s", "-j", "link", "show", "dev", topo.cli_if).stdout
        # one ARP exchange and one echo; nothing of IPv6
        assert json.loads(stats)[0]["stats64"]["tx"]["packets"] == 2


def test_up_again_keeps_it_and_other_settings_make_it_anew() -> None:
    prefix, subnet = unique_prefix(), unique_subnet()
    options = ("--prefix", prefix, "--subnet", subnet)
    try:
        first = topo_sh(*options, "up")
        assert first.returncode == 0, first.stderr
        assert topo_sh("up", *options).stdout == first.stdout
        other = topo_sh(*options, "--mtu", "3000", "up")
        assert other.returncode == 0, other.stderr
        assert "mtu=3000" in other.stdout
        assert topo_sh(*options, "--mtu", "3000", "show").stdout == other.stdout
        assert topo_sh(*options, "show").returncode == 1
        # half of it is gone: made again
        subprocess.run(["ip", "-n", f"{prefix}-cli", "link", "delete", "dev", f"{prefix}-v1"], check=True)
        assert topo_sh(*options, "up").returncode == 0
        assert topo_sh(*options, "exec", "cli", "ping", "-c1", "-W2", f"{subnet}.1").returncode == 0
    finally:
        assert topo_sh(*options, "down").returncode == 0
    assert topo_sh(*options, "down").returncode == 0
    assert not os.path.exists(f"/run/netns/{prefix}-srv")
    assert topo_sh(*options, "exec", "cli", "true").returncode == 2


def test_failure_halfway_leaves_nothing() -> None:
    prefix = unique_prefix()
    failed = topo_sh("--prefix", prefix, "--mtu", "99999", "up")
    assert failed.returncode != 0
    assert not os.path.exists(f"/run/netns/{prefix}-srv")
    assert not os.path.exists(f"/run/netns/{prefix}-cli")


@pytest.mark.parametrize("argv", [
    ("--prefix", "eth0", "up"), ("--prefix", "xw-a", "down"), ("--prefix", "xwtoolongname0", "up"),
    ("--queues", "0", "up"), ("--subnet", "10.1", "up"), ("frob",), ("exec", "mid", "true"), (),
])
def test_mistakes_are_refused(argv: tuple[str, ...]) -> None:
    done = topo_sh(*argv)
    assert done.returncode == 2
    assert done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck (apt-get install shellcheck)")
def test_shellcheck() -> None:
    done = subprocess.run(["shellcheck", str(TOPO_SH)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
