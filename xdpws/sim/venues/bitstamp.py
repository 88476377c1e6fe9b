"""Bitstamp: one channel a subscription, differences with a time in microseconds and no number, and a message that asks
for a reconnect before maintenance."""
from __future__ import annotations

import re

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, catalogue
from xdpws.sim.venues.rules import Rules

__all__ = ["BITSTAMP"]

_SYMBOLS = catalogue(lambda pair: f"{pair.base}{pair.quote}".lower())
_CHANNEL = re.compile(r"(diff_order_book|live_trades)_([a-z0-9]+)")


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._channels: dict[str, tuple[Book, str]] = {}
        self._micro = 0

    def opened(self, now_ms: int) -> list[Out]:
        return []

    def heard(self, text: str, now_ms: int) -> Heard:
        message = loads(text)
        event = message.get("event") if isinstance(message, dict) else None
        if event == "bts:heartbeat":
            return Heard([dumps({"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}})])
        data = message.get("data") if isinstance(message, dict) else None
        channel = str(data.get("channel")) if isinstance(data, dict) else ""
        match = _CHANNEL.fullmatch(channel)
        if event not in ("bts:subscribe", "bts:unsubscribe") or match is None or match[2] not in _SYMBOLS:
            return Heard([dumps({"event": "bts:error", "channel": channel,
                                 "data": {"code": None, "message": "Incorrect JSON format or unknown channel."}})])
        done = "bts:subscription_succeeded"
        if event == "bts:subscribe":
            self._channels[channel] = (self._setting.market.book(_SYMBOLS[match[2]]), match[1])
        else:
            self._channels.pop(channel, None)
            done = "bts:unsubscription_succeeded"
        return Heard([dumps({"event": done, "channel": channel, "data": {}})], 1)

    def moved(self, change: Change) -> list[Out]:
        self._micro = max(self._micro + 1, change.now_ms * 1000)
        times = {"timestamp": str(change.now_ms // 1000), "microtimestamp": str(self._micro)}
        out: list[Out] = []
        for channel, (book, kind) in self._channels.items():
            if book is change.book and kind == "diff_order_book":
                out.append(dumps({"data": {**times, "bids": book.texts(change.bids), "asks": book.texts(change.asks)},
                                  "channel": channel, "event": "data"}))
            elif book is change.book and change.trade is not None:
                trade = change.trade
                out.append(dumps({"data": {"id": trade.number, **times, "amount_str": book.quantity(trade.lots),
                                           "price_str": book.price(trade.ticks), "type": int(trade.buyer_is_maker)},
                                  "channel": channel, "event": "trade"}))
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return [dumps({"event": "bts:request_reconnect", "channel": "", "data": ""})]

    def subscriptions(self) -> int:
        return len(self._channels)


BITSTAMP = Venue("bitstamp", "/", Rules(life_s=7_776_000), _Dialogue, symbols=tuple(_SYMBOLS))
