"""xdpws.sim.venues.server against the `websockets` library: codings, pings, limits, the venue's clock, and faults."""
from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import urllib.error
import urllib.request
import zlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from xdpws.errors import UsageError
from xdpws.sim.venues.config import VenueConfig
from xdpws.sim.venues.server import VenueExchange

OKX = '{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}'


def run(work: Coroutine[Any, Any, None], seconds: float = 30) -> None:
    async def limited() -> None:
        async with asyncio.timeout(seconds):
            await work

    asyncio.run(limited())


@asynccontextmanager
async def exchange(venue: str, **settings: Any) -> AsyncIterator[VenueExchange]:
    config = VenueConfig(venue, **{"port": 0, "rate": 500, "plain": True, "close_timeout_s": 2, **settings})
    async with VenueExchange(config) as running:
        yield running


def dial(running: VenueExchange, target: str = "", **options: Any) -> connect:
    """The `websockets` client without pings of its own."""
    url = running.url.removesuffix(running.venue.path) + (target or running.venue.path)
    return connect(url, **{"compression": None, "ping_interval": None, "close_timeout": 0.5, **options})


async def ended(client: ClientConnection, seen: list[Any] | None = None, most: int = 1 << 30) -> Any:
    """Receive until the connection has ended, which is returned, or `most` messages have come (None)."""
    seen = [] if seen is None else seen
    try:
        while len(seen) < most:
            seen.append(await client.recv())
    except ConnectionClosed as closed:
        return closed
    return None


async def reason(running: VenueExchange) -> str:
    """How the first session ended, as the venue saw it."""
    await running.first_client_done()
    return running.results[0].reason


def test_over_tls_a_client_gets_its_subscription() -> None:
    async def work() -> None:
        async with exchange("okx", plain=False) as running:
            context = ssl.create_default_context(cafile=running.ca_file)
            async with dial(running, ssl=context) as client:
                await client.send(OKX)
                assert json.loads(await client.recv())["event"] == "subscribe"
                assert json.loads(await client.recv())["action"] == "snapshot"
                assert json.loads(await client.recv())["action"] == "update"
            assert await reason(running) == "client closed with 1000"
            assert running.results[0].close_code == 1000
            assert running.results[0].link.startswith("TLSv1.3")

    run(work())


@pytest.mark.parametrize(("venue", "subscription", "decode"), [
    ("htx", '{"sub":"market.btcusdt.mbp.150","id":"1"}', gzip.decompress),
    ("okx-v3", '{"op":"subscribe","args":["spot/depth:BTC-USDT"]}', lambda raw: zlib.decompress(raw, -15)),
    ("upbit", '[{"ticket":"t"},{"type":"orderbook","codes":["USDT-BTC"]}]', bytes)])
def test_binary_codings(venue: str, subscription: str, decode: Any) -> None:
    async def work() -> None:
        async with exchange(venue) as running, dial(running) as client:
            await client.send(subscription)
            for _ in range(5):
                message = await client.recv()
                assert isinstance(message, bytes)
                assert isinstance(json.loads(decode(message)), dict)

    run(work())


@pytest.mark.parametrize(("venue", "answer"), [("binance", "server_max_window_bits=15"), ("coinbase", "permessage"),
                                               ("kraken", None)])
def test_permessage_deflate_is_the_venues_own(venue: str, answer: str | None) -> None:
    async def work() -> None:
        async with exchange(venue) as running:
            async with dial(running, compression="deflate") as client:
                assert client.response is not None
                agreed = client.response.headers.get("Sec-WebSocket-Extensions")
                assert (answer is None and agreed is None) or (answer and answer in str(agreed))

    run(work())


def test_a_client_that_answers_pings_stays_and_one_that_does_not_is_cut() -> None:
    async def work() -> None:
        async with exchange("binance", limits=("ping_s=10", "pong_s=50"), time_scale=200) as running:
            async with dial(running, "/ws/btcusdt@depth") as client:
                for _ in range(100):  # 0.2 s, several pings
                    await client.recv()
            assert await reason(running) == "client closed with 1000"
        async with exchange("binance", limits=("ping_s=10", "pong_s=50"), time_scale=200) as running:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(b"GET /ws/btcusdt@depth HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            assert b"\x89" in await reader.read(-1), "a ping came, and then the end"
            writer.close()
            assert await reason(running) == "no pong within 50 s"

    run(work())


@pytest.mark.parametrize(("venue", "subscription", "keepalive", "scale", "expected"), [
    ("bitget", '{"op":"subscribe","args":[{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}]}', "ping", 400,
     "silent for 120 s"),
    ("kraken-futures", '{"event":"subscribe","feed":"book","product_ids":["PI_XBTUSD"]}', "{}", 200,
     "silent for 60 s")])
def test_silent_clients_are_cut_and_those_that_ping_are_not(venue: str, subscription: str, keepalive: str,
                                                           scale: float, expected: str) -> None:
    async def work() -> None:
        async with exchange(venue, time_scale=scale) as running, dial(running) as client:
            await client.send(subscription)
            closed = await ended(client)
            assert closed.rcvd is None, "no close frame"
            assert await reason(running) == expected
        async with exchange(venue, time_scale=scale) as running, dial(running) as client:
            await client.send(subscription)
            for _ in range(10):  # twice the limit
                await asyncio.sleep(0.06)
                await client.send(keepalive)
            assert not running.results

    run(work())


def test_okx_cuts_only_when_nothing_is_pushed() -> None:
    async def work() -> None:
        async with exchange("okx", time_scale=300) as running, dial(running) as client:
            assert (await ended(client)).rcvd is None
            assert await reason(running) == "silent for 30 s"
        async with exchange("okx", time_scale=300) as running, dial(running) as client:
            await client.send(OKX)
            for _ in range(200):
                await client.recv()
            assert not running.results

    run(work())


def test_a_day_ends_every_connection() -> None:
    async def work() -> None:
        async with exchange("binance", time_scale=86_400) as running:
            async with dial(running, "/ws/btcusdt@trade") as client:
                closed = await ended(client)
            assert closed.rcvd is not None
            assert (closed.rcvd.code, closed.rcvd.reason) == (1001, "the connection is too old")
            assert await reason(running) == "the connection is too old"

    run(work())


def test_coinbase_wants_a_subscription_in_time() -> None:
    async def work() -> None:
        async with exchange("coinbase", time_scale=20) as running, dial(running) as client:
            closed = await ended(client)
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1008

    run(work())


def test_limits_of_an_address_are_answered_with_429() -> None:
    async def work() -> None:
        async with exchange("deribit", limits=("connections=2",)) as running:
            async with dial(running), dial(running) as second:
                with pytest.raises(InvalidStatus) as caught:
                    await dial(running)
                assert caught.value.response.status_code == 429
                await second.close()
                await running.first_client_done()
                async with dial(running):
                    pass
        async with exchange("okx", limits=("connects=3/100",), time_scale=100) as running:
            for _ in range(3):
                await (await dial(running)).close()
            with pytest.raises(InvalidStatus):
                await dial(running)
            await asyncio.sleep(1.1)  # the window on the venue's clock
            await (await dial(running)).close()

    run(work())


def test_too_many_messages_or_subscriptions_end_the_connection() -> None:
    async def work() -> None:
        async with exchange("binance", rate=1) as running, dial(running) as client:
            for number in range(6):
                await client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
            closed = await ended(client)
            assert closed.rcvd is not None
            assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "too many messages")
        async with exchange("okx", limits=("subscribes=2/3600",), rate=1) as running, dial(running) as client:
            for _ in range(3):
                await client.send(OKX)
            closed = await ended(client)
            assert closed.rcvd is not None
            assert closed.rcvd.reason == "too many subscriptions"

    run(work())


@pytest.mark.parametrize(("how", "code"), [("rst", None), ("fin", None), ("close", 1001)])
def test_a_cut_comes_after_the_messages_and_only_on_faulty_connections(how: str, code: int | None) -> None:
    async def work() -> None:
        async with exchange("bitfinex", cut_after=20, cut=how) as running:
            for number in range(2):
                async with dial(running) as client:
                    await client.send('{"event":"subscribe","channel":"book","symbol":"tBTCUSD"}')
                    seen: list[Any] = []
                    closed = await ended(client, seen, 60)
                    data = [message for message in map(json.loads, seen)
                            if isinstance(message, list) and len(message[1]) == 3]
                    if number == 0:
                        assert closed is not None
                        assert (len(data), closed.rcvd.code if closed.rcvd else None) == (20, code)
                    else:
                        assert closed is None, "the second connection stays"
            assert await reason(running) == "cut after 20 messages, as asked"

    run(work())


def test_a_gap_is_a_gap_and_mute_is_mute() -> None:
    async def work() -> None:
        async with exchange("gate", gap_after=5) as running, dial(running) as client:
            await client.send(json.dumps({"channel": "futures.order_book_update", "event": "subscribe",
                                          "payload": ["BTC_USDT", "100ms", "20"]}))
            await client.recv()
            books = [json.loads(await client.recv())["result"] for _ in range(10)]
            holes = [i for i in range(1, 10) if books[i]["U"] != books[i - 1]["u"] + 1]
            assert holes == [5]
        async with exchange("okx", mute_after=5) as running, dial(running) as client:
            await client.send(OKX)
            for _ in range(7):
                await client.recv()
            await client.send("ping")
            assert await client.recv() == "pong", "nothing else comes"

    run(work())


@pytest.mark.parametrize(("venue", "target", "subscription", "notice"), [
    ("okx", "", OKX, '"code":"64008"'),
    ("binance", "/stream?streams=btcusdt@depth", "", "!serverShutdown"),
    ("bitfinex", "", '{"event":"subscribe","channel":"book","symbol":"tBTCUSD"}', '"code":20051'),
    ("bitstamp", "", '{"event":"bts:subscribe","data":{"channel":"diff_order_book_btcusd"}}', "request_reconnect")])
def test_a_restart_is_announced_and_then_happens(venue: str, target: str, subscription: str, notice: str) -> None:
    async def work() -> None:
        async with exchange(venue, restart_after=10, time_scale=100) as running, dial(running, target) as client:
            if subscription:
                await client.send(subscription)
            seen: list[Any] = []
            closed = await ended(client, seen)
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1012
            at = next(i for i, text in enumerate(seen) if notice in text)
            assert 10 <= at < len(seen) - 1, "data go on between notice and end"

    run(work())


def test_a_slow_consumer_is_cut() -> None:
    async def work() -> None:
        async with exchange("bitfinex", rate=50_000) as running:
            client = await dial(running, max_queue=1)
            await client.send('{"event":"subscribe","channel":"book","symbol":"tBTCUSD"}')
            assert await reason(running) == "slow consumer"
            client.transport.abort()

    run(work(), 60)


def test_rest_and_wrong_paths() -> None:
    async def work() -> None:
        async with exchange("binance") as running:
            base = f"http://127.0.0.1:{running.port}"

            def get(path: str) -> Any:
                with urllib.request.urlopen(base + path, timeout=10) as answer:
                    return json.load(answer)

            assert (await asyncio.to_thread(get, "/api/v3/depth?symbol=BTCUSDT"))["bids"]
            with pytest.raises(urllib.error.HTTPError, match="404"):
                await asyncio.to_thread(get, "/api/v3/none")
            with pytest.raises(InvalidStatus) as caught:
                await dial(running, "/nothing")
            assert caught.value.response.status_code == 404

    run(work())


@pytest.mark.parametrize("settings", [{"venue": "none"}, {"cut": "x"}, {"rate": 0}, {"time_scale": 0}, {"port": -1},
                                      {"cut_after": -1}, {"faulty": -1}, {"key_type": "x"}, {"limits": ("x=1",)}])
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        VenueConfig(**{"venue": "okx", **settings})
