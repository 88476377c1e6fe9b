"""A link that loses, doubles, reorders and damages packets, both ways: nothing is missing, and the counters say
what happened. Each fault at 1 %, and all together. Generic XDP gets its faults from a relay (see ``relaylink``)."""
from __future__ import annotations

import pytest
from attach import WAYS, attach, feed
from faultlink import FaultLink, Faults, needs_faultlink
from peers.process import sim_process
from relaylink import RelayLink

pytestmark = needs_faultlink

RATE = 0.01
FAULTS = {
    "loss": Faults(loss=RATE),
    "dup": Faults(dup=RATE),
    "reorder": Faults(reorder=RATE),
    "corrupt": Faults(corrupt=RATE),
    "all": Faults(loss=RATE, dup=RATE, reorder=RATE, corrupt=RATE),
}


def source() -> tuple[str, ...]:
    """A recorded feed of some megabytes, else the synthetic one."""
    recorded = feed("bitmex_20210405")
    return (str(recorded),) if recorded.exists() else ("synthetic", "--count", "15000")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", FAULTS)
def test_feed_survives(kind: str, way: str) -> None:
    wire = RelayLink if way == "xdp-generic" else FaultLink
    with wire(both=FAULTS[kind]) as link:
        with sim_process(*source(), "--speed", "max", "--listen", f"{link.srv_ip}:0", netns=link.srv_ns) as sim:
            report = attach(link, link.cli_if, sim.url, "--ca", str(sim.ca), *WAYS[way], timeout=150)
        down, up = link.counts("to_client"), link.counts("to_server")
    assert report["messages"] == sim.ready["messages"]
    assert report["rx_sha256"] == sim.ready["rx_sha256"]
    assert report["close_code"] == 1000
    harmed = {"loss": down.lost, "dup": down.duplicated, "reorder": down.reordered, "corrupt": down.corrupted}
    for name in harmed if kind == "all" else (kind,):
        assert harmed[name] > 0, f"the wire did nothing: {down}"
    assert up.seen > 0
    if way != "socket":
        explained(report, kind, harmed)


def explained(report: dict[str, object], kind: str, harmed: dict[str, int]) -> None:
    """What the wire did is seen by the counters of the stack that received it."""
    drops, tcp, steering = (report[k] for k in ("drops", "tcp", "steering"))
    assert isinstance(drops, dict)
    assert isinstance(tcp, dict)
    assert isinstance(steering, dict)
    bad = sum(v for k, v in drops.items() if k.endswith("_checksum"))
    if kind == "dup":
        assert drops.get("tcp_dup", 0) + tcp["dup_segs"] >= 1
    if kind in ("loss", "reorder"):
        assert tcp["ooo_segs"] >= 1
        assert bad == 0
    if kind in ("corrupt", "all"):
        # Damage shows as a wrong checksum, as something unreadable, or as a flow that is not ours.
        seen = sum(drops.values()) + sum(v for k, v in steering.items() if k.startswith("pass_"))
        assert bad >= 1
        assert seen >= harmed["corrupt"] * 0.8
