"""What a venue demands of its clients, as a table: times in seconds of the venue's own clock, counts as documented.

A limit of None is not enforced. `Rate` is so many in so many seconds.
"""
from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from xdpws.errors import UsageError

__all__ = ["DEFLATES", "ENCODINGS", "Rate", "Rules", "with_limits"]

ENCODINGS = ("text", "binary", "gzip", "raw-deflate")
DEFLATES = ("no", "yes", "unasked")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` within `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of a venue. They were documented, or seen in recordings, at some time; they are settings, not promises.

    encoding        how messages to the client are coded: text frames, the same in binary frames, gzip or raw DEFLATE
                    in binary frames
    deflate         permessage-deflate when the client offers it: "no", "yes", or "unasked": yes, and the answer has
                    server_max_window_bits=15 that nobody asked for
    ping_s, pong_s  a WebSocket ping so often, and the client is cut when its pong is not there in time
    beat_s          so often the venue says something of its own (its application ping or heartbeat)
    idle_s          a client that has sent nothing for so long is cut
    push_counts     ... unless the venue itself has sent it something meanwhile
    subscribe_s     a client that has no subscription after so long is cut
    life_s          a connection that is so old is closed
    notice_s        between the notice of a restart and the end of the connection
    connects        attempts per address; more are refused with HTTP 429
    connections     open connections per address; more are refused with HTTP 429
    messages        client's messages per connection; more end it. pings_count: its pings and pongs count, too
    subscribes      subscriptions and cancellations per connection; more are answered with an error
    channels        subscriptions at a time per connection; more are answered with an error
    """

    encoding: Literal["text", "binary", "gzip", "raw-deflate"] = "text"
    deflate: Literal["no", "yes", "unasked"] = "no"
    ping_s: float | None = None
    pong_s: float = 60.0
    beat_s: float | None = None
    idle_s: float | None = None
    push_counts: bool = False
    subscribe_s: float | None = None
    life_s: float | None = None
    notice_s: float = 10.0
    connects: Rate | None = None
    connections: int | None = None
    messages: Rate | None = None
    pings_count: bool = False
    subscribes: Rate | None = None
    channels: int | None = None


def with_limits(rules: Rules, limits: tuple[str, ...]) -> Rules:
    """Rules with some of them changed: "ping_s=5", "connections=1", "connects=3/60", "life_s=none".

    Raises `UsageError` for what is no rule or no value of it.
    """
    known = {f.name for f in fields(Rules)}
    for limit in limits:
        name, _, text = limit.partition("=")
        if name not in known or not text:
            raise UsageError(f"limit: {limit!r} is not NAME=VALUE with NAME one of {', '.join(sorted(known))}")
        rules = replace(rules, **{name: _value(name, text)})
    return rules


def _value(name: str, text: str) -> Any:
    if text == "none" and name not in ("encoding", "deflate", "push_counts", "pings_count", "pong_s", "notice_s"):
        return None
    try:
        if name in ("connects", "messages", "subscribes"):
            count, _, seconds = text.partition("/")
            return Rate(int(count), float(seconds))
        if name in ("connections", "channels"):
            return int(text)
        if name in ("push_counts", "pings_count"):
            return {"yes": True, "no": False}[text]
        if name in ("encoding", "deflate"):
            return {value: value for value in (*ENCODINGS, *DEFLATES)}[text]
        return float(text)
    except (ValueError, KeyError):
        raise UsageError(f"limit: {text!r} is no value of {name}") from None
