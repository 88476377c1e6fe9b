"""Replays every capture below a folder and prints a row each: what was delivered, or why it cannot be replayed.

    make replay                     # ../shared/data/tcp_pcaps, or XDPWS_TCP_PCAPS
    python tests/replay/replay_table.py FOLDER
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "script"))

import replay_capture
from replay_expect import expected
from replay_run import WINDOW, Player

ROOT = Path(__file__).resolve().parents[2]
PCAPS = Path(os.environ.get("XDPWS_TCP_PCAPS", ROOT.parent / "shared" / "data" / "tcp_pcaps"))


@dataclass(slots=True)
class Row:
    name: str
    directions: int = 0   # replayed
    segments: int = 0
    octets: int = 0       # delivered
    wrong: str = ""       # a difference; "" is well
    reason: str = ""      # why there is nothing to replay
    left_out: str = ""    # packets that no replay can use


def row(path: Path) -> Row:
    out = Row(f"{path.parent.name}/{path.name}")
    capture = replay_capture.read(path)
    out.left_out = ", ".join(f"{n}: {why}" for why, n in sorted(capture.odd.items()))
    for d in capture.directions:
        if not d.has_data:
            continue
        want, got = expected(d, WINDOW), Player(d).play()
        out.directions += 1
        out.segments += len(d.segs)
        out.octets += len(got.data)
        if (want.data, want.end) != (got.data, got.end):
            out.wrong += (f"{d.name}: {len(got.data)} octets, end {got.end!r} instead of {len(want.data)}, "
                          f"{want.end!r}; dropped {got.dropped}. ")
    if not out.directions:
        out.reason = "no data on a connection" if capture.directions else "no TCP segment that is whole"
    return out


def captures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in (".pcap", ".pcapng"))


def main(folder: Path) -> int:
    files = captures(folder)
    if not files:
        print(f"no captures below {folder}; set XDPWS_TCP_PCAPS to the folder that has them", file=sys.stderr)
        return 2
    rows = [row(f) for f in files]
    for r in rows:
        said = r.wrong or r.reason or f"{r.octets} octets of {r.directions} directions, {r.segments} segments"
        print(f"{'DIFFERS' if r.wrong else 'not replayed' if r.reason else 'equal':13}{r.name}: {said}"
              + (f" (left out: {r.left_out})" if r.left_out else ""))
    done = [r for r in rows if not r.reason]
    print(f"{len(rows)} captures: {len(done)} replayed ({sum(r.directions for r in done)} directions, "
          f"{sum(r.segments for r in done)} segments, {sum(r.octets for r in done)} octets delivered), "
          f"{sum(bool(r.wrong) for r in done)} differ, {len(rows) - len(done)} not replayable")
    return int(any(r.wrong for r in rows))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PCAPS))
