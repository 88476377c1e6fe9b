"""Reconnecting: a new connection whenever the last one has ended, waits with full jitter, errors that end it."""
from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xdpws
from xdpws.aio import Backoff, connect
from xdpws.aio import driver as drivers
from xdpws.aio.reconnect import process_exception
from xdpws.errors import ConnectError, ConnectionClosed, InvalidStatus, OpenTimeout, SetupError, TlsError, UsageError
from xdpws.http import Response
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.server import Exchange

FAST = Backoff(first_s=0.01, cap_s=0.02)


@given(st.integers(1, 10_000), st.floats(0.001, 5), st.floats(1, 10))
def test_wait_is_within_its_growing_bound(failures: int, first: float, factor: float) -> None:
    backoff = Backoff(first, factor, cap_s=60)
    assert 0 <= backoff.delay(failures, random.Random(failures)) <= backoff.bound(failures) <= 60
    assert backoff.bound(failures) <= backoff.bound(failures + 1)
    assert backoff.bound(1) == first
    assert backoff.bound(0) == 0


def test_jitter_is_full() -> None:
    delays = [Backoff(1, 2, 8).delay(4, random.Random(seed)) for seed in range(500)]
    assert min(delays) < 0.2
    assert max(delays) > 7.8


@pytest.mark.parametrize("bad", [{"first_s": 0}, {"factor": 0.5}, {"cap_s": 0.1}, {"stable_s": -1}])
def test_senseless_backoff_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Backoff(**bad)


@pytest.mark.parametrize(("error", "again"), [
    (ConnectError("refused"), True), (OpenTimeout("late"), True), (InvalidStatus(Response(503, "busy")), True),
    (InvalidStatus(Response(429, "slow down")), True), (SetupError("resolve example.org", "not now"), True),
    (InvalidStatus(Response(403, "no")), False), (TlsError("certificate"), False), (UsageError("yours"), False),
    (SetupError("attach to eth0", "no privilege"), False),
])
def test_which_errors_are_tried_again(error: Exception, again: bool) -> None:
    assert process_exception(error) is (None if again else error)


def test_feed_goes_on_after_cuts(tmp_path: Path) -> None:
    """The exchange cuts after every 50 messages; each connection is subscribed anew, and the driver stays the same."""
    async def main() -> None:
        subscribed: list[str] = []
        seen: list[int] = []
        used: set[int] = set()

        async def subscribe(ws: xdpws.ClientConnection) -> None:
            await ws.send('{"method":"SUBSCRIBE","params":["x"],"id":1}')
            subscribed.append(ws.transport)

        async with Exchange(ExchangeConfig(feed="synthetic", port=0, plain=True, speed=None, count=200, drop_after=50,
                                           ack="never")) as exchange:
            async for ws in connect(exchange.url, backoff=FAST, on_connect=subscribe):
                used |= {id(d) for d in drivers._drivers[asyncio.get_running_loop()].values()}
                count = 0
                try:
                    async for _ in ws:
                        count += 1
                except ConnectionClosed:
                    pass
                seen.append(count)
                if len(seen) == 4:
                    break
        assert seen == [50] * 4
        assert subscribed == ["socket"] * 4
        assert len(used) == 1
        while drivers._drivers.get(asyncio.get_running_loop()):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_waits_for_a_server_that_is_not_there_yet() -> None:
    async def main() -> None:
        async with Exchange(ExchangeConfig(feed="synthetic", port=0, plain=True, count=1, speed=None)) as first:
            port = first.port
        attempts: list[Exception] = []

        def judge(error: Exception) -> Exception | None:
            attempts.append(error)
            return process_exception(error)

        async def later() -> Exchange:
            while len(attempts) < 3:
                await asyncio.sleep(0.01)
            return await Exchange(ExchangeConfig(feed="synthetic", port=port, plain=True, count=1,
                                                 speed=None)).__aenter__()

        coming = asyncio.create_task(later())
        async for ws in connect(f"ws://127.0.0.1:{port}/", backoff=FAST, process_exception=judge):
            assert await ws.recv()
            break
        assert len(attempts) >= 3
        assert all(isinstance(error, ConnectError) for error in attempts)
        await (await coming).__aexit__(None, None, None)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_fatal_error_ends_it_as_judged() -> None:
    class GivenUpError(Exception):
        pass

    async def first() -> None:
        async for _ in connect("ws://127.0.0.1:9/", process_exception=lambda error: GivenUpError()):
            pytest.fail("nobody listens on the discard port")

    async def main() -> None:
        with pytest.raises(GivenUpError):
            await first()
        while drivers._drivers.get(asyncio.get_running_loop()):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 30))
