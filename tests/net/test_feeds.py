"""Feeds arrive complete to the byte: played as fast as the client takes them, over each transport, mode and loader.

CI takes seven recorded feeds of different venues, those with binary messages among them; ``make test-feeds`` takes all
(XDPWS_ALL_FEEDS=1). The synthetic feed needs no recording.
"""
from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from attach import FEEDS, WAYS, attach, feed
from peers.process import sim_process
from topology import Topology, needs_topology

pytestmark = needs_topology

SOME = ("binance_spot_4sym_20211012", "okex_v3_rawdeflate_20210417", "huobi_coinswap_gzip_20220219",
        "upbit_binary_20210417", "coinbase_pro_20210417", "bitmex_20210405", "kraken_futures_20210722")


def recorded() -> list[str]:
    """Names of the recorded feeds to play."""
    if os.environ.get("XDPWS_ALL_FEEDS"):
        return sorted(path.name.removesuffix(".jsonl.gz") for path in FEEDS.glob("*.jsonl.gz"))
    return list(SOME)


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


def check(topo: Topology, source: str, way: str, *options: str) -> None:
    with sim_process(source, "--speed", "max", "--listen", f"{topo.srv_ip}:0", *options, netns=topo.srv_ns) as sim:
        report = attach(topo, topo.cli_if, sim.url, "--ca", str(sim.ca), *WAYS[way], timeout=100)
    assert report["messages"] == sim.ready["messages"]
    assert report["rx_sha256"] == sim.ready["rx_sha256"]
    assert report["close_code"] == 1000
    if way == "socket":
        assert (report["transport"], report["xdp_mode"]) == ("socket", None)
    else:
        assert report["transport"] == "xdp"
        assert report["xdp_mode"] == ("generic" if way == "xdp-generic" else "native")
        assert report["loader"] == ("bcc" if way == "xdp-bcc" else "libbpf")
        assert report["zero_copy"] is False  # veth copies


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", recorded())
def test_recorded_feed_is_complete(topo: Topology, name: str, way: str) -> None:
    if not feed(name).exists():
        pytest.skip(f"no recorded feed {feed(name)}; set XDPWS_FEEDS to the folder that has them")
    check(topo, str(feed(name)), way)


@pytest.mark.parametrize("way", WAYS)
def test_synthetic_feed_is_complete(topo: Topology, way: str) -> None:
    check(topo, "synthetic", way, "--count", "20000")


SUITES = {"TLS_AES_128_GCM_SHA256": "1.3", "TLS_AES_256_GCM_SHA384": "1.3", "TLS_CHACHA20_POLY1305_SHA256": "1.3",
          "ECDHE-ECDSA-AES128-GCM-SHA256": "1.2", "ECDHE-ECDSA-AES256-GCM-SHA384": "1.2",
          "ECDHE-ECDSA-CHACHA20-POLY1305": "1.2"}
"""Cipher suite → its version of TLS."""


@pytest.mark.parametrize("engine", ["own", "openssl"])
@pytest.mark.parametrize("way", ["xdp-native", "socket"])
@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_by_both_record_layers(topo: Topology, suite: str, way: str, engine: str) -> None:
    with sim_process("synthetic", "--speed", "max", "--listen", f"{topo.srv_ip}:0", "--count", "5000", "--records",
                     "random", "--tls", SUITES[suite], "--ciphers", suite, netns=topo.srv_ns) as sim:
        report = attach(topo, topo.cli_if, sim.url, "--ca", str(sim.ca), *WAYS[way], "--tls-engine", engine)
    assert (report["messages"], report["rx_sha256"]) == (sim.ready["messages"], sim.ready["rx_sha256"])
    assert (report["tls"]["cipher"], report["tls"]["engine"]) == (suite, engine)
    assert report["close_code"] == 1000


@pytest.mark.parametrize("way", ["xdp-native", "socket"])
@pytest.mark.parametrize("shape", [("--records", "random"), ("--records", "coalesce:20"),
                                   ("--fragment", "interleaved")])
def test_any_records_and_fragments(topo: Topology, way: str, shape: tuple[str, str]) -> None:
    check(topo, "synthetic", way, "--count", "5000", "--seed", "7", *shape)
