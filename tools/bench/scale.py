"""What a message costs with 1 to 256 connections on an engine, and on 1 to 4 engines: a table, or --json.

Instructions (callgrind, all code) repeat; ns are the median of batches on whatever else the machine does.
"""
from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SCALE = Path(__file__).resolve().parents[2] / "build" / "bench" / "scale"
CONNS, ENGINES, BATCHES = (1, 4, 16, 64, 256), (1, 2, 4), (1, 16)
COUNT, COUNTED = 12000, 1024


def timed(conns: int, batch: int, engines: int = 1) -> list[float]:
    """ns a message of each engine; the best of three runs."""
    runs = [json.loads(subprocess.run([str(SCALE), str(conns), str(batch), str(COUNT), str(engines)], check=True,
                                      capture_output=True, text=True).stdout)["ns"] for _ in range(3)]
    best: list[float] = min(runs, key=max)
    return best


def instructions(conns: int, batch: int) -> float:
    """Of all code, a message."""
    with tempfile.TemporaryDirectory(prefix="xdpws-scale-") as directory:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured",
             f"--callgrind-out-file={directory}/out", str(SCALE), str(conns), str(batch), str(COUNTED), "1", "1"],
            capture_output=True, text=True)
    found = re.search(r"refs:\s+([\d,]+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"scale: {done.stderr.strip()[-400:]}")
    said = json.loads(done.stdout)
    messages: int = said["messages"] + said["warm"]
    return int(found.group(1).replace(",", "")) / messages


def main() -> int:
    """Measure and print."""
    figures: dict[str, Any] = {
        "connections": [{"connections": conns, "batch": batch, "ns": timed(conns, batch)[0],
                         "instructions": round(instructions(conns, batch), 1)} for conns in CONNS for batch in BATCHES],
        "engines": [{"engines": engines, "batch": 16, "ns": timed(1, 16, engines)} for engines in ENGINES]}
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return 0
    table = Table(title="200 B, TLS 1.3, AES-128-GCM; messages on all connections in turn", title_justify="left")
    for name in ("connections", *(f"{unit}, batch {batch}" for batch in BATCHES for unit in ("ns", "instructions"))):
        table.add_column(name, justify="right")
    for conns in CONNS:
        row = [f for f in figures["connections"] if f["connections"] == conns]
        table.add_row(str(conns), *(cell for f in row for cell in (f"{f['ns']:.0f}", f"{f['instructions']:,.0f}")))
    console = Console()
    console.print(table)
    for each in figures["engines"]:
        ns = " ".join(f"{value:.0f}" for value in each["ns"])
        console.print(f"engines: {each['engines']}, a thread each, batch 16: {ns} ns a message")
    return 0


if __name__ == "__main__":
    sys.exit(main())
