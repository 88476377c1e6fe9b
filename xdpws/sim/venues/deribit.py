"""Deribit: JSON-RPC 2.0, books chained by change_id, and heartbeats that ask the client whether it is there."""
from __future__ import annotations

from xdpws.sim.venues.dialogue import Cut, Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Levels, catalogue
from xdpws.sim.venues.rules import Rules

__all__ = ["DERIBIT"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}-PERPETUAL" if pair.quote == "USD" else f"{pair.base}_{pair.quote}")
_LEAST_S = 10


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._books: dict[str, Book] = {}
        self._heartbeat = False
        self._asked = 0

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        if not isinstance(message, dict) or "method" not in message:
            return Heard([_answer(None, error=(-32700, "Parse error"))])
        method, number = message["method"], message.get("id")
        params = message.get("params") or {}
        if method == "public/set_heartbeat":
            if not isinstance(params.get("interval"), int | float) or params["interval"] < _LEAST_S:
                return Heard([_answer(number, error=(-32602, "Invalid params"))])
            self._heartbeat = True
            return Heard([_answer(number, "ok")])
        if method == "public/test":
            self._asked = 0
            return Heard([_answer(number, {"version": "xdpws-sim"})])
        if method not in ("public/subscribe", "public/unsubscribe"):
            return Heard([_answer(number, error=(-32601, "Method not found"))])
        channels = params.get("channels", [])
        if any(name.endswith(".raw") for name in channels):
            return Heard([_answer(number, error=(13778, "raw_subscriptions_not_available_for_unauthorized"))])
        known = [name for name in channels if self._book(name) is not None]
        if not known:
            return Heard([_answer(number, error=(-32602, "Invalid params"))])
        answers: list[Out] = [_answer(number, known)]
        for name in known:
            if method == "public/unsubscribe":
                self._books.pop(name, None)
                continue
            book = self._books[name] = self._setting.market.book(_SYMBOLS[name.split(".")[1]])
            answers.append(self._data(name, book, "snapshot", now_ms, book.best_bids(), book.best_asks(),
                                      {"change_id": book.last}))
        return Heard(answers, len(known))

    def moved(self, change: Change) -> list[Out]:
        return [self._data(name, book, "change", change.now_ms, change.bids, change.asks,
                           {"prev_change_id": change.previous, "change_id": change.last})
                for name, book in self._books.items() if book is change.book]

    def beat(self, now_ms: int) -> list[Out]:
        if not self._heartbeat:
            return []
        self._asked += 1
        if self._asked > 2:
            return [Cut("no answer to test_request", 1001)]
        return [dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}})
                for kind in ("heartbeat", "test_request")]

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._books)

    @staticmethod
    def _book(name: str) -> str | None:
        parts = name.split(".")
        return name if len(parts) == 3 and parts[0] == "book" and parts[1] in _SYMBOLS else None

    def _data(self, name: str, book: Book, kind: str, now_ms: int, bids: Levels, asks: Levels,
              chain: dict[str, int]) -> str:
        def rows(levels: Levels) -> list[list[object]]:
            return [["new" if kind == "snapshot" else "change" if lots else "delete", float(book.price(ticks)),
                     float(book.quantity(lots))] for ticks, lots in levels]

        return dumps({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": name, "data": {
            "type": kind, "timestamp": now_ms, "instrument_name": name.split(".")[1], **chain, "bids": rows(bids),
            "asks": rows(asks)}}})


def _answer(number: object, result: object = None, error: tuple[int, str] | None = None) -> str:
    body = {"result": result} if error is None else {"error": {"code": error[0], "message": error[1]}}
    return dumps({"jsonrpc": "2.0", "id": number, **body, "usIn": 0, "usOut": 0, "usDiff": 0, "testnet": True})


DERIBIT = Venue("deribit", "/ws/api/v2", Rules(beat_s=10, connections=32), _Dialogue, symbols=tuple(_SYMBOLS))
