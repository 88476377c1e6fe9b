"""OKX v5, OKX v3 and Bitget: subscriptions by a list of args, text pings, books with a checksum.

They differ in a few words, which `_Words` holds. OKX v3 sends everything as raw DEFLATE in binary frames.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdpws.sim.venues.checksum import interleaved
from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Pair, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["BITGET", "OKX", "OKX_V3"]


@dataclass(frozen=True, slots=True)
class _Words:
    """How a venue of this family says things. `books` and `trades` are channel names."""

    symbols: dict[str, Pair]
    books: tuple[str, ...]
    trades: tuple[str, ...]
    v3: bool
    wrong: Callable[[object], dict[str, object]]
    level: Callable[[list[str]], list[str]]
    trade: Callable[[str, Change], object]
    notice: bool = False


class _Dialogue:
    def __init__(self, setting: Setting, words: _Words) -> None:
        self._setting, self._words = setting, words
        self._channels: dict[str, tuple[Book, bool, Any]] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        if text == "ping":
            return Heard(["pong"])
        message = loads(text)
        op = message.get("op") if isinstance(message, dict) else None
        args = message.get("args") if isinstance(message, dict) else None
        if op not in ("subscribe", "unsubscribe") or not isinstance(args, list):
            return Heard([dumps(self._words.wrong(text))])
        answers: list[Out] = []
        for arg in args:
            answers += self._subscribe(arg, now_ms) if op == "subscribe" else self._unsubscribe(arg)
        return Heard(answers, len(args))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for book, is_book, arg in self._channels.values():
            if book is change.book and is_book:
                out.append(self._book(book, arg, "update", change))
            elif book is change.book and change.trade is not None:
                out.append(self._data(arg, "update", [self._words.trade(self._name(arg)[1], change)], books=False))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        if not self._words.notice:
            return []
        return [dumps({"event": "notice", "code": "64008", "connId": self._setting.name,
                       "msg": "The connection will soon be closed for a service upgrade. Please reconnect."})]

    def subscriptions(self) -> int:
        return len(self._channels)

    def _name(self, arg: Any) -> tuple[str, str]:
        """Channel and instrument of an argument."""
        if self._words.v3 and isinstance(arg, str):
            channel, _, instrument = arg.partition(":")
            return channel, instrument
        if not self._words.v3 and isinstance(arg, dict):
            return str(arg.get("channel")), str(arg.get("instId"))
        return "", ""

    def _subscribe(self, arg: Any, now_ms: int) -> list[Out]:
        channel, instrument = self._name(arg)
        pair = self._words.symbols.get(instrument)
        limit = self._setting.rules.channels
        full = limit is not None and len(self._channels) >= limit
        if pair is None or full or channel not in self._words.books + self._words.trades:
            return [dumps(self._words.wrong(arg))]
        is_book = channel in self._words.books
        book = self._setting.market.book(pair)
        self._channels[dumps(arg)] = (book, is_book, arg)
        answers: list[Out] = [dumps(self._event("subscribe", arg))]
        if is_book:
            whole = Change(book, now_ms, book.last, book.last, book.last, book.best_bids(), book.best_asks(), None)
            answers.append(self._book(book, arg, "snapshot", whole))
        return answers

    def _unsubscribe(self, arg: Any) -> list[Out]:
        known = self._channels.pop(dumps(arg), None)
        return [dumps(self._event("unsubscribe", arg) if known else self._words.wrong(arg))]

    def _event(self, event: str, arg: Any) -> dict[str, object]:
        return {"event": event, "channel" if self._words.v3 else "arg": arg}

    def _book(self, book: Book, arg: Any, action: str, change: Change) -> str:
        asks, bids = ([self._words.level(row) for row in book.texts(side)] for side in (change.asks, change.bids))
        row: dict[str, object] = {"asks": asks, "bids": bids}
        if self._words.v3:
            row = {"instrument_id": self._name(arg)[1], **row, "timestamp": change.now_ms}
        else:
            row["ts"] = str(change.now_ms)
        return self._data(arg, action, [{**row, "checksum": interleaved(book)}], books=True)

    def _data(self, arg: Any, action: str, rows: list[object], books: bool) -> str:
        if self._words.v3:
            more = {"action": "partial" if action == "snapshot" else action} if books else {}
            return dumps({"table": self._name(arg)[0], **more, "data": rows})
        return dumps({"arg": arg, "action": action, "data": rows} if books else {"arg": arg, "data": rows})


def _okx_trade(instrument: str, change: Change) -> object:
    trade, book = change.trade, change.book
    assert trade is not None
    return {"instId": instrument, "tradeId": str(trade.number), "px": book.price(trade.ticks),
            "sz": book.quantity(trade.lots), "side": "sell" if trade.buyer_is_maker else "buy",
            "ts": str(change.now_ms)}


def _v3_trade(instrument: str, change: Change) -> object:
    trade, book = change.trade, change.book
    assert trade is not None
    return {"side": "sell" if trade.buyer_is_maker else "buy", "trade_id": str(trade.number),
            "price": book.price(trade.ticks), "size": book.quantity(trade.lots), "instrument_id": instrument,
            "timestamp": change.now_ms}


def _bitget_trade(instrument: str, change: Change) -> object:
    trade, book = change.trade, change.book
    assert trade is not None
    return {"ts": str(change.now_ms), "price": book.price(trade.ticks), "size": book.quantity(trade.lots),
            "side": "sell" if trade.buyer_is_maker else "buy", "tradeId": str(trade.number)}


def _venue(name: str, path: str, rules: Rules, words: _Words) -> Venue:
    return Venue(name, path, rules, lambda setting: _Dialogue(setting, words), symbols=tuple(words.symbols))


_DASHED = catalogue(lambda pair: f"{pair.base}-{pair.quote}")
_DAY = 86_400.0
OKX = _venue("okx", "/ws/v5/public",
             Rules(idle_s=30, push_counts=True, notice_s=30, connects=Rate(3, 1), subscribes=Rate(480, 3600),
                   deflate="yes", life_s=None),
             _Words(_DASHED, ("books", "books-l2-tbt", "books50-l2-tbt"), ("trades",), False,
                    lambda arg: {"event": "error", "code": "60018", "connId": "xdpws-sim",
                                 "msg": f"Wrong URL or {dumps(arg)} doesn't exist."},
                    lambda row: [*row, "0", "1"], _okx_trade, notice=True))
OKX_V3 = _venue("okx-v3", "/ws/v3", Rules(encoding="raw-deflate", idle_s=30, subscribes=Rate(240, 3600)),
                _Words(_DASHED, ("spot/depth", "spot/depth_l2_tbt", "swap/depth"), ("spot/trade", "swap/trade"), True,
                       lambda arg: {"event": "error", "message": f"Channel {dumps(arg)} doesn't exist",
                                    "errorCode": 30040},
                       lambda row: [*row, "1"], _v3_trade))
BITGET = _venue("bitget", "/v2/ws/public",
                Rules(idle_s=120, life_s=_DAY, connects=Rate(300, 300), connections=100, messages=Rate(10, 1),
                      subscribes=Rate(240, 3600), channels=1000),
                _Words(catalogue(lambda pair: f"{pair.base}{pair.quote}"), ("books",), ("trade",), False,
                       lambda arg: {"event": "error", "code": 30001, "msg": f"{dumps(arg)} doesn't exist"},
                       list, _bitget_trade))
