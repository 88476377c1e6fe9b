"""Bybit v5 public: JSON pings, order books whose update id rises by one, two shapes of acknowledgement.

On linear the first snapshot comes before its acknowledgement, as it was recorded.
"""
from __future__ import annotations

import re

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["LINEAR", "SPOT"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}{pair.quote}")
_TOPIC = re.compile(r"(?:orderbook\.(1|50|200|500)|publicTrade)\.([A-Z0-9]+)")
_ARGS = 10


class _Topic:
    """One subscription; `number` is the update id, `depth` 0 for trades."""

    def __init__(self, book: Book, depth: int) -> None:
        self.book, self.depth, self.number = book, depth, 1000


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._spot = setting.target.startswith("/v5/public/spot")
        self._topics: dict[str, _Topic] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        if not isinstance(message, dict):
            return Heard([dumps({"success": False, "ret_msg": "error:json", "conn_id": self._setting.name})])
        op, args, req = message.get("op"), message.get("args", []), message.get("req_id", "")
        if op == "ping":
            return Heard([self._answer(True, "pong", req, "ping")])
        if op not in ("subscribe", "unsubscribe") or not isinstance(args, list):
            return Heard([self._answer(False, f"error:unknown op {op}", req, str(op))])
        if self._spot and len(args) > _ARGS:
            return Heard([self._answer(False, f"args size >{_ARGS}", req, op)])
        wrong = [arg for arg in args if self._topic(arg) is None]
        if wrong:
            return Heard([self._answer(False, f"error:handler not found,topic:{wrong[0]}", req, op)])
        ack = self._answer(True, op if self._spot else "", req, op)
        if op == "unsubscribe":
            for arg in args:
                self._topics.pop(arg, None)
            return Heard([ack], len(args))
        snapshots = [out for arg in args for out in self._subscribe(arg, now_ms)]
        return Heard([ack, *snapshots] if self._spot else [*snapshots, ack], len(args))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for name, topic in self._topics.items():
            if topic.book is not change.book:
                continue
            if topic.depth == 0:
                out += [self._trade(name, change)] if change.trade else []
                continue
            topic.number += 1
            if topic.depth == 1:
                out.append(self._snapshot(name, topic, change.now_ms))
            else:
                out.append(self._book(name, topic, "delta", change.now_ms, change.book.texts(change.bids),
                                      change.book.texts(change.asks)))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._topics)

    def _topic(self, name: object) -> _Topic | None:
        match = _TOPIC.fullmatch(name) if isinstance(name, str) else None
        pair = _SYMBOLS.get(match[2]) if match else None
        return _Topic(self._setting.market.book(pair), int(match[1] or 0)) if match and pair else None

    def _subscribe(self, name: str, now_ms: int) -> list[Out]:
        topic = self._topic(name)
        assert topic is not None, "checked before"
        self._topics[name] = topic
        return [self._snapshot(name, topic, now_ms)] if topic.depth else []

    def _snapshot(self, name: str, topic: _Topic, now_ms: int) -> str:
        bids, asks = topic.book.best_bids(topic.depth), topic.book.best_asks(topic.depth)
        return self._book(name, topic, "snapshot", now_ms, topic.book.texts(bids), topic.book.texts(asks))

    def _book(self, name: str, topic: _Topic, kind: str, now_ms: int, bids: object, asks: object) -> str:
        return dumps({"topic": name, "type": kind, "ts": now_ms, "data": {
            "s": name.rpartition(".")[2], "b": bids, "a": asks, "u": topic.number, "seq": topic.book.last},
            "cts": now_ms})

    def _trade(self, name: str, change: Change) -> str:
        trade, book = change.trade, change.book
        assert trade is not None
        return dumps({"topic": name, "type": "snapshot", "ts": change.now_ms, "data": [{
            "T": change.now_ms, "s": name.rpartition(".")[2], "S": "Sell" if trade.buyer_is_maker else "Buy",
            "v": book.quantity(trade.lots), "p": book.price(trade.ticks), "i": str(trade.number), "BT": False}]})

    def _answer(self, success: bool, text: str, req: object, op: str) -> str:
        return dumps({"success": success, "ret_msg": text, "conn_id": self._setting.name, "req_id": req, "op": op})


_RULES = Rules(idle_s=600, push_counts=True, connects=Rate(500, 300), connections=1000)
SPOT = Venue("bybit", "/v5/public/spot", _RULES, _Dialogue, symbols=tuple(_SYMBOLS))
LINEAR = Venue("bybit-linear", "/v5/public/linear", _RULES, _Dialogue, symbols=tuple(_SYMBOLS))
