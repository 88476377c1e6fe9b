"""What a venue answers to a client's control messages (docs and recordings of the venues; the shapes only).

One function per family of shapes, chosen by the beginning of the feed's venue name. A venue that is not listed does
not answer. Limits on requests are not enforced.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

__all__ = ["reply"]

_Message = dict[str, Any]


def reply(venue: str, text: str) -> list[str]:
    """The venue's answers to one text message of the client, in order; empty if it does not answer.

    What is not JSON or has an unknown shape is not answered, except for the text pings of OKX and Bitget.
    """
    answer = next((answer for name, answer in _VENUES.items() if venue.startswith(name)), None)
    if answer is None:
        return []
    if text == "ping":
        return ["pong"] if answer is _okx else []
    try:
        message = json.loads(text)
    except ValueError:
        return []
    if not isinstance(message, dict):
        return []
    return [json.dumps(item, separators=(",", ":")) for item in answer(message)]


def _binance(message: _Message) -> list[_Message]:
    if message.get("method") in ("SUBSCRIBE", "UNSUBSCRIBE", "SET_PROPERTY"):
        return [{"result": None, "id": message.get("id")}]
    if message.get("method") == "LIST_SUBSCRIPTIONS":
        return [{"result": [], "id": message.get("id")}]
    return []


def _okx(message: _Message) -> list[_Message]:
    args, op = message.get("args"), message.get("op")
    if op in ("subscribe", "unsubscribe") and isinstance(args, list):
        return [{"event": op, "arg": arg} for arg in args]
    return []


def _bybit(message: _Message) -> list[_Message]:
    op, req_id = message.get("op"), message.get("req_id", "")
    if op in ("subscribe", "unsubscribe"):
        return [{"success": True, "ret_msg": "", "conn_id": "xdpws-sim", "req_id": req_id, "op": op}]
    if op == "ping":
        return [{"success": True, "ret_msg": "pong", "conn_id": "xdpws-sim", "req_id": req_id, "op": "ping"}]
    return []


def _kraken(message: _Message) -> list[_Message]:
    if message.get("event") == "ping":
        return [{"event": "pong", "reqid": message.get("reqid")}]
    pairs, subscription = message.get("pair"), message.get("subscription")
    if message.get("event") == "subscribe" and isinstance(pairs, list) and isinstance(subscription, dict):
        name = subscription.get("name")
        return [{"channelID": i, "channelName": name, "event": "subscriptionStatus", "pair": pair,
                 "status": "subscribed", "subscription": subscription} for i, pair in enumerate(pairs)]
    return []


def _coinbase(message: _Message) -> list[_Message]:
    products, names = message.get("product_ids", []), message.get("channels")
    if message.get("type") == "subscribe" and isinstance(names, list):
        return [{"type": "subscriptions", "channels": [{"name": name, "product_ids": products} for name in names]}]
    return []


def _deribit(message: _Message) -> list[_Message]:
    if "method" not in message or "id" not in message:
        return []
    params = message.get("params")
    channels = params.get("channels", []) if isinstance(params, dict) else []
    return [{"jsonrpc": "2.0", "id": message["id"], "result": channels}]


def _huobi(message: _Message) -> list[_Message]:
    if "sub" in message:
        return [{"id": message.get("id"), "status": "ok", "subbed": message["sub"], "ts": 0}]
    return []


_VENUES: dict[str, Callable[[_Message], list[_Message]]] = {
    "binance": _binance, "okx": _okx, "okex": _okx, "bitget": _okx, "bybit": _bybit, "kraken": _kraken,
    "coinbase": _coinbase, "deribit": _deribit, "huobi": _huobi, "htx": _huobi,
}
