"""`ClientSpec`: who receives, and the command line that makes it."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xdpws.bench.scenario import BLAST, ECHO, Scenario
from xdpws.errors import UsageError

ECHO_LEN = 200


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """kind: "c" (tools/bench/cclient.c), "ours", or "peer" (a library in its own environment). what: its mode or
    module. needs: distributions to be installed. pace: messages of a blast that it manages in less than a second.
    echoes: it can send from where it receives."""

    name: str
    title: str
    kind: str
    what: str
    args: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    pace: int = 300000
    echoes: bool = True


def _ours(name: str, title: str, transport: str, busy: int, take: str = "message") -> ClientSpec:
    options = ("--option", f"transport={transport}", "--option", f"busy={busy}", "--option", f"take={take}")
    return ClientSpec(name, title, "ours", "xdpws_client", options, pace=200000, echoes=take == "message")


_HANDLER = Path(__file__).resolve().parents[2] / "build" / "bench" / "handler.so"


def _uvloop(name: str, title: str, module: str, needs: tuple[str, ...], pace: int, spin: bool = False) -> ClientSpec:
    args = ("--loop", "uvloop", *(["--spin"] if spin else []))
    return ClientSpec(name, title, "peer", module, args, (*needs, "uvloop"), pace)


CLIENTS: dict[str, ClientSpec] = {c.name: c for c in (
    _ours("xdp", "xdpws xdp, busy poll", "xdp", 1),
    _ours("xdp_poll", "xdpws xdp, poll()", "xdp", 0),
    _ours("xdp_batch", "xdpws xdp, busy poll, on_batch", "xdp", 1, "batch"),
    _ours("xdp_compiled", "xdpws xdp, busy poll, compiled handler", "xdp", 1, str(_HANDLER)),
    _ours("socket_compiled", "xdpws socket, busy poll, compiled handler", "socket", 1, str(_HANDLER)),
    _ours("socket", "xdpws socket, busy poll", "socket", 1),
    _ours("socket_epoll", "xdpws socket, epoll", "socket", 0),
    ClientSpec("cspin", "C spin", "c", "spin"),
    ClientSpec("cspin_ra", "C spin, read-ahead", "c", "spin-ra"),
    ClientSpec("cspin_rec", "C spin, own recv(), record by record", "c", "spin-rec"),
    ClientSpec("cepoll", "C epoll", "c", "epoll"),
    ClientSpec("cblock", "C blocking", "c", "block"),
    _uvloop("picows_spin", "picows, uvloop, spinning", "picows_core", ("picows",), 300000, spin=True),
    _uvloop("picows", "picows, uvloop", "picows_core", ("picows",), 300000),
    _uvloop("websockets", "websockets, uvloop", "websockets_asyncio", ("websockets",), 60000),
    _uvloop("aiohttp", "aiohttp, uvloop", "aiohttp_ws", ("aiohttp",), 120000),
    ClientSpec("websocket_client", "websocket-client", "peer", "websocket_client", (), ("websocket-client",), 40000),
)}
CSPIN = ("cspin", "cspin_ra", "cspin_rec")
"""The C loops that spin: the best of a repetition is the yardstick."""


def choose(names: str | None) -> list[ClientSpec]:
    """The clients of a comma-separated list; None: all. UsageError for a name that there is not."""
    chosen = names.split(",") if names else list(CLIENTS)
    unknown = [name for name in chosen if name not in CLIENTS]
    if unknown:
        raise UsageError(f"no such client: {', '.join(unknown)}; there are {', '.join(CLIENTS)}")
    return [CLIENTS[name] for name in chosen]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run happens. cpu: of the client; -1: not pinned. python: interpreter for each kind of client."""

    root: Path
    tools: Path
    ip: str
    port: int
    ca: Path
    interface: str
    cpu: int
    fifo: bool
    python: dict[str, str]
    huge_pages: bool = False


def sized(client: ClientSpec, scenario: Scenario) -> Scenario:
    """The scenario with as many messages as this client takes in less than a second."""
    return scenario.sized(min(scenario.count, client.pace)) if scenario.mode == BLAST else scenario


def command(client: ClientSpec, scenario: Scenario, place: Place, out: Path, stages: bool = False) -> list[str]:
    """What to execute in the client's namespace; `scenario` as `sized` gave it. Latencies go to `out`."""
    if client.kind == "c":
        return [str(place.tools / "cclient"), client.what, place.ip, str(place.port), scenario.target,
                str(scenario.warm), str(scenario.count), str(out), str(place.ca), str(place.cpu), str(int(place.fifo)),
                *([str(ECHO_LEN)] if scenario.mode == ECHO else [])]
    ours = ["--option", f"interface={place.interface}", "--option", f"stages={int(stages)}", "--option",
            f"huge={int(place.huge_pages)}"]
    return [place.python[client.kind], str(place.root / "tools" / "bench" / "driver.py"), "--client", client.what,
            "--url", f"wss://{place.ip}:{place.port}{scenario.target}", "--ca", str(place.ca), "--mode", scenario.mode,
            "--warm", str(scenario.warm), "--count", str(scenario.count), "--size", str(ECHO_LEN), "--out", str(out),
            "--cpu", str(place.cpu), *(["--fifo"] if place.fifo else []), *client.args,
            *(ours if client.kind == "ours" else [])]
