"""Binance: streams in the URL or by SUBSCRIBE, the server's pings, depth by U and u (spot) or pu and u (futures).

Not played: the errors' exact texts, SBE, order entry. REST: /api/v3/depth, the snapshot a book begins with.
"""
from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Market, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["SPOT", "USDM"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}{pair.quote}".lower())
_STREAM = re.compile(r"([a-z0-9]+)@(trade|aggTrade|bookTicker|depth(?:@(?:0|100|1000)ms)?)")


class _Dialogue:
    """`futures` decides the shape of depth updates and tickers."""

    def __init__(self, setting: Setting, futures: bool) -> None:
        self._setting, self._futures = setting, futures
        self._streams: dict[str, tuple[Book, str]] = {}
        url = urlsplit(setting.target)
        query = parse_qs(url.query)
        self._combined = url.path == "/stream"
        self._in_url = "/".join(query.get("streams", [])) if self._combined else url.path.removeprefix("/ws").strip("/")
        self._per_ms = 1000 if query.get("timeUnit") == ["MICROSECOND"] else 1

    def opened(self, now_ms: int) -> list[Out]:
        self._add([name for name in self._in_url.split("/") if name])
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        if not isinstance(message, dict) or "method" not in message:
            return Heard([dumps({"error": {"code": 3, "msg": "Invalid JSON"}, "id": None})])
        method, params, number = message["method"], message.get("params", []), message.get("id")
        changes = 0
        result: Any = None
        if method in ("SUBSCRIBE", "UNSUBSCRIBE") and isinstance(params, list):
            wrong = [name for name in params if self._stream(name) is None]
            limit = self._setting.rules.channels
            if wrong or (method == "SUBSCRIBE" and limit and len(self._streams) + len(params) > limit):
                what = f"unknown stream {wrong[0]}" if wrong else f"more than {limit} streams"
                return Heard([dumps({"error": {"code": 2, "msg": f"Invalid request: {what}"}, "id": number})])
            changes = len(params)
            self._add(params) if method == "SUBSCRIBE" else self._remove(params)
        elif method == "LIST_SUBSCRIPTIONS":
            result = sorted(self._streams)
        elif method == "GET_PROPERTY":
            result = self._combined
        elif method == "SET_PROPERTY" and isinstance(params, list) and params[:1] == ["combined"]:
            self._combined = bool(params[1])
        else:
            return Heard([dumps({"error": {"code": 2, "msg": f"Invalid request: method {method}"}, "id": number})])
        return Heard([dumps({"result": result, "id": number})], changes)

    def moved(self, change: Change) -> list[Out]:
        return [self._wrapped(name, data) for name, (book, kind) in self._streams.items() if book is change.book
                for data in [self._event(kind, change)] if data]

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return [self._wrapped("!serverShutdown", {"e": "serverShutdown", "E": now_ms * self._per_ms})]

    def subscriptions(self) -> int:
        return len(self._streams)

    def _stream(self, name: object) -> tuple[Book, str] | None:
        match = _STREAM.fullmatch(name) if isinstance(name, str) else None
        pair = _SYMBOLS.get(match[1]) if match else None
        return (self._setting.market.book(pair), match[2]) if match and pair else None

    def _add(self, names: list[str]) -> None:
        for name in names:
            if (stream := self._stream(name)) is not None:
                self._streams[name] = stream

    def _remove(self, names: list[str]) -> None:
        for name in names:
            self._streams.pop(name, None)

    def _wrapped(self, name: str, data: dict[str, object]) -> str:
        return dumps({"stream": name, "data": data} if self._combined else data)

    def _event(self, kind: str, change: Change) -> dict[str, object] | None:
        book, time = change.book, change.now_ms * self._per_ms
        symbol = f"{book.pair.base}{book.pair.quote}"
        if kind.startswith("depth"):
            chain: dict[str, object] = {"pu": change.previous} if self._futures else {}
            return {"e": "depthUpdate", "E": time, **({"T": time} if self._futures else {}), "s": symbol,
                    "U": change.first, "u": change.last, **chain, "b": book.texts(change.bids),
                    "a": book.texts(change.asks)}
        if kind == "bookTicker":
            (bid, bid_lots), (ask, ask_lots) = book.best_bids(1)[0], book.best_asks(1)[0]
            times: dict[str, object] = {"T": time, "E": time} if self._futures else {}
            return {"u": change.last, **({"e": "bookTicker"} if self._futures else {}), "s": symbol,
                    "b": book.price(bid), "B": book.quantity(bid_lots), "a": book.price(ask),
                    "A": book.quantity(ask_lots), **times}
        if change.trade is None:
            return None
        trade = change.trade
        numbers: dict[str, object] = {"t": trade.number} if kind == "trade" else {
            "a": trade.number, "f": trade.number, "l": trade.number}
        return {"e": kind, "E": time, "s": symbol, **numbers, "p": book.price(trade.ticks),
                "q": book.quantity(trade.lots), "T": time, "m": trade.buyer_is_maker}


def _depth(market: Market, method: str, target: str) -> str | None:
    url = urlsplit(target)
    query = parse_qs(url.query)
    pair = _SYMBOLS.get("".join(query.get("symbol", [])).lower())
    if method != "GET" or url.path not in ("/api/v3/depth", "/fapi/v1/depth") or pair is None:
        return None
    book = market.book(pair)
    bids, asks = book.texts(book.best_bids()), book.texts(book.best_asks())
    return dumps({"lastUpdateId": book.last, "bids": bids, "asks": asks})


_NAMES = tuple(_SYMBOLS)
_DAY = 86_400.0
SPOT = Venue("binance", "/ws", Rules(ping_s=20, pong_s=60, life_s=_DAY, messages=Rate(5, 1), pings_count=True,
                                     channels=1024, connects=Rate(300, 300), deflate="unasked"),
             lambda setting: _Dialogue(setting, False), _depth, _NAMES)
USDM = Venue("binance-usdm", "/ws", Rules(ping_s=180, pong_s=600, life_s=_DAY, messages=Rate(10, 1), pings_count=True,
                                          channels=1024, deflate="unasked"),
             lambda setting: _Dialogue(setting, True), _depth, _NAMES)
