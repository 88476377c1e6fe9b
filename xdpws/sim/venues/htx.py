"""HTX (Huobi): everything gzip'd in binary frames, pings as JSON, order books by incremental updates (MBP).

A book is requested once (`req`) and then chained by seqNum and prevSeqNum.
"""
from __future__ import annotations

import re

from xdpws.sim.venues.dialogue import Cut, Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Levels, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["HTX"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}{pair.quote}".lower())
_TOPIC = re.compile(r"market\.([a-z0-9]+)\.(mbp\.(?:5|20|150|400)|depth\.step0|trade\.detail)")


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._topics: dict[str, tuple[Book, str]] = {}
        self._unanswered = 0

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        if not isinstance(message, dict):
            return Heard([_error(None, now_ms, "invalid json")])
        if "pong" in message:
            self._unanswered = 0
            return Heard([])
        if "ping" in message:
            return Heard([dumps({"pong": message["ping"]})])
        verb = next((verb for verb in ("sub", "unsub", "req") if verb in message), "")
        name, number = message.get(verb), message.get("id")
        topic = self._topic(name)
        if topic is None:
            return Heard([_error(number, now_ms, f"invalid topic {name}")])
        if verb == "req":
            book = topic[0]
            return Heard([dumps({"id": number, "rep": name, "status": "ok", "ts": now_ms, "data": {
                "seqNum": book.last, "bids": _rows(book, book.best_bids()), "asks": _rows(book, book.best_asks())}})])
        if verb == "sub":
            self._topics[str(name)] = topic
        else:
            self._topics.pop(str(name), None)
        return Heard([dumps({"id": number, "status": "ok", f"{verb}bed": name, "ts": now_ms})], 1)

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for name, (book, kind) in self._topics.items():
            tick = _tick(kind, change) if book is change.book else None
            if tick is not None:
                out.append(dumps({"ch": name, "ts": change.now_ms, "tick": tick}))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        self._unanswered += 1
        if self._unanswered > 2:
            return [Cut("two pings without a pong")]
        return [dumps({"ping": now_ms})]

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._topics)

    def _topic(self, name: object) -> tuple[Book, str] | None:
        match = _TOPIC.fullmatch(name) if isinstance(name, str) else None
        pair = _SYMBOLS.get(match[1]) if match else None
        return (self._setting.market.book(pair), match[2]) if match and pair else None


def _tick(kind: str, change: Change) -> dict[str, object] | None:
    book = change.book
    if kind.startswith("mbp"):
        return {"seqNum": change.last, "prevSeqNum": change.previous, "asks": _rows(book, change.asks),
                "bids": _rows(book, change.bids)}
    if kind == "depth.step0":
        return {"bids": _rows(book, book.best_bids()), "asks": _rows(book, book.best_asks()), "version": change.last,
                "ts": change.now_ms}
    if change.trade is None:
        return None
    trade = change.trade
    return {"id": trade.number, "ts": change.now_ms, "data": [{
        "id": trade.number, "ts": change.now_ms, "tradeId": trade.number, "amount": float(book.quantity(trade.lots)),
        "price": float(book.price(trade.ticks)), "direction": "sell" if trade.buyer_is_maker else "buy"}]}


def _rows(book: Book, levels: Levels) -> list[list[float]]:
    return [[float(price), float(quantity)] for price, quantity in book.texts(levels)]


def _error(number: object, now_ms: int, text: str) -> str:
    return dumps({"id": number, "status": "error", "ts": now_ms, "err-code": "bad-request", "err-msg": text})


HTX = Venue("htx", "/feed", Rules(encoding="gzip", beat_s=5, messages=Rate(50, 1)), _Dialogue,
            symbols=tuple(_SYMBOLS))
