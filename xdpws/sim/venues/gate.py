"""Gate.io futures: book updates chained by U and u; a client that is slow is cut (a rule of every venue here)."""
from __future__ import annotations

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Levels, catalogue
from xdpws.sim.venues.rules import Rules

__all__ = ["GATE"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}_{pair.quote}")
_BOOK, _TRADES = "futures.order_book_update", "futures.trades"


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._channels: dict[tuple[str, str], Book] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        if not isinstance(message, dict):
            return Heard([_message(now_ms, "", "", {"error": {"code": 1, "message": "invalid json"}})])
        channel, event = str(message.get("channel")), str(message.get("event"))
        if channel == "futures.ping":
            return Heard([_message(now_ms, "futures.pong", "", {"result": None})])
        payload = message.get("payload") or [""]
        contract = str(payload[0])
        wrong = (f"unknown channel {channel}" if channel not in (_BOOK, _TRADES) else
                 f"unknown event {event}" if event not in ("subscribe", "unsubscribe") else
                 f"unknown contract {contract}" if contract not in _SYMBOLS else "")
        if wrong:
            return Heard([_message(now_ms, channel, event, {"error": {"code": 2, "message": wrong}})])
        if event == "subscribe":
            self._channels[channel, contract] = self._setting.market.book(_SYMBOLS[contract])
        else:
            self._channels.pop((channel, contract), None)
        return Heard([_message(now_ms, channel, event, {"result": {"status": "success"}})], 1)

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for (channel, contract), book in self._channels.items():
            if book is change.book and channel == _BOOK:
                out.append(_message(change.now_ms, channel, "update", {"result": {
                    "t": change.now_ms, "s": contract, "U": change.first, "u": change.last,
                    "b": _rows(book, change.bids), "a": _rows(book, change.asks)}}))
            elif book is change.book and change.trade is not None:
                sign = -1 if change.trade.buyer_is_maker else 1
                out.append(_message(change.now_ms, channel, "update", {"result": [{
                    "contract": contract, "create_time_ms": change.now_ms, "id": change.trade.number,
                    "price": book.price(change.trade.ticks), "size": sign * change.trade.lots}]}))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._channels)


def _rows(book: Book, levels: Levels) -> list[dict[str, object]]:
    """Sizes are whole contracts."""
    return [{"p": book.price(ticks), "s": lots} for ticks, lots in levels]


def _message(now_ms: int, channel: str, event: str, body: dict[str, object]) -> str:
    return dumps({"time": now_ms // 1000, "time_ms": now_ms, "channel": channel, "event": event, **body})


GATE = Venue("gate", "/v4/ws/usdt", Rules(ping_s=20), _Dialogue, symbols=tuple(_SYMBOLS))
