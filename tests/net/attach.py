"""Running ``xdpws attach`` on the client's side of a topology, and the four ways that every feed must come."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from topology import Namespaces

ROOT = Path(__file__).resolve().parents[2]
FEEDS = Path(os.environ.get("XDPWS_FEEDS", ROOT.parent / "shared" / "data" / "feeds"))
WAYS = {
    "xdp-native": ("--transport", "xdp", "--mode", "native", "--loader", "libbpf"),
    "xdp-generic": ("--transport", "xdp", "--mode", "generic", "--loader", "libbpf"),
    "xdp-bcc": ("--transport", "xdp", "--mode", "native", "--loader", "bcc"),
    "socket": ("--transport", "socket"),
}
"""Name → options of ``xdpws attach``."""


def xdpws(*args: str | Path) -> list[str]:
    """The argument vector of the command, by this interpreter."""
    return [sys.executable, "-m", "xdpws.cli.main", *map(str, args)]


def run_attach(topo: Namespaces, interface: str, *args: str | Path,
               timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """``xdpws attach INTERFACE ARGS… --json`` in the client's namespace, to its end."""
    return subprocess.run(topo.command("cli", *xdpws("attach", interface, *args, "--json")), capture_output=True,
                          text=True, timeout=timeout, cwd=ROOT)


def attach(topo: Namespaces, interface: str, *args: str | Path, timeout: float = 60) -> dict[str, Any]:
    """The report of a run that must succeed."""
    done = run_attach(topo, interface, *args, timeout=timeout)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}\n{done.stdout}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def feed(name: str) -> Path:
    """The path of a recorded feed by the name of its file without ``.jsonl.gz``."""
    return FEEDS / f"{name}.jsonl.gz"
