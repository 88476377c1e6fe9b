"""Runs packetdrill scripts from anywhere against the stack in a box and says how many pass.

    python tests/script/pkt_main.py [--any-order] [--ignore-push] [-D NAME=VALUE] FILE_OR_FOLDER...

Each script runs in a process of its own, so that an assertion that fails ends that script alone. Results: ok, fail
(what was seen is not what the script says), unsupported (the script needs what the stack does not have, e.g. IPv6 or
Fast Open), syntax (the reader does not know a line), crash.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pkt_stack
from pkt_calls import Unsupported, Wrong
from pkt_run import Setup, run_text
from pkt_syntax import SyntaxTrouble


def outcome(path: Path, setup: Setup) -> tuple[str, str]:
    try:
        run_text(path.read_text(errors="replace"), setup)
    except Wrong as e:
        return "fail", str(e)
    except Unsupported as e:
        return "unsupported", str(e)
    except SyntaxTrouble as e:
        return "syntax", str(e)
    return "ok", ""


def apart(path: Path, setup: Setup) -> tuple[str, str]:
    """In a child: its exit and what it wrote are the result."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        try:
            kind, why = outcome(path, setup)
        except BaseException as e:
            kind, why = "crash", repr(e)
        with os.fdopen(w, "w") as f:
            f.write(f"{kind}\n{why}")
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.waitpid(pid, 0)
    kind, _, why = text.partition("\n")
    return (kind, why) if kind else ("crash", "the process ended")


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("paths", nargs="+", type=Path)
    p.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME=VALUE")
    p.add_argument("--tolerance-usecs", type=int, default=4000)
    p.add_argument("--any-order", action="store_true", help="TCP options may come in another order, NOPs do not count")
    p.add_argument("--any-host", action="store_true", help="what SO_RCVBUF and SO_SNDBUF say is not compared")
    p.add_argument("--ignore-push", action="store_true")
    p.add_argument("--ignore-win", action="store_true")
    p.add_argument("--strict-end", action="store_true", help="a packet left over at the end is a failure")
    p.add_argument("-q", "--quiet", action="store_true", help="the sum only")
    a = p.parse_args()
    setup = Setup(a.tolerance_usecs * 1000, a.strict_end, a.ignore_push, a.ignore_win, a.any_host, a.any_order,
                  dict(d.split("=", 1) for d in a.defines))
    files = sorted(f for path in a.paths for f in (path.rglob("*.pkt") if path.is_dir() else [path]))
    if not files:
        print(f"no *.pkt below {', '.join(map(str, a.paths))}", file=sys.stderr)
        return 2
    pkt_stack.library()
    begin = time.monotonic()
    sums: Counter[str] = Counter()
    for f in files:
        kind, why = apart(f, setup)
        sums[kind] += 1
        if not a.quiet:
            print(f"{kind:12}{f}" + (f"\n    {why}" if why else ""))
    print(", ".join(f"{n} {kind}" for kind, n in sorted(sums.items())) +
          f" of {len(files)} scripts in {time.monotonic() - begin:.1f} s")
    return 0 if sums["ok"] == len(files) else 1


if __name__ == "__main__":
    sys.exit(main())
