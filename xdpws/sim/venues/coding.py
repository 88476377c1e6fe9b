"""How a venue's messages are coded for its clients, and what it answers to an offer of permessage-deflate."""
from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence

from wsproto.extensions import Extension, PerMessageDeflate

from xdpws.sim.venues.rules import Rules

__all__ = ["coded", "extensions"]


def coded(message: str, rules: Rules) -> str | bytes:
    """The payload of a text (str) or binary (bytes) frame."""
    if rules.encoding == "text":
        return message
    raw = message.encode()
    if rules.encoding == "gzip":
        return gzip.compress(raw, compresslevel=1, mtime=0)
    if rules.encoding == "raw-deflate":
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflate.compress(raw) + deflate.flush()
    return raw


class _Unasked(PerMessageDeflate):
    """Answers with a parameter that the client did not offer."""

    def accept(self, offer: str) -> bool | str | None:
        answer = super().accept(offer)
        if not isinstance(answer, str) or "server_max_window_bits" in answer:
            return answer
        return f"{answer}; server_max_window_bits=15" if answer else "server_max_window_bits=15"


def extensions(rules: Rules) -> Sequence[Extension]:
    """What is agreed to when the client offers it; new for each connection."""
    if rules.deflate == "no":
        return []
    return [PerMessageDeflate() if rules.deflate == "yes" else _Unasked()]
