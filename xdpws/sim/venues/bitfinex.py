"""Bitfinex v2: channel numbers, tiny arrays, and with the flag SEQ_ALL a number at the end of every message."""
from __future__ import annotations

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Levels, catalogue
from xdpws.sim.venues.rules import Rate, Rules

__all__ = ["BITFINEX", "SEQ_ALL"]

SEQ_ALL = 65536
_SYMBOLS = catalogue(lambda pair: f"t{pair.base}{'UST' if pair.quote == 'USDT' else pair.quote}")


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._channels: dict[int, tuple[Book, str]] = {}
        self._flags = 0
        self._number = 0

    def opened(self, now_ms: int) -> list[Out]:
        return [dumps({"event": "info", "version": 2, "serverId": self._setting.name, "platform": {"status": 1}})]

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        event = message.get("event") if isinstance(message, dict) else None
        if event == "ping":
            return Heard([dumps({"event": "pong", "ts": now_ms, "cid": message.get("cid")})])
        if event == "conf":
            self._flags = int(message.get("flags", 0))
            return Heard([dumps({"event": "conf", "status": "OK", "flags": self._flags})])
        if event == "unsubscribe":
            number = message.get("chanId")
            known = self._channels.pop(number, None)
            return Heard([dumps({"event": "unsubscribed", "status": "OK", "chanId": number}) if known
                          else _error("unsubscribe: invalid", 10400)], 1)
        if event != "subscribe":
            return Heard([_error("event: invalid", 10000)])
        return Heard(self._subscribe(str(message.get("channel")), str(message.get("symbol"))), 1)

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for number, (book, channel) in self._channels.items():
            if book is not change.book:
                continue
            if channel == "book":
                rows = [*_rows(book, change.bids, 1), *_rows(book, change.asks, -1)]
                out += [self._numbered([number, row]) for row in rows]
            elif change.trade is not None:
                out.append(self._numbered([number, "te", [
                    change.trade.number, change.now_ms,
                    float(book.quantity(change.trade.lots)) * (-1 if change.trade.buyer_is_maker else 1),
                    float(book.price(change.trade.ticks))]]))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return [self._numbered([number, "hb"]) for number in self._channels]

    def notice(self, now_ms: int) -> list[Out]:
        return [dumps({"event": "info", "code": 20051, "msg": "Stopping. Please try to reconnect"})]

    def subscriptions(self) -> int:
        return len(self._channels)

    def _subscribe(self, channel: str, symbol: str) -> list[Out]:
        pair = _SYMBOLS.get(symbol)
        if pair is None or channel not in ("book", "trades"):
            return [_error("symbol: invalid" if pair is None else "channel: unknown", 10300)]
        limit = self._setting.rules.channels
        if limit is not None and len(self._channels) >= limit:
            return [_error("Reached limit of open channels", 10305)]
        number, book = 17_000 + len(self._channels), self._setting.market.book(pair)
        self._channels[number] = (book, channel)
        more = {"prec": "P0", "freq": "F0", "len": "25"} if channel == "book" else {}
        ack = dumps({"event": "subscribed", "channel": channel, "chanId": number, "symbol": symbol, **more,
                     "pair": symbol[1:]})
        if channel == "trades":
            return [ack, self._numbered([number, []])]
        rows = [*_rows(book, book.best_bids(), 1), *_rows(book, book.best_asks(), -1)]
        return [ack, self._numbered([number, rows])]

    def _numbered(self, message: list[object]) -> str:
        if not self._flags & SEQ_ALL:
            return dumps(message)
        self._number += 1
        return dumps([*message, self._number])


def _rows(book: Book, levels: Levels, sign: int) -> list[list[float]]:
    """[price, count, amount]; count 0 removes, and the amount's sign tells the side."""
    return [[float(book.price(ticks)), 1 if lots else 0, sign * (float(book.quantity(lots)) if lots else 1)]
            for ticks, lots in levels]


def _error(text: str, code: int) -> str:
    return dumps({"event": "error", "msg": text, "code": code})


BITFINEX = Venue("bitfinex", "/ws/2", Rules(beat_s=15, connects=Rate(20, 60), channels=25), _Dialogue,
                 symbols=tuple(_SYMBOLS))
