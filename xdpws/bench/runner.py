"""Runs clients over scenarios: topology, sender, processes, repetitions. What the figures mean is `figures`' part."""
from __future__ import annotations

import array
import contextlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from xdpws.bench import figures
from xdpws.bench.clients import ClientSpec, Place, command, sized
from xdpws.bench.figures import Run
from xdpws.bench.peers import interpreter
from xdpws.bench.scenario import ECHO, Scenario
from xdpws.control.tune_process import ProcessWish, process_plan
from xdpws.errors import SetupError
from xdpws.sim.cert import make_certificate

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "build" / "bench"
VENV = TOOLS / "venv"
_RUN_S = 40.0
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run. prefix, subnet: of the topology (subnet: first three octets). fifo: SCHED_FIFO where it may be.

    pin: a core for each. huge_pages: for our clients' UMEM. cpu_latency_us: no deeper idle state while it runs.
    attempts: how often a run is tried that is refused."""

    reps: int = 5
    prefix: str = "xwbench"
    subnet: str = "10.199.88"
    fifo: bool = True
    attempts: int = 6
    pin: bool = True
    huge_pages: bool = False
    cpu_latency_us: int | None = None


@dataclass(slots=True)
class Outcome:
    """Everything that was measured. missing: clients that did not run, and why. facts: about host and settings."""

    runs: list[Run] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    stages: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    repeated: int = 0


def host_facts() -> dict[str, Any]:
    """The machine: kernel, CPU, cores, load."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), os.uname().machine)
    return {"kernel": os.uname().release, "cpu": cpu, "cores": len(os.sched_getaffinity(0)),
            "load": round(os.getloadavg()[0], 2), "python": sys.version.split()[0]}


def real_time_works() -> bool:
    """Whether this process may use SCHED_FIFO."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        return False
    return True


def check_host() -> None:
    """SetupError when the bench cannot run here at all."""
    if not (ROOT / "tools" / "bench" / "sender.c").exists():
        raise SetupError("start the bench", "it needs the source tree of xdpws (tools/bench)",
                         "git clone it; make bench")
    if os.geteuid() != 0:
        raise SetupError("start the bench", "it makes network namespaces, so it needs root", "sudo make bench")
    if len(os.sched_getaffinity(0)) < 2:
        raise SetupError("start the bench", "sender and client need a core each; there is one", "give it two CPUs")
    done = subprocess.run(["make", "--no-print-directory", "bench-tools"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SetupError("build the sender", (done.stderr or done.stdout).strip()[-400:], "make bench-tools")


class Sender:
    """The sender's process in the server's namespace."""

    def __init__(self, prefix: list[str], ip: str, cert: Path, key: Path, cpu: int, fifo: bool) -> None:
        argv = [*prefix, str(TOOLS / "sender"), ip, "0", str(cert), str(key), str(cpu), str(int(fifo))]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._buffer = b""
        self.ready = self.report(10.0)
        if not self.ready:
            self._process.kill()
            text = self._process.communicate()[1].decode(errors="replace")
            raise SetupError("start the sender", text.strip()[-300:] or "no ready line")

    def report(self, timeout_s: float) -> dict[str, Any]:
        """The next line that it prints; {} when none comes."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        until = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                return {}
            data = os.read(fd, 65536)
            if not data:
                return {}
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        report: dict[str, Any] = json.loads(line)
        return report

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate()


class Stage:
    """Topology, certificate and sender for the length of a `with` block."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = contextlib.ExitStack()
        self.fifo = settings.fifo and real_time_works()
        self.cores = sorted(os.sched_getaffinity(0))[:2]

    def _topo(self, *args: str) -> list[str]:
        return [str(ROOT / "vm" / "topo.sh"), "--prefix", self.settings.prefix, "--subnet", self.settings.subnet, *args]

    @contextlib.contextmanager
    def _topology(self) -> Iterator[None]:
        done = subprocess.run(self._topo("up"), capture_output=True, text=True)
        if done.returncode:
            raise SetupError("make the topology", done.stderr.strip()[-300:], "vm/topo.sh show")
        try:
            yield
        finally:
            subprocess.run(self._topo("down"), capture_output=True, check=False)

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xdpws-bench-")))
            stack.enter_context(self._topology())
            tuned = process_plan(ProcessWish(cpu_latency_us=self.settings.cpu_latency_us))
            tuned.apply()
            stack.callback(tuned.undo)
            ip = f"{self.settings.subnet}.1"
            files = make_certificate(self.directory, (ip,))
            self.sender = Sender(["ip", "netns", "exec", f"{self.settings.prefix}-srv"], ip, files.cert, files.key,
                                 self.cores[0] if self.settings.pin else -1, self.fifo)
            stack.callback(self.sender.close)
            python = {"ours": sys.executable, "peer": str(interpreter(VENV))}
            self.place = Place(ROOT, TOOLS, ip, int(self.sender.ready["port"]), files.ca, f"{self.settings.prefix}-v1",
                               self.cores[1] if self.settings.pin else -1, self.fifo, python, self.settings.huge_pages)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def run(self, client: ClientSpec, scenario: Scenario, rep: int, stages: bool = False) -> Run:
        """One run, once; a refused one says why."""
        scenario = sized(client, scenario)
        out = self.directory / "latencies"
        out.unlink(missing_ok=True)
        argv = ["ip", "netns", "exec", f"{self.settings.prefix}-cli",
                *command(client, scenario, self.place, out, stages)]
        result = Run(client.name, scenario.name, rep)
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_RUN_S)
            said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        except subprocess.TimeoutExpired:
            result.refused = f"no end within {_RUN_S:.0f} s"
        except (json.JSONDecodeError, IndexError):
            said_last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            result.refused = f"the client failed: {' '.join(said_last)[-300:] or f'exit code {done.returncode}'}"
        sender = self.sender.report(25.0)
        if result.refused:
            return result
        result.version, result.fifo, result.stages = said["version"], said["fifo"], said.get("stages") or {}
        result.refused = figures.refusal(scenario, said, sender)
        latencies = array.array("q", out.read_bytes())
        if not result.refused:
            result.values, result.curve = figures.evaluate(scenario, said, latencies)
        return result

    def run_until_fair(self, client: ClientSpec, scenario: Scenario, rep: int, outcome: Outcome) -> Run:
        """One run, repeated when it was refused, a few times."""
        run = self.run(client, scenario, rep)
        for _ in range(1, self.settings.attempts):
            if not run.refused:
                break
            outcome.repeated += 1
            run = self.run(client, scenario, rep)
        return run


def bench(settings: Settings, clients: Sequence[ClientSpec], scenarios: Sequence[Scenario], missing: dict[str, str],
          progress: Progress, only_needed: bool = False) -> Outcome:
    """Everything, interleaved: for each repetition and scenario the clients in a random but reproducible order.

    only_needed: leave out what no ratio needs.
    """
    outcome = Outcome(missing=dict(missing))
    runnable = [client for client in clients if client.name not in missing]
    with Stage(settings) as stage:
        outcome.facts = host_facts() | {
            "fifo": stage.fifo, "sender_core": stage.cores[0], "client_core": stage.cores[1], "reps": settings.reps,
            "openssl": stage.sender.ready["openssl"], "sender_locked": stage.sender.ready["locked"]}
        for rep in range(settings.reps):
            for scenario in scenarios:
                wanted = figures.needed(scenario.name)
                order = [c for c in runnable if (not only_needed or c.name in wanted or not wanted)
                         and (c.echoes or scenario.mode != ECHO)]
                random.Random(f"{rep}{scenario.name}").shuffle(order)
                for client in order:
                    run = stage.run_until_fair(client, scenario, rep, outcome)
                    outcome.runs.append(run)
                    progress(f"{rep + 1}/{settings.reps} {scenario.name} {client.name}: {_brief(run)}")
        for client in runnable:
            paced = next((s for s in scenarios if s.name == "trade"), None)
            if client.kind == "ours" and client.echoes and paced is not None:
                outcome.stages[client.name] = stage.run(client, paced, settings.reps, stages=True).stages
    return outcome


def _brief(run: Run) -> str:
    if run.refused:
        return f"REFUSED: {run.refused}"
    if "rate" in run.values:
        return f"{run.values['rate']:,.0f} messages/s"
    return f"p50 {run.values['p50'] / 1000:.2f} µs, p99 {run.values['p99'] / 1000:.2f} µs"
