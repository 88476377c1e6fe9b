"""xdpws.connect with a venue's own keep-alive stays where a silent client is cut; a venue that is mute is noticed."""
from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

import xdpws
from xdpws.sim.venues.config import VenueConfig
from xdpws.sim.venues.server import VenueExchange

WAYS: dict[str, tuple[str, Any]] = {
    "bitget": ("", xdpws.Keepalive("ping", interval_s=0.3, answer="pong")),
    "okx": ("", xdpws.Keepalive("ping", interval_s=0.3, answer="pong")),
    "bybit": ("", xdpws.Keepalive('{"op":"ping"}', interval_s=0.3)),
    "kucoin": ("?token=xdpws-sim", xdpws.Keepalive('{"id":1,"type":"ping"}', interval_s=0.3)),
    "upbit": ("", xdpws.Keepalive("PING", interval_s=0.3)),
}
"""Venue → query, and the keep-alive that it wants, at a pace for a venue whose patience is a second."""


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await work

    asyncio.run(limited())


@pytest.mark.parametrize("name", WAYS)
def test_with_the_venues_ping_a_connection_stays_and_without_it_is_cut(name: str) -> None:
    query, keepalive = WAYS[name]

    async def work() -> None:
        rules = VenueConfig(name).rules
        assert rules.idle_s is not None
        async with VenueExchange(VenueConfig(name, port=0, plain=True, time_scale=rules.idle_s)) as venue:
            url = venue.url + query
            async with (xdpws.connect(url, transport="socket", ping_interval=None, keepalive=keepalive) as kept,
                        xdpws.connect(url, transport="socket", ping_interval=None) as silent):
                await silent.wait_closed()
                await asyncio.sleep(1.5)  # past the patience of a second: nothing is to happen
                assert kept.state is xdpws.State.OPEN
            assert venue.results[0].reason.startswith("silent for")

    run(work())


def test_a_venue_that_goes_mute_is_noticed_by_idle_timeout_though_it_answers() -> None:
    async def work() -> None:
        async with VenueExchange(VenueConfig("okx", port=0, plain=True, mute_after=5)) as venue:
            keepalive = xdpws.Keepalive("ping", interval_s=0.2, answer="pong")
            async with xdpws.connect(venue.url, transport="socket", ping_interval=0.2, keepalive=keepalive,
                                     idle_timeout=1) as ws:
                await ws.send('{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}')
                for _ in range(7):  # the answer, the snapshot and five updates
                    await ws.recv()
                with pytest.raises(xdpws.ConnectionClosedError):
                    await ws.recv()

    run(work())
