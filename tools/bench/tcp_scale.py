"""What a packet and an idle connection cost among 1 to 4,096 connections, in instructions (callgrind) and ns.

    make bench-tcp-scale                 the table
    make bench-tcp-scale ARGS=--check    fails when 4,096 connections cost more than 1.15 times what a few do
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

SCALE = Path(__file__).resolve().parents[2] / "build" / "bench" / "tcp_scale"
COUNTS = (1, 16, 256, 1024, 4096)
PACKETS = 4096  # a run has so many packets, or one more round of them
LIMIT = 1.15


def instructions(conns: int, rounds: int, *more: str) -> int:
    """All that the program executes."""
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(SCALE), str(conns), str(rounds)]
    done = subprocess.run([*argv, *more], capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found.group(1))


def per_packet(conns: int, *more: str) -> float:
    """Instructions a packet: two runs that differ in the number of packets alone."""
    rounds = max(1, PACKETS // conns)
    extra = instructions(conns, 2 * rounds, *more) - instructions(conns, rounds, *more)
    return extra / (rounds * conns)


def nanoseconds(conns: int) -> tuple[float, int]:
    """The least of five runs, and the memory of a connection."""
    runs = [subprocess.run([str(SCALE), str(conns), str(max(1, 200_000 // conns))], capture_output=True, text=True,
                           check=True).stdout.split() for _ in range(5)]
    return min(float(run[1]) for run in runs), int(runs[0][2])


def main() -> int:
    """Print the table; with --check compare the ends."""
    table = Table("connections", "instructions, to each in turn", "instructions, the others idle", "ns",
                  "bytes a connection")
    turn: dict[int, float] = {}
    idle: dict[int, float] = {}
    for conns in COUNTS:
        turn[conns], idle[conns] = per_packet(conns), per_packet(conns, "one")
        ns, size = nanoseconds(conns)
        table.add_row(f"{conns:,}", f"{turn[conns]:.0f}", f"{idle[conns]:.0f}", f"{ns:.0f}", f"{size:,}")
    Console().print(table)
    worst = max(turn[COUNTS[-1]] / turn[16], idle[COUNTS[-1]] / idle[1])  # one alone is found without the table
    print(f"4,096 connections against a few: {worst:.2f} times the instructions")
    return int("--check" in sys.argv and worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
