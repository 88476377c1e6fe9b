"""Can the simulation find bugs? Breaks a copy of csrc/ in one place at a time and runs seeds until one fails.

    make sim-mutants                 all of them, SEEDS=2000 each at most
    make sim-mutants MUTANT=sack     those whose name contains it

Prints a line a mutant: caught by which seed and check, or survived. Exit code 1 if one survived or no longer applies.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutant"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One line of a file that is changed: the first place where `old` stands becomes `new`."""

    name: str
    file: str
    old: str
    new: str


MUTANTS = (
    Mutant("sack-bounds-unchecked", "tcp/sack.c",
           "if (!xw_seq_lt(lo, hi) || xw_seq_lt(lo, c->snd_una) || xw_seq_gt(hi, c->snd_nxt))",
           "if (!xw_seq_lt(lo, hi) || xw_seq_lt(lo, c->snd_una))"),
    Mutant("sack-block-one-long", "tcp/sack.c", "(uint32_t)(best->hi - c->rcv->tail))",
           "(uint32_t)(best->hi - c->rcv->tail) + 1)"),
    Mutant("reassembly-off-by-one", "tcp/reassembly.c", "while (i < c->ooo_cnt && c->ooo[i].hi < lo)",
           "while (i < c->ooo_cnt && c->ooo[i].hi <= lo)"),
    Mutant("window-edge-moves-back", "tcp/out.c", "if (room < cur + worth)\n        wnd = cur;",
           "if (room < cur + worth)\n        wnd = cur / 2;"),
    Mutant("window-of-old-ack", "tcp/ack.c", "if (!newer && (xw_seq_gt(c->wl1", "if ((xw_seq_gt(c->wl1"),
    Mutant("ack-beyond-what-came", "tcp/reassembly.c", "c->rcv_nxt = xw_seq_add(c->rcv_nxt, n);",
           "c->rcv_nxt = xw_seq_add(c->rcv_nxt, n + (n == 7));"),
    Mutant("fin-acked-too-early", "tcp/ack.c", "if (c->fin_sent && xw_seq_eq(c->snd_una, c->snd_nxt))",
           "if (c->fin_queued)"),
    Mutant("no-persist-timer", "tcp/timers.c", "c->probe_due = true;", "c->probe_due = false;"),
    Mutant("lost-bytes-drift", "tcp/sack.c", "c->lost_bytes -= r->len;", "c->lost_bytes -= r->len - 1;"),
    Mutant("rst-anywhere-in-window", "tcp/in.c", "if (!xw_seq_eq(rx->h.seq, c->rcv_nxt)) {", "if (false) {"),
    Mutant("syn-window-scaled", "tcp/in.c", "(uint16_t)(rx->h.window >> c->snd_wscale)", "rx->h.window"),
    Mutant("keepalive-never-forgets", "tcp/timers.c", "if (idle <= c->opts.keep_interval_ns)", "if (false)"),
    Mutant("icmp-unchecked-sequence", "tcp/icmp.c",
           "xw_seq_lt(seq, c->snd_una) || xw_seq_ge(seq, c->snd_nxt)", "false"),
    Mutant("retransmits-the-wrong-octets", "tcp/out.c", "uint64_t off = xw_tcp_off_of(c, g->hdr.seq);",
           "uint64_t off = xw_tcp_off_of(c, g->hdr.seq) + (c->ca == XW_TCP_CA_LOSS && len > 100);"),
    Mutant("ring-end-off-by-one", "tcp/out.c", "g->data[1] = xw_span(c->snd->base, len - first);",
           "g->data[1] = xw_span(c->snd->base + (len > first), len - first);"),
    Mutant("time-wait-slot-leaks", "tcp/stack.c", "if (c->released)\n        xw_tcp_conn_free(c);", "(void)0;"),
    Mutant("checksum-unverified", "stack/stack.c", "bool verify = !s->cfg.no_checksum;", "bool verify = false;"),
    Mutant("heap-sift-forgotten", "tcp/timers.c", "s->heap[c->heap_idx].key = at;\n        sift_up(s, c->heap_idx);",
           "(void)at;"),
)


def build_and_run(mutant: Mutant, seeds: str) -> str:
    """What became of it, one line."""
    path = COPY / "csrc" / mutant.file
    text = path.read_text()
    if mutant.old not in text:
        return "does not apply"
    path.write_text(text.replace(mutant.old, mutant.new, 1))
    try:
        return run_seeds(seeds)
    finally:
        path.write_text(text)


def run_seeds(seeds: str) -> str:
    """Builds the copy as it stands and runs seeds until one fails."""
    make = ["make", "-s", "-C", str(COPY), "FLAVOUR=gcc", "CFLAGS_gcc=-O1 -DXW_CHECKED -w", "build/gcc/sim/sim"]
    built = subprocess.run(make, capture_output=True, text=True, check=False)
    if built.returncode:
        return "does not build: " + built.stderr.strip().splitlines()[-1]
    run = [str(COPY / "build/gcc/sim/sim"), "-n", seeds, "-j", str(os.cpu_count())]
    ran = subprocess.run(run, capture_output=True, text=True, check=False, timeout=600)
    if not ran.returncode:
        return "SURVIVED"
    found = re.search(r"seed \d+ at \d+ ns: tests/sim/[\w.]+:\d+: [^\n]*|[^\n]*assert[^\n]*", ran.stderr)
    return "caught: " + (found.group(0) if found else f"exit code {ran.returncode} {ran.stderr.strip()[-100:]}")


def main() -> int:
    wanted, seeds = os.environ.get("MUTANT", ""), os.environ.get("SEEDS", "2000")
    bad = 0
    shutil.rmtree(COPY / "csrc", ignore_errors=True)
    shutil.copytree(ROOT / "csrc", COPY / "csrc", copy_function=shutil.copy)  # newer than the objects of last time
    for name in ("Makefile", "tests", "tools", "bpf"):
        if not (COPY / name).exists():
            (COPY / name).symlink_to(ROOT / name)
    for mutant in MUTANTS:
        if wanted in mutant.name:
            result = build_and_run(mutant, seeds)
            bad += not result.startswith("caught")
            print(f"{mutant.name:30} {result}", flush=True)
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
