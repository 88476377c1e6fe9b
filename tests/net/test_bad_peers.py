"""Peers that break the rules, over both transports and TLS: one clear result each; what came before is delivered."""
from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attach import ROOT
from peers.bad import BEHAVIOURS, FORBIDDEN_BODY
from peers.process import bad_process
from topology import Topology, needs_topology

from xdpws.sim.cert import make_certificate

pytestmark = needs_topology

# behaviour → exception, what its text or close code must hold, and whether the greeting came through before
EXPECTED: dict[str, tuple[str, Any, bool]] = {
    "http-403": ("InvalidStatus", 403, False),
    "http-302": ("InvalidStatus", 302, False),  # a redirect to a page; one to ws or wss is followed
    "http-200": ("InvalidStatus", 200, False),
    "http-garbage": ("InvalidMessage", "HTTP", False),
    "http-cut-off": ("InvalidMessage", "", False),
    "http-oversize-head": ("InvalidMessage", "", False),
    "wrong-accept": ("InvalidMessage", "Accept", False),
    "no-upgrade-header": ("InvalidMessage", "pgrade", False),
    "unasked-extension": ("InvalidMessage", "xtension", False),
    "unasked-subprotocol": ("InvalidMessage", "ubprotocol", False),
    "tls-garbage": ("TlsError", "", False),
    "reset-at-once": ("InvalidHandshake", "", False),
    "mute": ("OpenTimeout", "TLS", False),
    "mute-after-tls": ("OpenTimeout", "HTTP", False),
    "oversize-length": ("ConnectionClosedError", 1009, True),
    "top-bit-length": ("ConnectionClosedError", 1002, True),
    "long-form-length": ("ConnectionClosedError", 1002, True),
    "invalid-utf8": ("ConnectionClosedError", 1007, True),
    "cut-utf8": ("ConnectionClosedError", 1007, True),
    "invalid-utf8-fragment": ("ConnectionClosedError", 1007, True),
    "masked-frame": ("ConnectionClosedError", 1002, True),
    "reserved-bits": ("ConnectionClosedError", 1002, True),
    "reserved-opcode": ("ConnectionClosedError", 1002, True),
    "reserved-control": ("ConnectionClosedError", 1002, True),
    "fragmented-ping": ("ConnectionClosedError", 1002, True),
    "long-ping": ("ConnectionClosedError", 1002, True),
    "lone-continuation": ("ConnectionClosedError", 1002, True),
    "interrupted-message": ("ConnectionClosedError", 1002, True),
    "close-one-byte": ("ConnectionClosedError", 1002, True),
    "close-1005": ("ConnectionClosedError", 1002, True),
    "close-bad-utf8": ("ConnectionClosedError", 1007, True),
    "reset-mid-frame": ("ConnectionClosedError", None, True),
    "end-mid-frame": ("ConnectionClosedError", None, True),
    "no-close-frame": ("ConnectionClosedError", None, True),
    "no-close-notify": ("ConnectionClosedError", None, True),
    "truncated-record": ("ConnectionClosedError", None, True),
    "bad-record": ("ConnectionClosedError", None, True),
    "close-1008": ("ConnectionClosedError", None, True),
    "close-empty": ("ConnectionClosedOK", None, True),
    "frame-with-101": ("ConnectionClosedOK", None, True),
    "split-101": ("ConnectionClosedOK", None, True),
    "mute-after-upgrade": ("TimeoutError", None, True),
}

CLIENT = """
import asyncio, json, sys, xdpws
from xdpws.errors import ConnectionClosed, InvalidStatus
url, ca, transport, interface = sys.argv[1:]
async def main():
    got, out = [], {}
    try:
        options = {"interface": interface} if transport == "xdp" else {}
        async with asyncio.timeout(20):
            async with xdpws.connect(url, transport=transport, tls=xdpws.TlsOptions(ca_file=ca), open_timeout=1.5,
                                     close_timeout=1, max_size=1 << 20, **options) as ws:
                out["transport"] = ws.transport
                while True:
                    got.append(await asyncio.wait_for(ws.recv(), 4))
    except Exception as error:
        out |= {"error": type(error).__name__, "mro": [c.__name__ for c in type(error).__mro__], "text": str(error)}
        if isinstance(error, InvalidStatus):
            out |= {"status": error.response.status_code, "body": error.response.body.decode()}
        if isinstance(error, ConnectionClosed):
            out["sent"] = error.sent.code if error.sent else None
            out["rcvd"] = error.rcvd.code if error.rcvd else None
    print(json.dumps(out | {"got": got}))
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@pytest.fixture(scope="module")
def cert(topo: Topology, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_certificate(tmp_path_factory.mktemp("cert"), (topo.srv_ip,))


def client(topo: Topology, url: str, ca: Path, transport: str) -> dict[str, Any]:
    done = subprocess.run(topo.command("cli", sys.executable, "-c", CLIENT, url, ca, transport, topo.cli_if),
                          capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_every_behaviour_has_an_expectation() -> None:
    assert set(BEHAVIOURS) == set(EXPECTED)


@pytest.mark.parametrize("transport", ["xdp", "socket"])
@pytest.mark.parametrize("name", EXPECTED)
def test_bad_peer(topo: Topology, cert: Any, name: str, transport: str) -> None:
    kind, detail, greeted = EXPECTED[name]
    with bad_process(name, "--listen", f"{topo.srv_ip}:0", "--cert", str(cert.cert), "--key", str(cert.key),
                     netns=topo.srv_ns) as bad:
        result = client(topo, bad.url, cert.ca, transport)
    assert kind in result.get("mro", []), result
    if greeted:
        assert result["transport"] == transport
        assert result["got"][:1] == ['{"hello":"xdpws"}'], result
    if kind == "InvalidStatus":
        assert result["status"] == detail
    elif isinstance(detail, int):
        assert result["sent"] == detail, result
    elif detail:
        assert detail in result["text"], result
    if name == "http-403":
        assert result["body"] == FORBIDDEN_BODY.decode()
    if name == "frame-with-101":
        assert result["got"][1] == "second"
    if name == "close-1008":
        assert (result["rcvd"], result["sent"]) == (1008, 1008)


def test_cancelling_an_open_leaves_nothing(topo: Topology, cert: Any) -> None:
    """Cancelled while the server is mute: the connection is gone, and the loop's driver with it."""
    import xdpws
    from xdpws.aio import driver

    async def main(url: str) -> int:
        task = asyncio.ensure_future(xdpws.connect(url, transport="socket",
                                                   tls=xdpws.TlsOptions(ca_file=str(cert.ca)))._open())
        await asyncio.sleep(0)
        while not driver._drivers.get(asyncio.get_running_loop()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(200):
            if not driver._drivers.get(asyncio.get_running_loop()):
                return 0
            await asyncio.sleep(0.01)
        return 1

    with topo.entered("cli"), bad_process("mute", "--listen", f"{topo.srv_ip}:0", "--cert", str(cert.cert), "--key",
                                          str(cert.key), netns=topo.srv_ns) as bad:
        assert asyncio.run(main(bad.url)) == 0
