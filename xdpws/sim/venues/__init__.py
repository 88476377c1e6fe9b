"""Venues as their clients see them: subscriptions and their answers, pings, limits, coding, and books with the venue's
own numbers or checksums. `VENUES` lists them, `xdpws.sim.venues.server.VenueExchange` plays one.

What was documented or recorded is played; what a venue's public material does not say is chosen, and
docs/simulator.md says so. No code here reads a clock or a socket but `session` and `server`.
"""
from __future__ import annotations

from xdpws.sim.venues import (
    binance,
    bitfinex,
    bitmex,
    bitstamp,
    bybit,
    coinbase,
    deribit,
    gate,
    htx,
    kraken,
    kraken_futures,
    kraken_v1,
    kucoin,
    okx,
    upbit,
)
from xdpws.sim.venues.dialogue import Venue

__all__ = ["VENUES"]

VENUES: dict[str, Venue] = {venue.name: venue for venue in (
    binance.SPOT, binance.USDM, okx.BITGET, bitfinex.BITFINEX, bitmex.BITMEX, bitstamp.BITSTAMP, bybit.SPOT,
    bybit.LINEAR, coinbase.COINBASE, deribit.DERIBIT, gate.GATE, htx.HTX, kraken.KRAKEN, kraken_futures.KRAKEN_FUTURES,
    kraken_v1.KRAKEN_V1, kucoin.KUCOIN, okx.OKX, okx.OKX_V3, upbit.UPBIT)}
