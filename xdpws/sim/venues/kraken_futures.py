"""Kraken futures: book messages numbered per product, the client must be heard once a minute."""
from __future__ import annotations

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Levels, Pair, catalogue
from xdpws.sim.venues.rules import Rules

__all__ = ["KRAKEN_FUTURES"]


def _name(pair: Pair) -> str:
    return f"PI_{'XBT' if pair.base == 'BTC' else pair.base}{pair.quote}"


_SYMBOLS = catalogue(_name)


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._books: dict[str, Book] = {}
        self._numbers: dict[str, int] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return [dumps({"event": "info", "version": 1})]

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        event = message.get("event") if isinstance(message, dict) else None
        if event not in ("subscribe", "unsubscribe") or message.get("feed") != "book":
            return Heard([dumps({"event": "alert", "message": "Bad request"})])
        answers: list[Out] = []
        for product in message.get("product_ids", []):
            name = str(product).upper()
            if name not in _SYMBOLS:
                answers.append(dumps({"event": "alert", "message": f"Invalid product id {product}"}))
            elif event == "unsubscribe":
                self._books.pop(name, None)
                answers.append(dumps({"event": "unsubscribed", "feed": "book", "product_ids": [name]}))
            else:
                book = self._books[name] = self._setting.market.book(_SYMBOLS[name])
                self._numbers[name] = book.last
                answers.append(dumps({"event": "subscribed", "feed": "book", "product_ids": [name]}))
                answers.append(dumps({"feed": "book_snapshot", "product_id": name, "timestamp": now_ms,
                                      "seq": book.last, "tickSize": None, "bids": _rows(book, book.best_bids()),
                                      "asks": _rows(book, book.best_asks())}))
        return Heard(answers, len(message.get("product_ids", [])))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for name, book in self._books.items():
            for side, levels in (("buy", change.bids), ("sell", change.asks)) if book is change.book else ():
                for row in _rows(book, levels):
                    self._numbers[name] += 1
                    out.append(dumps({"feed": "book", "product_id": name, "side": side, "seq": self._numbers[name],
                                      **row, "timestamp": change.now_ms}))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._books)


def _rows(book: Book, levels: Levels) -> list[dict[str, float]]:
    return [{"price": float(price), "qty": float(quantity)} for price, quantity in book.texts(levels)]


KRAKEN_FUTURES = Venue("kraken-futures", "/ws/v1", Rules(idle_s=60), _Dialogue, symbols=tuple(_SYMBOLS))
