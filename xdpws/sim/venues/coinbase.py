"""Coinbase Exchange: subscribe within five seconds; snapshots and updates without numbers, so continuity is proved by
trade ids and by the heartbeat channel, which repeats the last one. permessage-deflate if the client offers it."""
from __future__ import annotations

from datetime import UTC, datetime

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["COINBASE"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}-{pair.quote}")
_CHANNELS = ("level2", "ticker", "matches", "heartbeat")


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._channels: dict[str, dict[str, Book]] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        kind = message.get("type") if isinstance(message, dict) else None
        if kind not in ("subscribe", "unsubscribe"):
            return Heard([_error("Malformed JSON" if message is None else f"{kind} is not a valid type")])
        products = message.get("product_ids", [])
        names = [c if isinstance(c, str) else c.get("name") for c in message.get("channels", [])]
        wrong = [p for p in products if p not in _SYMBOLS]
        wrong += [c for c in names if c not in _CHANNELS]
        if wrong or not names:
            return Heard([_error(f"{wrong[0]} is not a valid product or channel" if wrong else "no channels")])
        answers: list[Out] = []
        for name in names:
            books = self._channels.setdefault(name, {})
            for product in products:
                if kind == "unsubscribe":
                    books.pop(product, None)
                elif product not in books:
                    books[product] = self._setting.market.book(_SYMBOLS[product])
                    answers += self._first(name, product, books[product], now_ms)
        return Heard([self._state(), *answers], len(names) * len(products))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for channel, books in self._channels.items():
            for product, book in books.items():
                if book is change.book and channel != "heartbeat":
                    out += self._event(channel, product, change)
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return [dumps({"type": "heartbeat", "last_trade_id": book.trades, "product_id": product,
                       "sequence": book.last, "time": _iso(now_ms)})
                for product, book in self._channels.get("heartbeat", {}).items()]

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return sum(len(books) for books in self._channels.values())

    def _state(self) -> str:
        return dumps({"type": "subscriptions", "channels": [
            {"name": name, "product_ids": list(books)} for name, books in self._channels.items() if books]})

    def _first(self, channel: str, product: str, book: Book, now_ms: int) -> list[Out]:
        if channel != "level2":
            return []
        return [dumps({"type": "snapshot", "product_id": product, "asks": book.texts(book.best_asks()),
                       "bids": book.texts(book.best_bids()), "time": _iso(now_ms)})]

    def _event(self, channel: str, product: str, change: Change) -> list[Out]:
        book, trade, time = change.book, change.trade, _iso(change.now_ms)
        if channel == "level2":
            rows = [["buy", *row] for row in book.texts(change.bids)]
            rows += [["sell", *row] for row in book.texts(change.asks)]
            return [dumps({"type": "l2update", "product_id": product, "changes": rows, "time": time})]
        if trade is None:
            return []
        side = "buy" if trade.buyer_is_maker else "sell"
        price, size = book.price(trade.ticks), book.quantity(trade.lots)
        if channel == "ticker":
            bid, ask = book.best_bids(1)[0], book.best_asks(1)[0]
            return [dumps({"type": "ticker", "sequence": change.last, "product_id": product, "price": price,
                           "best_bid": book.price(bid[0]), "best_ask": book.price(ask[0]), "side": side, "time": time,
                           "trade_id": trade.number, "last_size": size})]
        return [dumps({"type": "match", "trade_id": trade.number, "maker_order_id": self._setting.name,
                       "taker_order_id": self._setting.name, "side": side, "size": size, "price": price,
                       "product_id": product, "sequence": change.last, "time": time})]


def _error(reason: str) -> str:
    return dumps({"type": "error", "message": "Failed to subscribe", "reason": reason})


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


COINBASE = Venue("coinbase", "/", Rules(subscribe_s=5, beat_s=1, connects=Rate(8, 1), messages=Rate(100, 1),
                                        deflate="yes"), _Dialogue, symbols=tuple(_SYMBOLS))
