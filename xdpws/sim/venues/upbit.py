"""Upbit: plain JSON in binary frames, a subscription as one array with a ticket, text pings, cut after 120 s of
silence. Order books come whole; nothing is numbered but the time."""
from __future__ import annotations

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, catalogue
from xdpws.sim.venues.rules import Rules

__all__ = ["UPBIT"]

_SYMBOLS = catalogue(lambda pair: f"{pair.quote}-{pair.base}")
_UNITS = 15


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._books: dict[str, Book] = {}
        self._trades: dict[str, Book] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        if text == "PING":
            return Heard([dumps({"status": "UP"})])
        message = loads(text)
        if not isinstance(message, list) or not all(isinstance(part, dict) for part in message):
            return Heard([_error("WRONG_FORMAT")])
        if not any("ticket" in part for part in message):
            return Heard([_error("NO_TICKET")])
        parts = [part for part in message if "type" in part]
        codes = [code for part in parts for code in part.get("codes", [])]
        if not parts or any(part["type"] not in ("orderbook", "trade") for part in parts):
            return Heard([_error("NO_TYPE")])
        if not codes or any(code not in _SYMBOLS for code in codes):
            return Heard([_error("NO_CODES")])
        self._books, self._trades = {}, {}  # a new request replaces the old one
        for part in parts:
            target = self._books if part["type"] == "orderbook" else self._trades
            target.update({code: self._setting.market.book(_SYMBOLS[code]) for code in part["codes"]})
        return Heard([], len(codes))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for code, book in self._books.items():
            if book is change.book:
                units = [{"ap": float(book.price(ask)), "bp": float(book.price(bid)),
                          "as": float(book.quantity(ask_lots)), "bs": float(book.quantity(bid_lots))}
                         for (bid, bid_lots), (ask, ask_lots) in zip(book.best_bids(_UNITS), book.best_asks(_UNITS),
                                                                     strict=True)]
                out.append(dumps({"ty": "orderbook", "cd": code, "tms": change.now_ms, "obu": units,
                                  "st": "REALTIME"}))
        for code, book in self._trades.items():
            if book is change.book and change.trade is not None:
                out.append(dumps({"ty": "trade", "cd": code, "tms": change.now_ms,
                                  "tp": float(book.price(change.trade.ticks)),
                                  "tv": float(book.quantity(change.trade.lots)),
                                  "ab": "ASK" if change.trade.buyer_is_maker else "BID", "sid": change.trade.number,
                                  "st": "REALTIME"}))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._books) + len(self._trades)


def _error(name: str) -> str:
    return dumps({"error": {"name": name, "message": name.replace("_", " ").lower()}})


UPBIT = Venue("upbit", "/websocket/v1", Rules(encoding="binary", idle_s=120, deflate="yes"), _Dialogue,
              symbols=tuple(_SYMBOLS))
