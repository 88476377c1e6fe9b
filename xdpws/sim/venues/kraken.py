"""Kraken spot v2: heartbeats each second, numbers as JSON numbers, books whose checksum covers the ten best levels.

A book of depth N shows the N best levels: what falls out of them is not deleted by a message, the client cuts it off.
"""
from __future__ import annotations

import json
from datetime import UTC, datetime

from xdpws.sim.venues.checksum import kraken
from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Levels, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["DEPTHS", "KRAKEN", "Shown"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}/{pair.quote}")
DEPTHS = (10, 25, 100, 500, 1000)


class Shown:
    """A book as one client sees it: its best levels as they were last time."""

    def __init__(self, book: Book, depth: int) -> None:
        self.book, self.depth = book, depth
        self._bids = dict(book.best_bids(depth))
        self._asks = dict(book.best_asks(depth))

    def changes(self) -> tuple[Levels, Levels]:
        """What has changed since, bids and asks."""
        bids, asks = dict(self.book.best_bids(self.depth)), dict(self.book.best_asks(self.depth))
        changed = _difference(self._bids, bids, self.book.bids), _difference(self._asks, asks, self.book.asks)
        self._bids, self._asks = bids, asks
        return changed


def _difference(before: dict[int, int], after: dict[int, int], all_levels: dict[int, int]) -> Levels:
    gone = [(ticks, 0) for ticks in before if ticks not in all_levels]
    return gone + [(ticks, lots) for ticks, lots in after.items() if before.get(ticks) != lots]


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._books: dict[str, Shown] = {}
        self._trades: dict[str, Book] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return [dumps({"channel": "status", "data": [{"api_version": "v2", "connection_id": 1, "system": "online",
                                                      "version": "xdpws-sim"}], "type": "update"})]

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        if not isinstance(message, dict):
            return Heard([dumps({"error": "Malformed request", "success": False})])
        method, request = message.get("method"), message.get("req_id")
        number = {} if request is None else {"req_id": request}
        if method == "ping":
            return Heard([dumps({"method": "pong", **number, "time_in": _iso(now_ms), "time_out": _iso(now_ms)})])
        params = message.get("params")
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
            return Heard([dumps({"error": "Unsupported method", "method": method, "success": False, **number})])
        answers: list[Out] = []
        symbols = params.get("symbol", [])
        for symbol in symbols:
            answers += self._one(method, params, symbol, {**number, "time_in": _iso(now_ms), "time_out": _iso(now_ms)})
        return Heard(answers, len(symbols))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for symbol, shown in self._books.items():
            if shown.book is change.book:
                bids, asks = shown.changes()
                if bids or asks:
                    out.append(_book(symbol, "update", change.book, bids, asks, change.now_ms))
        for symbol, book in self._trades.items():
            if book is change.book and change.trade is not None:
                out.append(_trade(symbol, change))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return [dumps({"channel": "heartbeat"})]

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._books) + len(self._trades)

    def _one(self, method: str, params: dict[str, object], symbol: str, common: dict[str, object]) -> list[Out]:
        channel, depth = params.get("channel"), params.get("depth", 10)
        pair = _SYMBOLS.get(symbol)
        if pair is None or channel not in ("book", "trade") or depth not in DEPTHS:
            wrong = "Currency pair not supported" if pair is None else "Channel or depth not supported"
            return [dumps({"error": f"{wrong} {symbol}", "method": method, "success": False, "symbol": symbol,
                           **common})]
        result: dict[str, object] = {"channel": channel, "snapshot": True, "symbol": symbol}
        if channel == "book":
            result["depth"] = depth
        ack = dumps({"method": method, "result": result, "success": True, **common})
        if method == "unsubscribe":
            (self._books if channel == "book" else self._trades).pop(symbol, None)
            return [ack]
        book = self._setting.market.book(pair)
        if channel == "trade":
            self._trades[symbol] = book
            return [ack]
        assert isinstance(depth, int)
        self._books[symbol] = Shown(book, depth)
        return [ack, _book(symbol, "snapshot", book, book.best_bids(depth), book.best_asks(depth), 0)]


def _book(symbol: str, kind: str, book: Book, bids: Levels, asks: Levels, now_ms: int) -> str:
    """Written by hand: numbers must keep all their digits, which a float would lose."""
    def rows(levels: Levels) -> str:
        return ",".join(f'{{"price":{price},"qty":{quantity}}}' for price, quantity in book.texts(levels))

    time = f',"timestamp":"{_iso(now_ms)}"' if now_ms else ""
    return (f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{rows(bids)}],'
            f'"asks":[{rows(asks)}],"checksum":{kraken(book)}{time}}}]}}')


def _trade(symbol: str, change: Change) -> str:
    trade, book = change.trade, change.book
    assert trade is not None
    side = "sell" if trade.buyer_is_maker else "buy"
    return (f'{{"channel":"trade","type":"update","data":[{{"symbol":{json.dumps(symbol)},"side":"{side}",'
            f'"price":{book.price(trade.ticks)},"qty":{book.quantity(trade.lots)},"ord_type":"limit",'
            f'"trade_id":{trade.number},"timestamp":"{_iso(change.now_ms)}"}}]}}')


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


KRAKEN = Venue("kraken", "/v2", Rules(beat_s=1, connects=Rate(150, 600)), _Dialogue, symbols=tuple(_SYMBOLS))
