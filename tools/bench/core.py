"""`make bench-core`: what a message costs between a frame in memory and its event, in ns and in instructions by layer.

Instructions come from callgrind and count only functions of ours (their source lies in csrc/), so they repeat exactly;
OpenSSL, the AEAD library and libc are shown beside them and not judged. --check compares with baseline.json: more than
3 % more in a case fails, unless CHANGELOG.md says so in words of this form, naming a limit that holds:

    bench-core/batch1: up to 3,210 instructions

--write makes the present figures the baseline. A baseline of another compiler or processor is not compared.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "build" / "bench" / "core"
BASELINE = ROOT / "tools" / "bench" / "baseline.json"
CASES = {"batch1": "1", "batch16": "16", "order": "order", "idle": "idle"}
TIMED = {**CASES, "event": "event"}
COUNT, NATIVE_COUNT = 1600, 32000
RISE = 0.03
LAYERS = {"dev": "device", "mem": "device", "net": "eth/ip/tcp", "wire": "eth/ip/tcp", "tcp": "eth/ip/tcp",
          "bs": "eth/ip/tcp", "base": "eth/ip/tcp", "tls": "tls", "ws": "ws", "engine": "event"}
_NAMED = re.compile(r"(fl|fi|fe|ob|fn|cfi|cfl|cob|cfn)=(?:\((\d+)\))?\s?(.*)")


def self_costs(lines: Iterable[str]) -> dict[tuple[str, str], int]:
    """(source file, object) → instructions executed in it, of a callgrind output with one event; calls not included."""
    names: dict[tuple[str, str], str] = {}
    current = {"file": "", "ob": ""}
    costs: dict[tuple[str, str], int] = {}
    skip = False
    for line in lines:
        named = _NAMED.fullmatch(line.rstrip("\n"))
        if named:
            kind, number, text = named.groups()
            space = "fn" if kind.endswith("fn") else "ob" if kind.endswith("ob") else "file"
            if number and text:
                names[space, number] = text
            value = names.get((space, number), text) if number else text
            if kind in ("fl", "fi", "fe"):
                current["file"] = value
            elif kind == "ob":
                current["ob"] = value
        elif line.startswith("calls="):
            skip = True
        elif line[:1] in "+-*0123456789" and len(fields := line.split()) == 2:
            if not skip:
                key = current["file"], current["ob"]
                costs[key] = costs.get(key, 0) + int(fields[1])
            skip = False
    return costs


def by_layer(costs: dict[tuple[str, str], int]) -> dict[str, int]:
    """Layer → instructions; what is not ours under the name of its library."""
    layers: dict[str, int] = {}
    for (file, obj), cost in costs.items():
        ours = re.search(r"(?:^|/)csrc/(\w+)/", file)
        name = LAYERS.get(ours.group(1), "event") if ours else f"({Path(obj).name.split('.')[0]})"
        layers[name] = layers.get(name, 0) + cost
    return layers


def total(layers: dict[str, float]) -> float:
    """Of ours alone."""
    return sum(cost for name, cost in layers.items() if not name.startswith("("))


def permitted(changelog: str, case: str) -> int:
    """The largest limit that the changelog names for a case; 0 when it names none."""
    found = re.findall(rf"bench-core/{case}:\s+up\s+to\s+([\d,]+)\s+instructions", changelog)
    return max((int(each.replace(",", "")) for each in found), default=0)


def judge(case: str, now: float, before: float, changelog: str) -> str:
    """Why the check fails for a case; "" when it does not."""
    if now <= before * (1 + RISE) or now <= permitted(changelog, case):
        return ""
    rise = 100 * (now / before - 1)
    return (f"{case}: {now:,.1f} instructions of ours a message, {rise:+.1f} % against {before:,.1f}. "
            f"If that is the price of something, say so in CHANGELOG.md: "
            f'"bench-core/{case}: up to {now + 1:,.0f} instructions", with the reason; make bench-core-baseline')


def count(batch: str) -> dict[str, float]:
    """Instructions a message by layer, under callgrind."""
    with tempfile.TemporaryDirectory(prefix="xdpws-core-") as directory:
        out = Path(directory) / "out"
        argv = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured*",
                f"--callgrind-out-file={out}", "--compress-pos=no", str(CORE), batch, str(COUNT), "200", "1"]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"core: {done.stderr.strip()[-400:]}")
        said = json.loads(done.stdout)
        with out.open() as lines:
            layers = by_layer(self_costs(lines))
    seen = said["messages"] + said["warm"]
    return {name: round(cost / seen, 1) for name, cost in sorted(layers.items())}


def native(batch: str) -> dict[str, Any]:
    """ns a message; the best of three runs."""
    runs = [json.loads(subprocess.run([str(CORE), batch, str(NATIVE_COUNT)], capture_output=True, text=True,
                                      check=True).stdout) for _ in range(3)]
    best: dict[str, Any] = min(runs, key=lambda run: float(run["ns_median"]))
    return best


def environment() -> dict[str, str]:
    """What the count of instructions depends on besides the source."""
    compiler = subprocess.run([os.environ.get("CC", "gcc"), "--version"], capture_output=True, text=True).stdout
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return {"compiler": compiler.splitlines()[0] if compiler else "", "machine": os.uname().machine,
            "avx2": str("avx2" in flags.split())}


def check(counted: dict[str, dict[str, float]]) -> int:
    """Against the baseline; the exit code."""
    baseline = json.loads(BASELINE.read_text())
    if baseline["environment"] != environment():
        print(f"bench-core: not compared: the baseline is of {baseline['environment']}, this is {environment()}")
        return 0
    changelog = (ROOT / "CHANGELOG.md").read_text()
    wrong = [why for case, layers in counted.items()
             if (why := judge(case, total(layers), total(baseline["cases"][case]), changelog))]
    for case, layers in counted.items():
        before = total(baseline["cases"][case])
        print(f"bench-core: {case}: {total(layers):,.1f} instructions of ours a message, baseline {before:,.1f}")
    for why in wrong:
        print(f"bench-core: {why}", file=sys.stderr)
    return 1 if wrong else 0


def show(counted: dict[str, dict[str, float]]) -> None:
    """Tables for people."""
    console = Console(width=120)
    table = Table(title="instructions a message (callgrind), 200 B, AES-128-GCM", title_justify="left")
    for name in ("layer", *counted):
        table.add_column(name, justify="left" if name == "layer" else "right")
    for layer in sorted({layer for layers in counted.values() for layer in layers}):
        table.add_row(layer, *(f"{layers.get(layer, 0):,.1f}" for layers in counted.values()))
    table.add_row("[bold]ours", *(f"[bold]{total(layers):,.1f}" for layers in counted.values()))
    console.print(table)
    for case, batch in TIMED.items():
        run = native(batch)
        console.print(f"{case}: {run['ns_median']:.0f} ns a message (best {run['ns_best']:.0f}), bare EVP "
                      f"{run['evp_ns']:.0f} ns, ratio {run['median_vs_evp']:.2f}; allocations a message: "
                      f"{run['allocations'] / run['messages']:.3f}", highlight=False)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    counted = {case: count(batch) for case, batch in CASES.items()}
    if args.write:
        BASELINE.write_text(json.dumps({"environment": environment(), "cases": counted}, indent=1) + "\n")
    if args.check:
        return check(counted)
    show(counted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
