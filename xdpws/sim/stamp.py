"""Send times inside synthetic messages, for one-way latency on one host.

A stamped message begins with `{"ts":"NNNNNNNNNNNNNNNNNNN",`: CLOCK_MONOTONIC in nanoseconds, 19 decimal digits with
leading zeros (a JSON string, because a JSON number may not begin with a zero), written right before the message is
encrypted. CLOCK_MONOTONIC is the same in all network namespaces of a host, so a client there computes
`time.monotonic_ns() - sent_ns(payload)`. Stamped messages differ from run to run, and so does their digest.
"""
from __future__ import annotations

__all__ = ["DIGITS", "PREFIX", "SLOT", "sent_ns"]

DIGITS = 19
PREFIX = b'{"ts":"'
SLOT = PREFIX + b"0" * DIGITS
"""What a message begins with before it is stamped; not to be cut by fragmentation."""


def sent_ns(payload: bytes | bytearray | memoryview) -> int | None:
    """The send time of a stamped message in ns of CLOCK_MONOTONIC, None if the message is not stamped."""
    head = bytes(payload[: len(SLOT)])
    digits = head[len(PREFIX):]
    return int(digits) if head.startswith(PREFIX) and len(digits) == DIGITS and digits.isdigit() else None
