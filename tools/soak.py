"""Feeds in a loop with disconnects, over a kernel socket and AF_XDP, for minutes: soak.py [--minutes 10].

An exchange (the simulator) plays every recorded feed ($XDPWS_FEEDS, default ../shared/data/feeds), or synthetic ones
where there are none, each with faults of its own: connections end by FIN, by RST, in the midst of a frame, by half a
close. Two clients, one a transport, follow them by `async for ws in xdpws.connect(...)`, several feeds at a time. Over
AF_XDP they sit at a veth pair in namespaces of their own (needs root; without it that half is left out, and the report
says so).

Every message is compared with the feed's next one, byte by byte, which is more than a venue's sequence numbers show: a
message that is lost, doubled or changed between connect and cut is an error. After a FIN nothing may be missing up to
the cut. Each client's resident memory is taken once a second; flat means that the median of the last quarter is at most
3 % or 3 MiB, whichever is more, above the second quarter's.

Exit code 0: no error, memory flat, every feed seen. 1: not so. 2: it could not start.
"""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "net")]

import xdpws  # noqa: E402
from xdpws.aio import Backoff  # noqa: E402
from xdpws.errors import ConnectionClosed  # noqa: E402
from xdpws.sim.config import ExchangeConfig  # noqa: E402
from xdpws.sim.feed import Feed  # noqa: E402
from xdpws.sim.server import Exchange  # noqa: E402
from xdpws.sim.synthetic import Synthetic  # noqa: E402

FAULTS: tuple[dict[str, Any], ...] = (
    {"drop": "fin"}, {"drop": "rst"}, {"reset_mid_frame": True}, {"half_close": True},
    {"drop": "fin", "fragment": "random"}, {"drop": "fin", "records": "coalesce:8"},
    {"drop": "rst", "fragment": "interleaved", "records": "random"},
)
SYNTHETIC = 6
"""How many synthetic feeds take the place of recorded ones."""


@dataclass(frozen=True, slots=True)
class Play:
    """One feed as the exchange offers it; `whole` says that nothing may be missing up to the cut."""

    feed: str
    seed: int
    count: int
    url: str
    ca: str | None
    cut: int
    fault: str
    whole: bool

    def payloads(self) -> Iterator[tuple[int | None, bytes]]:
        """Opcode and bytes of its messages, from the start."""
        source: Any = Synthetic(self.count, self.seed) if self.feed == "synthetic" else Feed(self.feed)
        return ((record.opcode, record.payload) for record in source.messages())


@dataclass(slots=True)
class Tally:
    """What one client saw."""

    messages: int = 0
    size: int = 0
    connections: int = 0
    cuts: dict[str, int] = field(default_factory=dict)
    feeds: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    rss_kib: list[int] = field(default_factory=list)


# ---- the exchange ----

async def serve(host: str, files: list[str], report: Path) -> None:
    """Offer all feeds, write where they are, play until the parent goes."""
    async with contextlib.AsyncExitStack() as stack:
        plays = []
        for n, name in enumerate(files):
            fault = FAULTS[n % len(FAULTS)]
            cut = random.Random(n).randrange(400, 4000)
            plain = n % 3 == 2
            config = ExchangeConfig(feed=name, seed=n, count=5000, host=host, port=0, plain=plain, speed=None, loop=1,
                                    names=() if plain else (host,), tls=None if plain else ("1.2", "1.3")[n % 2],
                                    ack="never", drop_after=cut, ping_interval_s=0.5, ping_timeout_s=3600, **fault)
            exchange = await stack.enter_async_context(Exchange(config))
            plays.append(Play(name, n, 5000, exchange.url, str(exchange.ca_file) if exchange.ca_file else None, cut,
                              " ".join(f"{k}={v}" for k, v in fault.items()),
                              bool(fault.get("half_close")) or fault.get("drop") == "fin"))
        report.write_text(json.dumps([asdict(play) for play in plays]))
        report.with_suffix(".ready").touch()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# ---- the client ----

def rss_kib() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


async def follow(play: Play, tally: Tally, until: float, options: dict[str, Any]) -> None:
    """One feed through a few connections; every message is the feed's next."""
    seen = 0
    tls = xdpws.TlsOptions(ca_file=play.ca) if play.ca else None
    async for ws in xdpws.connect(play.url, tls=tls, backoff=Backoff(first_s=0.02, cap_s=0.5), max_size=1 << 24,
                                  ping_interval=0.5, ping_timeout=600, **options):
        tally.connections += 1
        expected, count = play.payloads(), 0
        try:
            async for message in ws:
                opcode, payload = next(expected, (None, b""))
                got = message.encode() if isinstance(message, str) else message
                if got != payload or isinstance(message, str) != (opcode == 1):
                    tally.errors.append(f"{play.feed}: message {count} is not the feed's ({len(got)} bytes)")
                    break
                count += 1
                tally.size += len(got)
                if time.monotonic() > until:
                    await ws.close()
                    break
            else:
                check_whole(play, count, tally)
        except ConnectionClosed:
            check_whole(play, count, tally)
        tally.messages += count
        tally.cuts[play.fault] = tally.cuts.get(play.fault, 0) + 1
        seen += 1
        if seen == 3 or time.monotonic() > until:
            break
    tally.feeds[play.feed] = tally.feeds.get(play.feed, 0) + seen


def check_whole(play: Play, count: int, tally: Tally) -> None:
    """The exchange cut it; up to the cut, or the feed's end, nothing may be missing."""
    if play.whole and count < play.cut:
        total = sum(1 for _ in play.payloads())
        if count < min(play.cut, total):
            tally.errors.append(f"{play.feed}: {count} messages before the cut at {min(play.cut, total)}")


async def client(plays: list[Play], seconds: float, jobs: int, options: dict[str, Any]) -> Tally:
    """All feeds over and over, `jobs` at a time."""
    tally, until = Tally(), time.monotonic() + seconds
    queue = iter(play for _ in range(10**6) for play in plays)

    async def worker() -> None:
        for play in queue:
            if time.monotonic() > until:
                return
            try:
                await follow(play, tally, until, options)
            except Exception as fault:
                tally.errors.append(f"{play.feed}: {type(fault).__name__}: {fault}")

    async def watch() -> None:
        while True:
            await asyncio.sleep(1)
            tally.rss_kib.append(rss_kib())

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(worker() for _ in range(jobs)))
    watcher.cancel()
    return tally


# ---- the whole ----

def feeds() -> list[str]:
    """The recorded ones that are there, else synthetic ones."""
    folder = Path(os.environ.get("XDPWS_FEEDS", ROOT.parent / "shared" / "data" / "feeds"))
    return [str(path) for path in sorted(folder.glob("*.jsonl.gz"))] or ["synthetic"] * SYNTHETIC


def flat(rss: list[int]) -> tuple[float, float, bool]:
    """Median of the second and of the last quarter in KiB, and whether memory is flat."""
    if len(rss) < 8:
        return 0.0, 0.0, True
    quarter = len(rss) // 4
    early, late = statistics.median(rss[quarter:2 * quarter]), statistics.median(rss[-quarter:])
    return early, late, late - early <= max(0.03 * early, 3 * 1024)


@contextlib.contextmanager
def side(transport: str, seconds: float, out: Path, args: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    """Exchange and client of one transport; gives the client's process."""
    with contextlib.ExitStack() as stack:
        host, before, after, options = "127.0.0.1", [], [], {"transport": transport}
        if transport == "xdp":
            from topology import Topology
            topology = stack.enter_context(Topology())
            host, before, after = topology.srv_ip, topology.command("srv"), topology.command("cli")
            options["interface"] = topology.cli_if
        report = out / f"{transport}-plays.json"
        command = [sys.executable, str(Path(__file__).resolve()), "--role"]
        exchange = subprocess.Popen([*before, *command, "serve", "--host", host, "--report", str(report)],
                                    stdin=subprocess.PIPE)
        stack.callback(exchange.wait)
        stack.callback(lambda: exchange.stdin and exchange.stdin.close())
        until = time.monotonic() + 60
        while not report.with_suffix(".ready").exists():
            if exchange.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the exchange did not start")
            time.sleep(0.05)
        yield subprocess.Popen([*after, *command, "client", "--report", str(report), "--seconds", str(seconds),
                                "--jobs", str(args.jobs), "--options", json.dumps(options)], stdout=subprocess.PIPE,
                               text=True)


def judge(transport: str, tally: dict[str, Any], names: set[str]) -> tuple[dict[str, Any], bool]:
    """Print one side's figures; they, and whether they are as they must be."""
    early, late, is_flat = flat(tally["rss_kib"])
    missing = sorted(Path(name).name for name in names - set(tally["feeds"]))
    cuts = sum(tally["cuts"].values())
    print(f"{transport}: {tally['messages']:,} messages, {tally['size'] / 1e6:,.1f} MB, {tally['connections']:,} "
          f"connections, {cuts:,} cuts, {len(tally['feeds'])} feeds, {len(tally['errors'])} errors; memory "
          f"{early / 1024:.1f} MiB in the second quarter, {late / 1024:.1f} in the last, "
          f"{max(tally['rss_kib'], default=0) / 1024:.1f} at most{'' if is_flat else ' (not flat)'}")
    for error in tally["errors"][:10]:
        print(f"  {error}")
    if missing:
        print(f"  never played: {' '.join(missing)}")
    good = not tally["errors"] and is_flat and tally["messages"] > 0 and cuts > 0
    return {**tally, "rss_second_quarter_kib": early, "rss_last_quarter_kib": late, "flat": is_flat,
            "never_played": missing}, good


def soak(args: argparse.Namespace) -> int:
    """Both transports at once; the exit code."""
    from topology import missing
    why = missing()
    transports = ["socket"] if why or args.socket_only else ["socket", "xdp"]
    if why:
        print(f"without AF_XDP: {why}")
    seconds = args.seconds or args.minutes * 60
    names = set(feeds())
    args.out.mkdir(parents=True, exist_ok=True)
    for left in args.out.glob("*"):
        left.unlink()
    result, good = {}, True
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(side(name, seconds, args.out, args)) for name in transports}
        for name, process in running.items():
            text, _ = process.communicate(timeout=seconds + 120)
            if process.returncode != 0:
                print(f"{name}: the client ended with exit code {process.returncode}")
                return 1
            result[name], ok = judge(name, json.loads(text.splitlines()[-1]), names)
            # a short run need not come to every feed
            good &= ok and (not result[name]["never_played"] or seconds < 120)
    (args.out / "soak.json").write_text(json.dumps({"seconds": seconds, "feeds": len(names), **result}, indent=1))
    print(f"soak: {seconds:.0f} s, {'good' if good else 'BAD'}; {args.out / 'soak.json'}")
    return 0 if good else 1


def main() -> int:
    """Parse, and be whichever of the three processes was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--jobs", type=int, default=3, help="feeds at a time, of each transport")
    parser.add_argument("--socket-only", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "soak")
    parser.add_argument("--role", default="all", choices=["all", "serve", "client"], help=argparse.SUPPRESS)
    parser.add_argument("--host", help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--options", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "serve":
        asyncio.run(serve(args.host, feeds(), args.report))
        return 0
    if args.role == "client":
        plays = [Play(**play) for play in json.loads(args.report.read_text())]
        print(json.dumps(asdict(asyncio.run(client(plays, args.seconds, args.jobs, json.loads(args.options))))))
        return 0
    try:
        return soak(args)
    except RuntimeError as reason:
        print(f"soak: cannot run: {reason}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
