"""What is said on one connection: data in, data out. The session does the sending, the timing and the limits.

Messages are JSON texts as the venue writes them; how they are coded on the wire is a rule of the venue.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from xdpws.sim.venues.market import Change, Market
from xdpws.sim.venues.rules import Rules

__all__ = ["Cut", "Dialogue", "Heard", "Out", "Setting", "Venue", "dumps", "loads"]


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection: with a close frame, or with code 0 without one. The reason goes to the session's result."""

    reason: str
    code: int = 0


Out = str | Cut
"""A message to the client, or the end."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Answers to a message of the client. `changes` is how many subscriptions and cancellations it held."""

    answers: list[Out]
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a dialogue is given: the market, its rules, the request's target (path and query), a name for the
    connection."""

    market: Market
    rules: Rules
    target: str
    name: str = "xdpws-sim"


class Dialogue(Protocol):
    """One connection as the venue sees it."""

    def opened(self, now_ms: int) -> list[Out]:
        """What the venue says first."""

    def heard(self, text: str, now_ms: int) -> Heard:
        """What it answers to a message of the client."""

    def moved(self, change: Change) -> list[Out]:
        """What it sends because a book has moved."""

    def beat(self, now_ms: int) -> list[Out]:
        """What it says each `beat_s`."""

    def notice(self, now_ms: int) -> list[Out]:
        """How it announces a restart; empty if it does not."""

    def subscriptions(self) -> int:
        """How many channels the client has."""


def _no_page(market: Market, method: str, target: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue that can be played: its name, the path of its WebSocket, its rules, and how a connection begins.

    rest answers a plain HTTP request (method, target) with JSON, None for 404.
    """

    name: str
    path: str
    rules: Rules
    begin: Callable[[Setting], Dialogue]
    rest: Callable[[Market, str, str], str | None] = field(default=_no_page)
    symbols: tuple[str, ...] = ()


def dumps(value: object) -> str:
    """JSON as venues write it: no blanks."""
    return json.dumps(value, separators=(",", ":"))


def loads(text: str) -> Any:
    """JSON of a client; None for what is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
