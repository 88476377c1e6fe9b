"""What permessage-deflate and compressed payloads cost, by library, on recorded feeds: deflate.py [--json].

Feeds are those of $XDPWS_FEEDS (default ../shared/data/feeds); without them a synthetic one. Messages are packed by
zlib's level 6 with a sync flush each, its tail taken off, as venues do it; gzip and raw deflate payloads are as
recorded. ns a message: best of the rounds, one thread, input and output in cache. zlib-ng is measured when its module
from PyPI (pip install zlib-ng) is there.
"""
from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from xdpws.sim import feed, synthetic  # noqa: E402

LIBRARY = ROOT / "build" / "bench" / "libbench_deflate.so"
MOST = 12000
PLAIN = ("binance_spot_btcusdt_20240809", "bybit_v5_linear_l1_20250613", "okx_v5_20220227", "coinbase_pro_20210417",
         "bitmex_20210405", "kraken_futures_20210722", "deribit_20210405")
PACKED = {"okex_v3_rawdeflate_20210417": -15, "huobi_spot_gzip_20210417": 31, "huobi_coinswap_gzip_20220219": 31}
LIBS = ("zlib", "zlib-ng", "ISA-L", "libdeflate")
_NG = ("inflateInit2", "inflate", "inflateReset", "inflateEnd", "deflateInit2", "deflate", "deflateReset", "deflateEnd")


class Messages(ctypes.Structure):
    """struct msgs."""

    _fields_ = (("data", ctypes.c_char_p), ("len", ctypes.POINTER(ctypes.c_uint32)), ("cnt", ctypes.c_uint32))

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self.keep = b"".join(payloads)
        lengths = (ctypes.c_uint32 * len(payloads))(*map(len, payloads))
        super().__init__(self.keep, ctypes.cast(lengths, ctypes.POINTER(ctypes.c_uint32)), len(payloads))
        self.lengths = lengths


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: ns and bytes a message; bytes are those that come out."""

    what: str
    feed: str
    library: str
    ns: float
    size: float


def zlib_ng() -> ctypes.Array[ctypes.c_void_p] | None:
    """struct zfuncs of the module from PyPI, or None."""
    try:
        from zlib_ng import zlib_ng as module
    except ImportError:
        return None
    library = ctypes.CDLL(module.__file__)
    return (ctypes.c_void_p * len(_NG))(*(ctypes.cast(getattr(library, f"zng_{name}"), ctypes.c_void_p)
                                          for name in _NG))


def messages(name: str) -> list[bytes]:
    """The server's messages of a recorded feed."""
    folder = Path(os.environ.get("XDPWS_FEEDS", ROOT.parent / "shared" / "data" / "feeds"))
    path = folder / f"{name}.jsonl.gz"
    if not path.is_file():
        return []
    return [m.payload for m in feed.Feed(path).messages()][:MOST]


class Bench:
    """The C side and what it was asked."""

    def __init__(self, rounds: int) -> None:
        self.c = ctypes.CDLL(str(LIBRARY))
        for function in (self.c.bench_inflate, self.c.bench_deflate):
            function.restype = ctypes.c_double
        self.c.bench_pack.restype = ctypes.c_uint64
        self.rounds, self.ng, self.figures = rounds, zlib_ng(), list[Figure]()

    def _one(self, what: str, name: str, library: str, function: str, m: Messages, *args: int) -> None:
        size, index = ctypes.c_uint64(), LIBS.index(library)
        if library == "zlib-ng" and self.ng is None:
            return
        ns = getattr(self.c, function)(index, self.ng, ctypes.byref(m), *args, self.rounds, ctypes.byref(size))
        if ns > 0:
            self.figures.append(Figure(what, name, library, ns / m.cnt, size.value / m.cnt))

    def pack(self, plain: Messages, reset: bool) -> Messages:
        """As the venue would send them."""
        to = ctypes.create_string_buffer(len(plain.keep) * 2 + plain.cnt * 1000)
        lengths = (ctypes.c_uint32 * plain.cnt)()
        total = self.c.bench_pack(ctypes.byref(plain), int(reset), to, lengths)
        everything = to.raw[:total]
        ends = list(itertools.accumulate(lengths, initial=0))
        return Messages([everything[a:b] for a, b in itertools.pairwise(ends)])

    def plain_feed(self, name: str, payloads: Sequence[bytes]) -> None:
        """Inflate with and without context takeover, and deflate."""
        plain = Messages(payloads)
        for reset, text in ((False, "inflate, takeover"), (True, "inflate, no takeover")):
            packed = self.pack(plain, reset)
            for library in LIBS:
                self._one(text, name, library, "bench_inflate", packed, int(reset), -15)
        for library, level in (("zlib", 6), ("zlib", 1), ("zlib-ng", 6), ("zlib-ng", 1), ("ISA-L", 1), ("ISA-L", 0)):
            self._one(f"deflate level {level}, takeover", name, library, "bench_deflate", plain, 0, level)

    def packed_feed(self, name: str, payloads: Sequence[bytes], bits: int) -> None:
        """Payloads that the venue compressed itself: each by itself."""
        for library in LIBS:
            self._one("gzip payload" if bits > 0 else "raw deflate payload", name, library, "bench_inflate",
                      Messages(payloads), 1, bits)


def show(figures: Sequence[Figure]) -> None:
    """A row a measurement and feed, a column a library."""
    print(f"{'ns a message':28s} {'feed':32s} {'bytes':>7s} " + " ".join(f"{lib:>10s}" for lib in LIBS))
    rows: dict[tuple[str, str], dict[str, Figure]] = {}
    for f in figures:
        rows.setdefault((f.what, f.feed), {})[f.library] = f
    for (what, name), row in sorted(rows.items()):
        size = next(iter(row.values())).size
        print(f"{what:28s} {name:32s} {size:7.0f} " +
              " ".join(f"{row[lib].ns:10.0f}" if lib in row else f"{'-':>10s}" for lib in LIBS))
    for what in sorted({f.what for f in figures}):
        ratios = [f"{lib} {sum(r[lib].ns for (w, _), r in rows.items() if w == what) / base:.2f}"
                  for lib in LIBS[1:]
                  if (base := sum(r["zlib"].ns for (w, _), r in rows.items() if w == what and "zlib" in r)) and
                  all(lib in r for (w, _), r in rows.items() if w == what)]
        print(f"{what}: of zlib's time {', '.join(ratios)}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    bench = Bench(args.rounds)
    plain = {name: m for name in PLAIN if (m := messages(name))}
    if not plain:
        plain = {"synthetic": [m.payload for m in synthetic.Synthetic(2000).messages()]}
    for name, payloads in plain.items():
        bench.plain_feed(name, payloads)
    for name, bits in PACKED.items():
        if payloads := messages(name):
            bench.packed_feed(name, payloads, bits)
    if args.json:
        print(json.dumps([asdict(figure) for figure in bench.figures], indent=1))
    else:
        show(bench.figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
