"""Every client in `examples/` stays with its venue through a cut, proves that nothing is missing, and notices what is.

Over a kernel socket on loopback and over AF_XDP in a topology; recorded feeds over the socket where they are present.
"""
from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attach import feed
from peers.process import ROOT, PeerProcess, venue_process
from topology import Topology, needs_topology

from xdpws.sim.config import ExchangeConfig
from xdpws.sim.server import Exchange
from xdpws.sim.venues.config import VenueConfig
from xdpws.sim.venues.server import VenueExchange

VENUE = {"binance": "binance", "binance_usdm": "binance-usdm", "bitfinex": "bitfinex", "bitget": "bitget",
         "bitmex": "bitmex", "bitstamp": "bitstamp", "bybit": "bybit-linear", "coinbase": "coinbase",
         "deribit": "deribit", "gate": "gate", "htx": "htx", "kraken": "kraken", "kraken_futures": "kraken-futures",
         "kraken_v1": "kraken-v1",
         "kucoin": "kucoin", "okx": "okx", "okx_v3": "okx-v3", "upbit": "upbit"}
"""Example → the venue it is for."""
UNPROVABLE = {"bitstamp", "upbit"}
"""Their messages bear a time only: what is missing does not show."""
STREAMS = {"binance": "/stream?streams=btcusdt@depth@100ms/btcusdt@trade/ethusdt@depth@100ms",
           "binance_usdm": "/stream?streams=btcusdt@depth@0ms/ethusdt@bookTicker/ethusdt@depth@0ms"}
Simulator = VenueExchange | Exchange
LINE = re.compile(r"^(\S+): (\d+) messages, (\d+) proved, (\d+) gaps, (\d+) connections, (xdp|socket)$", re.M)


@contextmanager
def playing(exchange: Simulator) -> Iterator[Simulator]:
    """A simulator in a thread of this process, which begins sooner than one of its own."""
    ready, stop = threading.Event(), threading.Event()

    async def play() -> None:
        async with exchange:
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(play()), name="simulator")
    thread.start()
    try:
        assert ready.wait(30), "the simulator did not begin"
        yield exchange
    finally:
        stop.set()
        thread.join(30)


def start(example: str, sim: Simulator | PeerProcess, messages: int, *options: str) -> list[str]:
    """The command line of an example against a simulator."""
    url = re.sub(r"^(wss://[^/]+).*", r"\1" + STREAMS[example], sim.url) if example in STREAMS else sim.url
    rest = re.sub(r"^wss(://[^/]+).*", r"https\1", sim.url)
    return [sys.executable, str(ROOT / "examples" / f"{example}.py"), "--url", url, "--rest", rest, "--ca",
            str(sim.ca if isinstance(sim, PeerProcess) else sim.ca_file), "--messages", str(messages), *options]


def run(command: list[str], code: int = 0) -> tuple[int, int, int, int, str]:
    """Its counts: messages, proved, gaps, connections, transport."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, cwd=ROOT)
    match = LINE.search(done.stdout)
    assert match is not None, f"no final line: {done.stdout[-2000:]}{done.stderr[-3000:]}"
    assert done.returncode == code, done.stdout + done.stderr
    return int(match[2]), int(match[3]), int(match[4]), int(match[5]), match[6]


def test_every_example_is_here() -> None:
    files = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert files - {"common"} == set(VENUE)


@pytest.mark.parametrize("example", VENUE)
def test_it_survives_a_cut_and_nothing_is_missing(example: str) -> None:
    with playing(VenueExchange(VenueConfig(VENUE[example], port=0, rate=1000, cut_after=150))) as sim:
        messages, proved, gaps, connections, transport = run(start(example, sim, 500))
        assert (messages >= 500, gaps, connections, transport) == (True, 0, 2, "socket")
        assert proved > 50
        assert "cut after 150 messages, as asked" in {result.reason for result in sim.results}


@pytest.mark.parametrize("example", sorted(set(VENUE) - UNPROVABLE))
def test_it_notices_what_is_missing_and_begins_anew(example: str) -> None:
    with playing(VenueExchange(VenueConfig(VENUE[example], port=0, rate=1000, gap_after=200, gap=40))) as sim:
        messages, _, gaps, connections, _ = run(start(example, sim, 600), code=1)
        assert (messages >= 600, gaps, connections) == (True, 1, 2)


@pytest.mark.parametrize(("example", "scale"), [("htx", 8), ("binance", 50), ("deribit", 16), ("coinbase", 5)])
def test_it_answers_what_the_venue_asks(example: str, scale: float) -> None:
    """On a venue whose clock runs fast it asks often: WebSocket pings, JSON pings, test requests, a subscription in
    time."""
    limits = ("life_s=none", "messages=none")
    with playing(VenueExchange(VenueConfig(VENUE[example], port=0, rate=800, time_scale=scale, limits=limits))) as sim:
        _, _, gaps, connections, _ = run(start(example, sim, 1200))
        assert (gaps, connections) == (0, 1), [result.reason for result in sim.results]


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@needs_topology
@pytest.mark.parametrize("example", VENUE)
def test_the_same_over_af_xdp(topo: Topology, example: str) -> None:
    with venue_process(VENUE[example], "--listen", f"{topo.srv_ip}:0", "--rate", "800", "--cut-after", "150",
                       netns=topo.srv_ns) as sim:
        command = topo.command("cli", *start(example, sim, 500, "--transport", "xdp", "--interface", topo.cli_if))
        messages, proved, gaps, connections, transport = run(command)
        assert (messages >= 500, gaps, connections, transport) == (True, 0, 2, "xdp")
        assert proved > 50


# No spot feed of Binance: a played recording has no REST snapshot that its book could begin with.
RECORDED = {"bitget_spot_20220407": "bitget",
            "binance_usdm_5sym_20210405": "binance_usdm",
            "bitfinex_v2_20210405": "bitfinex", "bitget_mix_20220407": "bitget", "bitmex_20210405": "bitmex",
            "bitstamp_20210405": "bitstamp", "coinbase_pro_20210417": "coinbase", "deribit_20210405": "deribit",
            "huobi_spot_gzip_20210417": "htx", "kraken_futures_20210722": "kraken_futures",
            "kraken_spot_v1_book1000_20210405": "kraken_v1",
            "gateio_futures_20230524": "gate", "okx_v5_20220227": "okx", "okex_v3_rawdeflate_20210417": "okx_v3"}
"""Recorded feed → the example that proves it."""


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_feeds_are_proved(name: str) -> None:
    path: Path = feed(name)
    if not path.exists():
        pytest.skip(f"no recorded feed {path}; set XDPWS_FEEDS to the folder that has them")
    example = RECORDED[name]
    start_at = "connect" if example.startswith("binance") else "subscribe"
    exchange = Exchange(ExchangeConfig(feed=path, port=0, speed=None, start=start_at))
    with playing(exchange) as sim:
        assert exchange.messages is not None
        _, proved, gaps, _, _ = run(start(example, sim, exchange.messages // 2))
        assert (proved > 20, gaps) == (True, 0)
