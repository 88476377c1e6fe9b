"""The host stays as it is: while the program is attached, beside a feed, and after the process has gone in any way."""
from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attach import ROOT, xdpws
from hosttools import (
    KernelPeer,
    await_true,
    echo,
    kernel_dialogue,
    kernel_transfer,
    ping,
    received_bytes,
    snmp,
    source_port,
    xdp_program,
)
from peers.process import PeerProcess, sim_process
from topology import Topology, needs_topology

from xdpws.client import Client
from xdpws.config import TlsOptions
from xdpws.digest import FeedDigest

pytestmark = needs_topology

RAISING = """
import sys, xdpws
seen = 0
def on_message(msg):
    global seen
    seen += 1
    if seen == 200:
        raise RuntimeError("the callback's own mistake")
xdpws.Client(sys.argv[1], on_message, transport="xdp", interface=sys.argv[3],
             tls=xdpws.TlsOptions(ca_file=sys.argv[2])).run()
"""


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@pytest.fixture
def endless(topo: Topology) -> Iterator[PeerProcess]:
    """A feed that does not end by itself, at a steady 2,000 messages a second."""
    with sim_process("synthetic", "--rate", "2000", "--loop", "0", "--count", "2000", "--listen", f"{topo.srv_ip}:0",
                     netns=topo.srv_ns) as sim:
        yield sim


def receiving(topo: Topology, sim: PeerProcess, argv: list[str]) -> tuple[subprocess.Popen[str], int]:
    """Start a client and wait until it is in the middle of the feed; with its source port."""
    process = topo.popen("cli", *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        await_true("the program on the interface", lambda: xdp_program(topo) or process.poll() is not None, 20)
        port = await_true("the connection", lambda: source_port(topo, sim.port) or process.poll() is not None, 20)
        begun = received_bytes(topo)
        await_true("the feed", lambda: received_bytes(topo) > begun + 50_000 or process.poll() is not None, 20)
    except BaseException:
        process.kill()
        raise
    assert process.poll() is None, process.communicate()
    return process, port


def host_is_as_before(topo: Topology, gone_at: float, port: int) -> None:
    """Within a second no program, ping and kernel TCP work, and the source port may be bound."""
    await_true("an interface without a program", lambda: not xdp_program(topo), 1.0)
    assert time.monotonic() - gone_at < 1.0
    ping(topo, "cli", topo.srv_ip)
    ping(topo, "srv", topo.cli_ip)
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer:
        kernel_dialogue(topo, "cli", peer, 3)
    with topo.entered("cli"), socket.socket() as sock:
        sock.bind((topo.cli_ip, port))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_program_leaves_with_the_process(topo: Topology, endless: PeerProcess, number: signal.Signals) -> None:
    argv = xdpws("attach", topo.cli_if, endless.url, "--ca", str(endless.ca), "--transport", "xdp", "--json")
    process, port = receiving(topo, endless, argv)
    gone_at = time.monotonic()
    process.send_signal(number)
    if number == signal.SIGKILL:
        host_is_as_before(topo, gone_at, port)
    out, err = process.communicate(timeout=20)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert time.monotonic() - gone_at < 3.0, "the close handshake has to wait for nothing"
        host_is_as_before(topo, time.monotonic(), port)
        assert process.returncode == 0, err
        report = json.loads(out)
        assert report["messages"] > 0, "the report is still given"
        assert report["close_code"] == 1000
    await_true("a server that is rid of it", lambda: not source_port(topo, endless.port), 10)


def test_the_program_leaves_with_an_exception_of_the_callback(topo: Topology, endless: PeerProcess) -> None:
    process = topo.popen("cli", sys.executable, "-c", RAISING, endless.url, str(endless.ca), topo.cli_if,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    port = await_true("the connection", lambda: source_port(topo, endless.port), 20)
    _, err = process.communicate(timeout=20)
    gone_at = time.monotonic()
    assert process.returncode == 1
    assert "the callback's own mistake" in err
    host_is_as_before(topo, gone_at, port)


def test_attaching_again_at_once_after_a_kill(topo: Topology, endless: PeerProcess) -> None:
    argv = xdpws("attach", topo.cli_if, endless.url, "--ca", str(endless.ca), "--transport", "xdp", "--json")
    for _ in range(2):
        process, _ = receiving(topo, endless, argv)
        process.kill()
        process.communicate(timeout=20)
    done = topo.exec("cli", *argv, "--count", "100", check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages"] == 100


def test_kernel_traffic_and_a_feed_at_the_same_time(topo: Topology) -> None:
    """ssh-like dialogues both ways, 5 MB both ways and pings on the same interface and address, beside a feed."""
    trouble: list[BaseException] = []

    def guarded(work: Callable[..., None], *args: Any) -> threading.Thread:
        def run() -> None:
            try:
                work(*args)
            except BaseException as error:
                trouble.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    with (KernelPeer(topo, "srv", topo.srv_ip, echo) as there, KernelPeer(topo, "cli", topo.cli_ip, echo) as here,
          sim_process("synthetic", "--count", "8000", "--speed", "4", "--rate", "1000", "--listen",
                      f"{topo.srv_ip}:0", netns=topo.srv_ns) as sim):
        argv = xdpws("attach", topo.cli_if, sim.url, "--ca", str(sim.ca), "--transport", "xdp", "--json")
        process, _ = receiving(topo, sim, argv)
        threads = [guarded(kernel_dialogue, topo, "cli", there, 300), guarded(kernel_dialogue, topo, "srv", here, 300),
                   guarded(kernel_transfer, topo, "cli", there, 5_000_000),
                   guarded(ping, topo, "cli", topo.srv_ip, 10), guarded(ping, topo, "srv", topo.cli_ip, 10)]
        for thread in threads:
            thread.join(60)
        running = process.poll() is None
        out, err = process.communicate(timeout=60)
    assert not trouble, trouble
    assert not there.errors + here.errors
    assert process.returncode == 0, err
    report = json.loads(out)
    assert (report["messages"], report["rx_sha256"]) == (sim.ready["messages"], sim.ready["rx_sha256"])
    assert report["steering"]["pass_no_flow"] > 600, "the kernel's TCP went by"
    assert report["steering"]["pass_icmp"] == 20
    assert running or report["seconds"] > 1.0, "the feed was over too early to say anything"


def receive(topo: Topology, sim: PeerProcess, beside: Callable[[], None]) -> dict[str, Any]:
    """A feed over xdp in this process, `beside` done in its middle; digest, counters and the kernel's figures."""
    digest, began = FeedDigest(), threading.Event()

    def on_message(msg: Any) -> None:
        digest.update(msg.data)
        began.set()

    def help_out() -> None:
        began.wait(20)
        beside()

    helper = threading.Thread(target=help_out)
    helper.start()
    before = snmp(topo, "cli")
    with topo.entered("cli"):
        client = Client(sim.url, on_message, transport="xdp", interface=topo.cli_if, busy_poll=False,
                        tls=TlsOptions(ca_file=str(sim.ca)))
        with client:
            client.run(60)
            helper.join(60)
            runtime = client.runtime
            runtime.step()
            assert runtime.attachment is not None
            steering, stats = runtime.attachment.steering.counters(), runtime.engine.stats()
            drops = runtime.engine.drops()
    after = snmp(topo, "cli")
    assert client.sessions[0].error is None
    assert digest.hexdigest() == sim.ready["rx_sha256"]
    return {"steering": steering, "stats": stats, "drops": drops, "snmp": {k: after[k] - before[k] for k in after}}


def check_isolation(got: dict[str, Any]) -> None:
    steering, stats = got["steering"], got["stats"]
    assert steering["redirect"] > 100
    redirected = sum(count for name, count in steering.items() if name.startswith("redirect"))
    assert redirected == steering["redirect"] == stats["rx_frames"], "all that was steered came up, and nothing else"
    # a kernel that waits too long for our ACK sends again what we have: its own flow, so nothing of others
    assert set(got["drops"]) <= {"tcp_dup"}, "nothing came that our stack could not use"
    assert not {name: value for name, value in stats.items() if name.startswith("k_") and value
                and name != "k_tx_empty"}


def test_the_steered_flow_never_reaches_the_kernel(topo: Topology) -> None:
    """Nobody else on the link: the kernel's TCP and IP see nothing at all while the feed runs."""
    ping(topo, "cli", topo.srv_ip)
    with sim_process("synthetic", "--count", "5000", "--speed", "max", "--listen", f"{topo.srv_ip}:0",
                     netns=topo.srv_ns) as sim:
        got = receive(topo, sim, lambda: None)
    check_isolation(got)
    moved = {name: got["snmp"][name] for name in ("TcpInSegs", "TcpOutSegs", "TcpOutRsts", "TcpInErrs", "IpInReceives",
                                                  "IpExtInOctets", "IpOutRequests", "TcpEstabResets")}
    assert not any(moved.values()), moved
    passed = {name for name, count in got["steering"].items() if name.startswith("pass_") and count}
    assert passed <= {"pass_arp"}


def test_nothing_else_reaches_our_stack(topo: Topology) -> None:
    """Kernel TCP and pings beside the feed: each is in the counter of its kind, none in the frames of the engine."""
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer, sim_process(
            "synthetic", "--count", "5000", "--rate", "2500", "--listen", f"{topo.srv_ip}:0", netns=topo.srv_ns) as sim:
        def beside() -> None:
            kernel_transfer(topo, "cli", peer, 300_000)
            ping(topo, "srv", topo.cli_ip, 5)
        got = receive(topo, sim, beside)
    check_isolation(got)
    steering, kernel = got["steering"], got["snmp"]
    assert steering["pass_no_flow"] == kernel["TcpInSegs"] > 0
    assert steering["pass_icmp"] == kernel["IcmpInEchos"] == 5
    assert kernel["IpInReceives"] == steering["pass_no_flow"] + steering["pass_icmp"]
    assert not kernel["TcpOutRsts"]
