"""Run Autobahn|Testsuite against xdpws: autobahn.py [--cases …] [--exclude …] [--interface …]. See --help.

Sets the suite up (tools/autobahn_setup.py), starts it on a free port, lets our client run every case (or lets it run
against our server), runs the cases that failed once more, alone, because the suite's time limits are short, and judges
both fields of each result.

Exit code 0: nothing failed, nothing unimplemented, every case has a result, and NON-STRICT only where it is a matter of
timing. 1: not so. 2: the suite could not be set up or started.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "net")]

from autobahn_setup import Unavailable, ensure  # noqa: E402

GOOD = frozenset({"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"})
TIMING = frozenset({"3.4", "4.1.5", "4.2.5",  # octets one by one: what was echoed before the error varies by run
                    # the error may be seen before the application has echoed the message before it
                    "3.2", "3.3", "4.1.3", "4.1.4", "4.2.3", "4.2.4", "5.15"})
CORE = ("12.*", "13.*")
"""What --core leaves out: 301 of the 517 cases are left."""
Results = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the two sides run: what to put before their commands, the suite's address, our client's options."""

    address: str = "127.0.0.1"
    suite: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@contextlib.contextmanager
def place(interface: str | None) -> Iterator[Place]:
    """Loopback, or (xdp-topology) two namespaces joined by a veth pair with AF_XDP on the client's end."""
    if interface is None:
        yield Place()
        return
    from topology import Topology, missing
    if missing():
        raise Unavailable(missing())
    with Topology() as topo:
        yield Place(topo.srv_ip, tuple(topo.command("srv")), tuple(topo.command("cli")),
                    ("--transport", "xdp", "--interface", topo.cli_if))


def wait_for_suite(process: subprocess.Popen[bytes], port: int, seconds: float = 30) -> None:
    """Wait until the suite listens (its own namespace's sockets say so); Unavailable when it does not come up."""
    needle = f":{port:04X} 00000000:0000 0A"
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            if needle in Path(f"/proc/{process.pid}/net/tcp").read_text():
                return
        time.sleep(0.05)
    raise Unavailable("the suite did not begin to listen")


def free_port(where: Place) -> int:
    """A port that nobody has: by the kernel on loopback, any in a namespace of our own."""
    if where.suite:
        return 9001
    with socket.socket() as probe:
        probe.bind((where.address, 0))
        return int(probe.getsockname()[1])


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process that we started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment(args: argparse.Namespace, address: str) -> dict[str, str]:
    """Of the suite's process."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return env | {"AUTOBAHN_ADDRESS": address} | ({"AUTOBAHN_COUNT": str(args.count)} if args.count else {})


def against_server(args: argparse.Namespace, python2: Path, cases: Sequence[str], exclude: Sequence[str],
                   out: Path) -> tuple[int, Results]:
    """As run_once, with the suite as client of our server, a program that prints its port."""
    (out / "index.json").unlink(missing_ok=True)
    command = [sys.executable, str(args.server)] if str(args.server).endswith(".py") else [str(args.server)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        url = f"ws://127.0.0.1:{int(server.stdout.readline())}/"
        spec = out / "spec.json"
        spec.write_text(json.dumps({"outdir": str(out), "servers": [{"agent": args.agent, "url": url}],
                                    "cases": list(cases), "exclude-cases": list(exclude), "exclude-agent-cases": {}}))
        with (out / "suite.log").open("wb") as log:
            subprocess.run([str(python2), str(ROOT / "tools" / "autobahn_wstest.py"), "-m", "fuzzingclient", "-s",
                            str(spec)], cwd=out, env=environment(args, "127.0.0.1"), stdout=log, stderr=log,
                           stdin=subprocess.DEVNULL, timeout=args.timeout, check=False)
    except subprocess.TimeoutExpired:
        print(f"the suite was not through after {args.timeout:.0f} s")
    finally:
        stop(server)
    return case_count(out / "suite.log"), results_of(out / "index.json", args.agent)


def run_once(args: argparse.Namespace, python2: Path, where: Place, cases: Sequence[str], exclude: Sequence[str],
             out: Path) -> tuple[int, Results]:
    """One run of the suite over `cases`; returns how many cases it had and what it judged."""
    out.mkdir(parents=True, exist_ok=True)
    if args.server is not None:
        return against_server(args, python2, cases, exclude, out)
    port = free_port(where)
    url = f"ws://{where.address}:{port}"
    spec = out / "spec.json"
    (out / "index.json").unlink(missing_ok=True)
    spec.write_text(json.dumps({"url": url, "outdir": str(out), "cases": list(cases), "exclude-cases": list(exclude),
                                "exclude-agent-cases": {}}))
    with (out / "suite.log").open("wb") as suite_log, (out / "client.log").open("w") as client_log:
        suite = subprocess.Popen([*where.suite, str(python2), str(ROOT / "tools" / "autobahn_wstest.py"), "-m",
                                  "fuzzingserver", "-s", str(spec), "-u", "0"], cwd=out,
                                 env=environment(args, where.address), stdout=suite_log, stderr=suite_log,
                                 stdin=subprocess.DEVNULL)
        try:
            wait_for_suite(suite, port)
            run_client(args, where, url, client_log)
        finally:
            stop(suite)
    return case_count(out / "suite.log"), results_of(out / "index.json", args.agent)


def run_client(args: argparse.Namespace, where: Place, url: str, log: TextIO) -> None:
    """Our client through all cases; what it says stands in its log."""
    client = subprocess.Popen([*where.client, sys.executable, str(ROOT / "tests/conformance/autobahn_client.py"), url,
                               args.agent, "--jobs", str(args.jobs), *where.options], stdout=log, stderr=log,
                              stdin=subprocess.DEVNULL, cwd=ROOT)
    try:
        if client.wait(args.timeout) != 0:
            print(f"the client ended with exit code {client.returncode}; see {log.name}")
    except subprocess.TimeoutExpired:
        print(f"the client was not through after {args.timeout:.0f} s; see {log.name}")
    finally:
        stop(client)


def case_count(log: Path) -> int:
    """How many cases the suite said it would run; 0: it did not say."""
    words = log.read_text(errors="replace").split()
    at = [i for i, word in enumerate(words) if word == "test" and words[i + 1:i + 2] == ["cases"]]
    return int(words[at[0] - 1]) if at and words[at[0] - 1].isdigit() else 0


def results_of(index: Path, agent: str) -> Results:
    """The suite's verdicts by case; none when it wrote no report."""
    if not index.is_file():
        return {}
    found: Results = json.loads(index.read_text()).get(agent, {})
    return found


def failed(result: dict[str, Any]) -> bool:
    """One of the two fields is bad."""
    return result["behavior"] not in GOOD or result["behaviorClose"] not in GOOD


def key(case: str) -> list[int]:
    """For sorting case ids."""
    return [int(part) for part in case.split(".")]


def judge(count: int, results: Results, label: str) -> bool:
    """Print what is not OK and one line of summary; True when the bar is met."""
    def cases(choice: Any) -> list[str]:
        return sorted((case for case, result in results.items() if choice(result)), key=key)

    bad = cases(failed)
    lax = cases(lambda r: "NON-STRICT" in (r["behavior"], r["behaviorClose"]))
    undone = cases(lambda r: "UNIMPLEMENTED" in (r["behavior"], r["behaviorClose"]))
    told = cases(lambda r: "INFORMATIONAL" in (r["behavior"], r["behaviorClose"]))
    for case in bad:
        result = results[case]
        print(f"  FAILED {case}: behavior {result['behavior']}, behaviorClose {result['behaviorClose']}, code "
              f"{result['remoteCloseCode']}")
    if lax:
        print("  NON-STRICT:", " ".join(f"{case}{'' if case in TIMING else ' (not a matter of timing)'}"
                                        for case in lax))
    rest = set(results) - set(bad) - set(lax) - set(undone) - set(told)
    missing = max(0, count - len(results))
    print(f"autobahn {label}: {count} cases, {len(rest)} OK, {len(lax)} NON-STRICT, {len(told)} INFORMATIONAL, "
          f"{len(bad)} FAILED, {len(undone)} UNIMPLEMENTED" + (f", {missing} without a result" if missing else ""))
    return bool(results) and not bad and not undone and not missing and set(lax) <= TIMING


def run(args: argparse.Namespace) -> int:
    """All of it; the exit code."""
    python2 = ensure(args.suite)
    begin = time.monotonic()
    with place(args.interface) as where:
        exclude = (*args.exclude, *(CORE if args.core else ()))
        count, results = run_once(args, python2, where, args.cases, exclude, args.out / "run")
        again = sorted((case for case, result in results.items() if failed(result)), key=key)
        if again and len(again) <= 50:
            print("once more, alone:", " ".join(again))
            _, second = run_once(args, python2, where, again, (), args.out / "again")
            results |= {case: result for case, result in second.items() if not failed(result)}
    (args.out / "index.json").write_text(json.dumps({args.agent: results}, indent=1, sort_keys=True))
    print(f"{time.monotonic() - begin:.0f} s; reports: {args.out}")
    label = "server" if args.server else "client over xdp" if args.interface else "client"
    return 0 if judge(count, results, label) else 1


def main() -> int:
    """Parse the arguments, run, say why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=["*"], metavar="ID", help="such as 1.* 7.1.5 (default: all)")
    parser.add_argument("--exclude", nargs="+", default=[], metavar="ID")
    parser.add_argument("--core", action="store_true", help="without the cases of compression, 12.* and 13.*")
    parser.add_argument("--count", type=int, help="messages in each case of 12.* and 13.* (the suite: 1000)")
    parser.add_argument("--interface", choices=["xdp-topology"], help="over AF_XDP on a veth pair (needs root)")
    parser.add_argument("--server", type=Path, help="test this echo server, a program that prints its port, instead")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--agent", default="xdpws")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for all cases")
    parser.add_argument("--suite", type=Path, default=ROOT / "build" / "autobahn", help="where the suite is installed")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "autobahn" / "out", help="where reports go")
    args = parser.parse_args()
    args.out = args.out.resolve()
    try:
        return run(args)
    except Unavailable as reason:
        print(f"autobahn: cannot run: {reason}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
