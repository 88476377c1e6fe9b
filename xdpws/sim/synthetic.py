"""A synthetic exchange feed: what a Binance-like combined stream of trade, bookTicker and depth@100ms looks like.

Deterministic: the same seed, count and options give the same bytes on every machine. What it keeps true:

* depth updates of a symbol are continuous, `U` is the previous `u` + 1; every book change has its own update id, and
  a bookTicker's `u` is the id of the change that made it;
* prices lie on the tick grid; a quantity of zero removes a level; a book built from the depth updates never crosses;
* trade ids rise by one; event times rise with the record times;
* messages come in bursts: sizes with a Pareto tail (most are 1 or 2, some reach hundreds), a few microseconds apart.

It models no order flow: prices are a random walk and sizes are drawn, so it is data to transport, not to trade on.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from xdpws.errors import UsageError
from xdpws.sim.feed import TEXT, Record
from xdpws.sim.stamp import SLOT

__all__ = ["Synthetic"]

_EPOCH_MS = 1_700_000_000_000
_DEPTH_PERIOD_NS = 100_000_000
_BURST_TAIL = 1.5
"""Pareto exponent of burst sizes: below 2 the variance is unbounded, as recorded feeds show; cut at _BURST_MAX."""
_BURST_MAX = 600
_BURST_MEAN = 2.53
"""Mean of the truncated, rounded-down distribution above; turns messages a second into bursts a second."""
_TRADE_SHARE = 0.22
_DEEPEST = 500
"""Levels further than this many ticks from the touch are removed from the book, so that it stays bounded."""


@dataclass(slots=True)
class _Market:
    """The book of one symbol, as far as messages show it. Prices are counted in ticks, quantities in lots."""

    symbol: str
    bid: int
    tick_digits: int
    lot_digits: int
    spread: int = 1
    update_id: int = 50_000_000_000
    last_depth_id: int = 50_000_000_000
    trade_id: int = 3_000_000_000
    changed: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    shown: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))

    def price(self, ticks: int) -> str:
        return _fixed(ticks, self.tick_digits)

    def quantity(self, lots: int) -> str:
        return _fixed(lots, self.lot_digits)


def _fixed(value: int, digits: int) -> str:
    whole, part = divmod(value, 10**digits)
    return f"{whole}.{part:0{digits}d}"


class Synthetic:
    """A re-iterable feed of `count` records with direction "rx"; iterating generates it anew, lazily.

    `rate` is the mean number of messages a second of recorded time. With `stamp` every message begins with a slot
    for its send time (`xdpws.sim.stamp`), which the server fills.
    """

    venue = "binance-synthetic"

    def __init__(self, count: int = 10_000, seed: int = 1, rate: float = 250.0, stamp: bool = False) -> None:
        if count < 1:
            raise UsageError(f"count: {count} is not a positive number of messages")
        if not 0.01 <= rate <= 1e7:
            raise UsageError(f"rate: {rate} is not within 0.01 and 10,000,000 messages a second")
        self.count = count
        self.seed = seed
        self.rate = rate
        self.stamp = stamp

    def __iter__(self) -> Iterator[Record]:
        rng = random.Random(f"synthetic {self.seed}")
        lead = SLOT.decode() + '",' if self.stamp else "{"
        for number, (t_ns, symbol, stream, data) in enumerate(self._events(rng)):
            if number == self.count:
                return
            text = f'{lead}"stream":"{symbol}@{stream}","data":{data}}}'
            yield Record(t_ns, "rx", TEXT, text.encode("ascii"))

    def messages(self) -> Iterator[Record]:
        """The same as iterating: every record is a data message of the server."""
        return iter(self)

    def _events(self, rng: random.Random) -> Iterator[tuple[int, str, str, str]]:
        markets = (_Market("btcusdt", 6_180_020, 2, 5), _Market("ethusdt", 262_143, 2, 4))
        t_ns, next_depth_ns = 0, _DEPTH_PERIOD_NS
        while True:
            t_ns += int(rng.expovariate(1.0) * 1e9 * _BURST_MEAN / self.rate)
            for _ in range(min(_BURST_MAX, int(rng.paretovariate(_BURST_TAIL)))):
                t_ns += 1_000 + int(rng.expovariate(1.0) * 4_000)
                while next_depth_ns <= t_ns:
                    for market in markets:
                        if market.update_id > market.last_depth_id:
                            yield next_depth_ns, market.symbol, "depth@100ms", _depth(market, next_depth_ns)
                    next_depth_ns += _DEPTH_PERIOD_NS
                market = markets[rng.random() < 0.3]
                if rng.random() < _TRADE_SHARE:
                    yield t_ns, market.symbol, "trade", _trade(market, rng, t_ns)
                else:
                    yield t_ns, market.symbol, "bookTicker", _book_ticker(market, rng)


def _lots(rng: random.Random) -> int:
    """A quantity with a heavy tail, at least one lot."""
    return 1 + int(rng.paretovariate(0.8) * 50 * rng.random()) % 90_000_000


def _change_book(market: _Market, rng: random.Random) -> tuple[int, int]:
    """Some book changes, each with its id; the last one is at the touch. Returns its quantities (bid, ask) in lots."""
    market.bid = max(1_000, market.bid + round(rng.gauss(0.0, 1.2)))
    market.spread = 1 + int(rng.expovariate(1.5))
    bids, asks = market.changed
    for _ in range(1 + int(rng.expovariate(0.7))):
        market.update_id += 1
        away, lots = int(rng.expovariate(0.08)), 0 if rng.random() < 0.35 else _lots(rng)
        if rng.random() < 0.5:
            bids[market.bid - away - 1] = lots
        else:
            asks[market.bid + market.spread + away + 1] = lots
    market.update_id += 1
    bid_lots, ask_lots = _lots(rng), _lots(rng)
    bids[market.bid] = bid_lots
    asks[market.bid + market.spread] = ask_lots
    return bid_lots, ask_lots


def _book_ticker(market: _Market, rng: random.Random) -> str:
    bid_lots, ask_lots = _change_book(market, rng)
    return (f'{{"u":{market.update_id},"s":"{market.symbol.upper()}","b":"{market.price(market.bid)}",'
            f'"B":"{market.quantity(bid_lots)}","a":"{market.price(market.bid + market.spread)}",'
            f'"A":"{market.quantity(ask_lots)}"}}')


def _trade(market: _Market, rng: random.Random, t_ns: int) -> str:
    market.trade_id += 1
    buyer_is_maker = rng.random() < 0.5
    ticks = market.bid if buyer_is_maker else market.bid + market.spread
    ms = _EPOCH_MS + t_ns // 1_000_000
    return (f'{{"e":"trade","E":{ms},"s":"{market.symbol.upper()}","t":{market.trade_id},"p":"{market.price(ticks)}",'
            f'"q":"{market.quantity(_lots(rng))}","T":{ms},"m":{"true" if buyer_is_maker else "false"},"M":true}}')


def _tidy(levels: dict[int, int], shown: set[int], touch: int, sign: int) -> None:
    """Remove what the moving touch has crossed or left far behind, and keep the record of what a client has.

    `sign` is -1 for bids, where deeper is lower, and 1 for asks.
    """
    for ticks in shown | levels.keys():
        if not 0 <= sign * (ticks - touch) <= _DEEPEST:
            levels[ticks] = 0
    shown |= {ticks for ticks, lots in levels.items() if lots}
    shown -= {ticks for ticks, lots in levels.items() if not lots}


def _depth(market: _Market, t_ns: int) -> str:
    first, market.last_depth_id = market.last_depth_id + 1, market.update_id
    touches = (market.bid, market.bid + market.spread)
    sides = []
    for levels, shown, touch, sign in zip(market.changed, market.shown, touches, (-1, 1), strict=True):
        _tidy(levels, shown, touch, sign)
        rows = (f'["{market.price(ticks)}","{market.quantity(levels[ticks])}"]'
                for ticks in sorted(levels, reverse=sign < 0))
        sides.append("[" + ",".join(rows) + "]")
        levels.clear()
    return (f'{{"e":"depthUpdate","E":{_EPOCH_MS + t_ns // 1_000_000},"s":"{market.symbol.upper()}",'
            f'"U":{first},"u":{market.last_depth_id},"b":{sides[0]},"a":{sides[1]}}}')
