"""KuCoin: a token by REST, a welcome, JSON pings at the interval the token came with, and level 2 updates numbered
from sequenceStart to sequenceEnd."""
from __future__ import annotations

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Market, catalogue
from xdpws.sim.venues.rules import Rules

__all__ = ["KUCOIN"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}-{pair.quote}")
_TOPIC = "/market/level2:"
_TOKEN = "xdpws-sim"
_PING_MS, _PATIENCE_MS = 50_000, 10_000


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._books: dict[str, Book] = {}

    def opened(self, now_ms: int) -> list[Out]:
        if f"token={_TOKEN}" not in self._setting.target:
            return [dumps({"type": "error", "code": 401, "data": "token is invalid"})]
        return [dumps({"id": self._setting.name, "type": "welcome"})]

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        kind = message.get("type") if isinstance(message, dict) else None
        number = message.get("id") if isinstance(message, dict) else None
        if kind == "ping":
            return Heard([dumps({"id": number, "type": "pong"})])
        topic = str(message.get("topic", "")) if isinstance(message, dict) else ""
        symbols = topic.removeprefix(_TOPIC).split(",")
        wrong = [symbol for symbol in symbols if symbol not in _SYMBOLS]
        if kind not in ("subscribe", "unsubscribe") or not topic.startswith(_TOPIC) or wrong:
            return Heard([dumps({"id": number, "type": "error", "code": 404, "data": f"topic {topic} is not found"})])
        for symbol in symbols:
            if kind == "subscribe":
                self._books[symbol] = self._setting.market.book(_SYMBOLS[symbol])
            else:
                self._books.pop(symbol, None)
        return Heard([dumps({"id": number, "type": "ack"})], len(symbols))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for symbol, book in self._books.items():
            if book is not change.book:
                continue
            rows = [[*row, str(change.first + i)] for i, row in
                    enumerate(book.texts(change.asks) + book.texts(change.bids))]
            asks = len(change.asks)
            out.append(dumps({"type": "message", "topic": _TOPIC + symbol, "subject": "trade.l2update", "data": {
                "changes": {"asks": rows[:asks], "bids": rows[asks:]}, "sequenceStart": change.first,
                "sequenceEnd": change.last, "symbol": symbol, "time": change.now_ms}}))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._books)


def _bullet(market: Market, method: str, target: str) -> str | None:
    """The token and where to connect: the address that was asked, so the client keeps the host and takes the path."""
    if method != "POST" or target != "/api/v1/bullet-public":
        return None
    return dumps({"code": "200000", "data": {"token": _TOKEN, "instanceServers": [{
        "endpoint": "/endpoint", "encrypt": True, "protocol": "websocket", "pingInterval": _PING_MS,
        "pingTimeout": _PATIENCE_MS}]}})


KUCOIN = Venue("kucoin", "/endpoint", Rules(idle_s=(_PING_MS + _PATIENCE_MS) / 1000), _Dialogue, _bullet,
               tuple(_SYMBOLS))
