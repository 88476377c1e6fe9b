"""xdpws.sim.venues.market and checksum: books are deterministic, never crossed, and changes rebuild them."""
from __future__ import annotations

import zlib

import pytest

from xdpws.errors import UsageError
from xdpws.sim.venues.checksum import interleaved, kraken
from xdpws.sim.venues.market import DEPTH, PAIRS, SHALLOW, Levels, Market, catalogue
from xdpws.sim.venues.rules import Rate, Rules, with_limits


def apply(side: dict[int, int], levels: Levels) -> None:
    for ticks, lots in levels:
        if lots:
            side[ticks] = lots
        else:
            side.pop(ticks, None)


@pytest.mark.parametrize("seed", range(5))
def test_changes_rebuild_the_book_and_it_never_crosses(seed: int) -> None:
    market = Market(seed)
    book = market.book(PAIRS[seed % len(PAIRS)])
    bids, asks, last, trade = dict(book.bids), dict(book.asks), book.last, book.trades
    for now_ms in range(3000):
        change = market.step(now_ms)
        assert change is not None
        apply(bids, change.bids)
        apply(asks, change.asks)
        assert (bids, asks) == (book.bids, book.asks)
        assert max(bids) < min(asks)
        assert SHALLOW <= min(len(bids), len(asks)) <= max(len(bids), len(asks)) <= DEPTH
        assert (change.previous, change.first) == (last, last + 1)
        assert change.last == last + len(change.bids) + len(change.asks)
        last = change.last
        if change.trade is not None:
            assert change.trade.number == trade + 1
            trade = change.trade.number
    assert trade > 1_000_100, "there are trades"


def test_the_same_seed_gives_the_same_books() -> None:
    def play(seed: int) -> list[str]:
        market, out = Market(seed), []
        books = [market.book(pair) for pair in PAIRS[:3]]
        for now_ms in range(200):
            change = market.step(now_ms)
            assert change is not None
            out.append(f"{books.index(change.book)} {change.bids} {change.asks} {change.trade}")
        return out

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_only_books_that_were_asked_for_move() -> None:
    market = Market()
    assert market.step(0) is None
    book = market.book(PAIRS[0])
    assert market.book(PAIRS[0]) is book
    change = market.step(0)
    assert change is not None
    assert change.book is book


def test_prices_and_quantities_have_all_their_digits() -> None:
    book = Market().book(PAIRS[5])
    assert (book.price(5), book.price(123456), book.quantity(1)) == ("0.00005", "1.23456", "0.00000001")
    assert catalogue(lambda pair: f"{pair.base}-{pair.quote}")["BTC-USDT"] is PAIRS[0]


def test_checksums_are_those_of_the_text_the_venues_describe() -> None:
    book = Market().book(PAIRS[0])
    book.bids, book.asks = {100: 7, 99: 8, 98: 9}, {101: 1, 103: 2}
    text = "1.00:0.00007:1.01:0.00001:0.99:0.00008:1.03:0.00002:0.98:0.00009"
    crc = zlib.crc32(text.encode())
    assert interleaved(book) == (crc if crc < 1 << 31 else crc - (1 << 32))
    assert kraken(book) == zlib.crc32(b"10111032" + b"1007998989"), "asks first, no points, no leading zeros"


def test_limits_change_rules() -> None:
    rules = with_limits(Rules(life_s=5), ("ping_s=0.5", "connects=3/60", "connections=2", "life_s=none", "deflate=yes",
                                          "push_counts=yes", "encoding=gzip"))
    assert rules == Rules(ping_s=0.5, connects=Rate(3, 60.0), connections=2, deflate="yes", push_counts=True,
                          encoding="gzip")


@pytest.mark.parametrize("limit", ["ping_s", "nonsense=1", "ping_s=soon", "connects=3", "connections=x", "pong_s=none",
                                   "encoding=zip", "pings_count=1"])
def test_what_is_no_limit_is_said(limit: str) -> None:
    with pytest.raises(UsageError, match="limit: "):
        with_limits(Rules(), (limit,))
