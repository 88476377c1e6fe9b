"""Kraken spot v1: arrays with a channel number, numbers as text, books whose checksum covers the ten best levels.

An update of both sides comes as two objects in one array, the checksum in the last, as it was recorded.
"""
from __future__ import annotations

from xdpws.sim.venues.checksum import kraken
from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.kraken import DEPTHS, Shown
from xdpws.sim.venues.market import Book, Change, Levels, Pair, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["KRAKEN_V1"]


def _name(pair: Pair) -> str:
    return f"{'XBT' if pair.base == 'BTC' else pair.base}/{pair.quote}"


_SYMBOLS = catalogue(_name)


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._books: dict[str, tuple[int, Shown]] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return [dumps({"connectionID": 1, "event": "systemStatus", "status": "online", "version": "xdpws-sim"})]

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        event = message.get("event") if isinstance(message, dict) else None
        if event == "ping":
            return Heard([dumps({"event": "pong", "reqid": message.get("reqid")})])
        subscription = message.get("subscription") if isinstance(message, dict) else None
        if event not in ("subscribe", "unsubscribe") or not isinstance(subscription, dict):
            return Heard([dumps({"errorMessage": "Malformed request", "event": "error"})])
        pairs = message.get("pair", [])
        answers: list[Out] = []
        for pair in pairs:
            answers += self._one(event, subscription, str(pair), now_ms)
        return Heard(answers, len(pairs))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for pair, (number, shown) in self._books.items():
            bids, asks = shown.changes() if shown.book is change.book else ([], [])
            parts: list[dict[str, object]] = []
            for key, levels in (("a", asks), ("b", bids)):
                if levels:
                    parts.append({key: _rows(change.book, levels, change.now_ms)})
            if parts:
                parts[-1]["c"] = str(kraken(change.book))
                out.append(dumps([number, *parts, f"book-{shown.depth}", pair]))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return [dumps({"event": "heartbeat"})]

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._books)

    def _one(self, event: str, subscription: dict[str, object], pair: str, now_ms: int) -> list[Out]:
        depth = subscription.get("depth", 10)
        status: dict[str, object] = {"event": "subscriptionStatus", "pair": pair, "subscription": subscription}
        if pair not in _SYMBOLS or subscription.get("name") != "book" or depth not in DEPTHS:
            wrong = "Currency pair not supported" if pair not in _SYMBOLS else "Subscription or depth not supported"
            return [dumps({"errorMessage": f"{wrong} {pair}", **status, "status": "error"})]
        assert isinstance(depth, int)
        number, name = 320 + list(_SYMBOLS).index(pair), f"book-{depth}"
        done = dumps({"channelID": number, "channelName": name, **status, "status": f"{event}d"})
        if event == "unsubscribe":
            self._books.pop(pair, None)
            return [done]
        book = self._setting.market.book(_SYMBOLS[pair])
        self._books[pair] = (number, Shown(book, depth))
        whole = {"as": _rows(book, book.best_asks(depth), now_ms), "bs": _rows(book, book.best_bids(depth), now_ms)}
        return [done, dumps([number, whole, name, pair])]


def _rows(book: Book, levels: Levels, now_ms: int) -> list[list[str]]:
    return [[*row, f"{now_ms / 1000:.6f}"] for row in book.texts(levels)]


KRAKEN_V1 = Venue("kraken-v1", "/", Rules(beat_s=1, connects=Rate(150, 600)), _Dialogue, symbols=tuple(_SYMBOLS))
