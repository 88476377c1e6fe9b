"""BitMEX: tables with actions, order books by the ids of their levels, text pings. Nothing is numbered."""
from __future__ import annotations

from xdpws.sim.venues.dialogue import Heard, Out, Setting, Venue, dumps, loads
from xdpws.sim.venues.market import Book, Change, Levels, Pair, catalogue
from xdpws.sim.venues.rules import Rules

__all__ = ["BITMEX"]


def _name(pair: Pair) -> str:
    return f"{'XBT' if pair.base == 'BTC' else pair.base}{pair.quote}"


_SYMBOLS = catalogue(_name)


class _Dialogue:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._books: dict[str, tuple[Book, set[tuple[str, int]]]] = {}

    def opened(self, now_ms: int) -> list[Out]:
        return [dumps({"info": "Welcome to the BitMEX Realtime API.", "version": "xdpws-sim", "timestamp": now_ms,
                       "limit": {"remaining": 39}})]

    def heard(self, text: str, now_ms: int) -> Heard:
        if text == "ping":
            return Heard(["pong"])
        message = loads(text)
        op, args = (message.get("op"), message.get("args", [])) if isinstance(message, dict) else (None, [])
        if op not in ("subscribe", "unsubscribe"):
            return Heard([_error(f"Unknown operation {op}", message)])
        answers: list[Out] = []
        for arg in [args] if isinstance(args, str) else args:
            table, _, symbol = str(arg).partition(":")
            if table != "orderBookL2" or symbol not in _SYMBOLS:
                answers.append(_error(f"Unknown or expired symbol or table {arg}", message))
                continue
            answers.append(dumps({"success": True, op: arg, "request": message}))
            if op == "unsubscribe":
                self._books.pop(symbol, None)
                continue
            book, known = self._setting.market.book(_SYMBOLS[symbol]), set[tuple[str, int]]()
            self._books[symbol] = (book, known)
            rows = [*self._rows(symbol, "Sell", book.best_asks()), *self._rows(symbol, "Buy", book.best_bids())]
            known |= {(str(row["side"]), int(str(row["id"]))) for row in rows}
            answers.append(_table("partial", rows, {"keys": ["symbol", "id", "side"], "filter": {"symbol": symbol}}))
        return Heard(answers, len(answers))

    def moved(self, change: Change) -> list[Out]:
        out: list[Out] = []
        for symbol, (book, known) in self._books.items():
            rows: dict[str, list[dict[str, object]]] = {"delete": [], "update": [], "insert": []}
            for side, levels in (("Sell", change.asks), ("Buy", change.bids)) if book is change.book else ():
                for (_, lots), row in zip(levels, self._rows(symbol, side, levels), strict=True):
                    key = (side, int(str(row["id"])))
                    action = ("update" if lots else "delete") if key in known else "insert" if lots else ""
                    if action:
                        rows[action].append(row)
                        (known.discard if action == "delete" else known.add)(key)
            out += [_table(action, found, {}) for action, found in rows.items() if found]
        return out

    def beat(self, now_ms: int) -> list[Out]:
        return []

    def notice(self, now_ms: int) -> list[Out]:
        return []

    def subscriptions(self) -> int:
        return len(self._books)

    @staticmethod
    def _rows(symbol: str, side: str, levels: Levels) -> list[dict[str, object]]:
        number = 1 + list(_SYMBOLS).index(symbol)
        scale = 10**_SYMBOLS[symbol].price_digits
        return [{"symbol": symbol, "id": number * 10**11 - ticks, "side": side,
                 **({"size": lots} if lots else {}), "price": ticks / scale} for ticks, lots in levels]


def _table(action: str, rows: list[dict[str, object]], more: dict[str, object]) -> str:
    return dumps({"table": "orderBookL2", "action": action, **more, "data": rows})


def _error(text: str, request: object) -> str:
    return dumps({"status": 400, "error": text, "meta": {}, "request": request})


BITMEX = Venue("bitmex", "/realtime", Rules(ping_s=5), _Dialogue, symbols=tuple(_SYMBOLS))
