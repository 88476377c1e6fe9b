"""`State`: of a WebSocket connection."""
from __future__ import annotations

import enum


class State(enum.IntEnum):
    """As in RFC 6455 and `websockets`."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)
