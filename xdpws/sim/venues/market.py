"""Generated order books that all clients of a venue see move: deterministic, never crossed, every change numbered.

Prices are counted in ticks, quantities in lots, and printed with the instrument's digits, as venues do. A change holds
a few levels of one book and the numbers `first` to `last`, one a level; `previous` is the last number before it. Nobody
should trade on it: prices are a random walk.
"""
from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

__all__ = ["PAIRS", "Book", "Change", "Levels", "Market", "Pair", "Trade", "catalogue"]

DEPTH = 40
"""Levels a side never exceeds, so that a venue's books of 50 levels or more are never cut."""
SHALLOW = 26
"""Levels a side never falls below: one more than the 25 that checksums take."""
_FIRST = 1_000_000
_MOST_LEVELS = 4
_TRADE_SHARE = 0.3

Levels = list[tuple[int, int]]
"""(price in ticks, quantity in lots); a quantity of 0 removes the level."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An instrument: names, digits behind the point of price and quantity, and where its price begins (in ticks)."""

    base: str
    quote: str
    price_digits: int
    lot_digits: int
    begin: int


PAIRS = (
    Pair("BTC", "USDT", 2, 5, 6_180_020), Pair("ETH", "USDT", 2, 4, 262_143), Pair("SOL", "USDT", 2, 2, 14_530),
    Pair("BTC", "USD", 1, 8, 618_004), Pair("ETH", "USD", 2, 8, 262_110), Pair("XRP", "USD", 5, 8, 56_120),
)


def catalogue(name: Callable[[Pair], str], pairs: Iterable[Pair] = PAIRS) -> dict[str, Pair]:
    """The instruments by the names that a venue gives them."""
    return {name(pair): pair for pair in pairs}


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade: its number, price in ticks, quantity in lots, and whether the buyer's order was resting."""

    number: int
    ticks: int
    lots: int
    buyer_is_maker: bool


@dataclass(slots=True)
class Book:
    """All levels of one instrument, price in ticks → quantity in lots, and the number of its last change."""

    pair: Pair
    rng: random.Random
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    last: int = _FIRST
    trades: int = _FIRST
    touch: int = 0

    def __post_init__(self) -> None:
        self.touch = self.pair.begin
        for step in range(SHALLOW + 4):
            self.bids[self.touch - 1 - 2 * step] = self._lots()
            self.asks[self.touch + 1 + 2 * step] = self._lots()

    def price(self, ticks: int) -> str:
        """A price as text with all its digits."""
        return _fixed(ticks, self.pair.price_digits)

    def quantity(self, lots: int) -> str:
        """A quantity as text with all its digits."""
        return _fixed(lots, self.pair.lot_digits)

    def best_bids(self, count: int = DEPTH) -> Levels:
        """The highest bids, best first."""
        return sorted(self.bids.items(), reverse=True)[:count]

    def best_asks(self, count: int = DEPTH) -> Levels:
        """The lowest asks, best first."""
        return sorted(self.asks.items())[:count]

    def texts(self, levels: Levels) -> list[list[str]]:
        """[price, quantity] as text, the form of most venues."""
        return [[self.price(ticks), self.quantity(lots)] for ticks, lots in levels]

    def step(self, now_ms: int) -> Change:
        """Move the book once."""
        previous, changed = self.last, (dict[int, int](), dict[int, int]())
        for _ in range(self.rng.randint(1, _MOST_LEVELS)):
            self._change_level(changed)
        for side, levels, outwards in ((0, self.bids, -1), (1, self.asks, 1)):
            self._keep_depth(levels, changed[side], outwards)
        self.last += len(changed[0]) + len(changed[1])
        trade = None
        if self.rng.random() < _TRADE_SHARE:
            self.trades += 1
            maker = self.rng.random() < 0.5
            ticks = max(self.bids) if maker else min(self.asks)
            trade = Trade(self.trades, ticks, self._lots(), maker)
        return Change(self, now_ms, previous, previous + 1, self.last, sorted(changed[0].items(), reverse=True),
                      sorted(changed[1].items()), trade)

    def _change_level(self, changed: tuple[dict[int, int], dict[int, int]]) -> None:
        """Set or remove one level a little away from the touch, which wanders; what it crosses is removed."""
        self.touch = max(1000, self.touch + self.rng.choice((-1, 0, 0, 0, 1)))
        side = self.rng.random() < 0.5
        levels, outwards = (self.asks, 1) if side else (self.bids, -1)
        ticks = self.touch + outwards * (1 + int(self.rng.expovariate(0.15)))
        lots = 0 if ticks in levels and self.rng.random() < 0.4 else self._lots()
        _set(levels, changed[side], ticks, lots)
        for other, mine, sign in ((self.bids, 0, 1), (self.asks, 1, -1)):
            for crossed in [t for t in other if sign * (t - self.touch) >= 0]:
                _set(other, changed[mine], crossed, 0)

    def _keep_depth(self, levels: dict[int, int], changed: dict[int, int], outwards: int) -> None:
        while len(levels) > DEPTH:
            _set(levels, changed, max(levels, key=lambda ticks: outwards * ticks), 0)
        while len(levels) < SHALLOW:
            deepest = max(levels, key=lambda ticks: outwards * ticks, default=self.touch)
            _set(levels, changed, deepest + outwards * self.rng.randint(1, 3), self._lots())

    def _lots(self) -> int:
        return 1 + int(self.rng.paretovariate(0.8) * 50 * self.rng.random()) % 9_000_000


def _set(levels: dict[int, int], changed: dict[int, int], ticks: int, lots: int) -> None:
    if lots:
        levels[ticks] = lots
    else:
        levels.pop(ticks, None)
    changed[ticks] = lots


def _fixed(value: int, digits: int) -> str:
    whole, part = divmod(value, 10**digits)
    return f"{whole}.{part:0{digits}d}" if digits else str(whole)


@dataclass(frozen=True, slots=True)
class Change:
    """What one step changed, with the time in ms since 1970; `book` is already in the state after it."""

    book: Book
    now_ms: int
    previous: int
    first: int
    last: int
    bids: Levels
    asks: Levels
    trade: Trade | None


class Market:
    """The books of a venue. Only those that somebody has asked for move."""

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._rng = random.Random(f"market {seed}")
        self._books: dict[Pair, Book] = {}

    def book(self, pair: Pair) -> Book:
        """The book of an instrument; the same seed and number of steps give the same book."""
        if pair not in self._books:
            self._books[pair] = Book(pair, random.Random(f"book {self._seed} {pair.base} {pair.quote}"))
        return self._books[pair]

    def step(self, now_ms: int) -> Change | None:
        """Move one of the books; None while there is none."""
        if not self._books:
            return None
        return self._rng.choice(list(self._books.values())).step(now_ms)
