"""Book checksums as venues compute them, written for the simulator only: the clients in `examples/` have their own."""
from __future__ import annotations

import zlib
from itertools import zip_longest

from xdpws.sim.venues.market import Book, Levels

__all__ = ["interleaved", "kraken"]


def interleaved(book: Book, depth: int = 25) -> int:
    """CRC-32, as a signed number, of price:quantity of bid and ask in turn, best first (OKX, Bitget)."""
    fields: list[str] = []
    for pair in zip_longest(book.best_bids(depth), book.best_asks(depth)):
        for level in filter(None, pair):
            fields += (book.price(level[0]), book.quantity(level[1]))
    crc = zlib.crc32(":".join(fields).encode())
    return crc - (1 << 32) if crc >> 31 else crc


def kraken(book: Book, depth: int = 10) -> int:
    """CRC-32 of the digits of asks, then bids, best first, without points and leading zeros (Kraken spot)."""
    def digits(levels: Levels) -> str:
        return "".join(f"{ticks}{lots}" for ticks, lots in levels)

    return zlib.crc32((digits(book.best_asks(depth)) + digits(book.best_bids(depth))).encode())
