"""The way to the exchange changes while a feed runs: gateway MAC, route; and an address of the stack's own."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attach import attach, run_attach
from hosttools import KernelPeer, await_true, echo, kernel_dialogue, ping, snmp, xdp_program
from peers.process import PeerProcess, sim_process
from topology import Topology, needs_topology

from xdpws.client import Client
from xdpws.config import TlsOptions, XdpOptions
from xdpws.digest import FeedDigest

pytestmark = needs_topology
NEW_MAC = "02:00:00:00:be:ef"
FAR = "198.51.100.7"


@pytest.fixture
def own() -> Iterator[Topology]:
    """A topology that the test may spoil."""
    with Topology() as made:
        # Linux ignores a new MAC within a second (the default) of the last: the tests need not wait for that.
        made.exec("cli", "sysctl", "-qw", f"net.ipv4.neigh.{made.cli_if}.locktime=0")
        yield made


def paced(topo: Topology, address: str, count: int = 3000) -> PeerProcess:
    """1,000 messages a second for some seconds."""
    return sim_process("synthetic", "--count", str(count), "--rate", "1000", "--listen", f"{address}:0", "--name",
                       address, netns=topo.srv_ns)


def receive(topo: Topology, sim: PeerProcess, options: XdpOptions, at_message: dict[int, Callable[[], None]],
            busy_poll: bool = False) -> Client:
    """The whole feed over xdp; what `at_message` has is begun in another thread at that message. Hash compared."""
    digest, threads, trouble = FeedDigest(), [], []

    def guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            trouble.append(error)

    def on_message(msg: Any) -> None:
        digest.update(msg.data)
        if act := at_message.get(digest.messages):
            threads.append(threading.Thread(target=guarded, args=(act,)))
            threads[-1].start()

    with topo.entered("cli"):
        client = Client(sim.url, on_message, transport="xdp", xdp=options, busy_poll=busy_poll,
                        tls=TlsOptions(ca_file=str(sim.ca)))
        with client:
            client.run(40)
            for thread in threads:
                thread.join(20)
            assert client.runtime.attachment is not None
            assert not client.runtime.engine.drops().get("arp_conflict")
    session = client.sessions[0]
    assert session.error is None
    assert not trouble, trouble
    assert len(threads) == len(at_message), "the feed was over too early"
    assert (digest.messages, digest.hexdigest()) == (sim.ready["messages"], sim.ready["rx_sha256"])
    assert session.closed is not None
    assert session.closed.code == 1000
    return client


# ---- shared mode --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("busy_poll", [False, True])
def test_the_server_changes_its_mac_in_the_middle(own: Topology, busy_poll: bool) -> None:
    def change() -> None:
        own.exec("srv", "ip", "link", "set", own.srv_if, "address", NEW_MAC)
        ping(own, "srv", own.cli_ip)  # its request for us tells its new address

    with paced(own, own.srv_ip) as sim:
        client = receive(own, sim, XdpOptions(own.cli_if), {1000: change}, busy_poll)
    assert int(client.sessions[0].info["timeouts"]) <= 3, "the new way was taken at once"


def test_nobody_says_that_the_gateway_has_moved(own: Topology) -> None:
    """No gratuitous ARP, no traffic: the kernel's entry is verified because we keep saying that it is in use."""
    for name, value in (("base_reachable_time_ms", 500), ("delay_first_probe_time", 1), ("ucast_solicit", 1),
                        ("gc_stale_time", 1)):
        own.exec("cli", "sysctl", "-qw", f"net.ipv4.neigh.{own.cli_if}.{name}={value}")
    own.exec("srv", "sysctl", "-qw", f"net.ipv4.conf.{own.srv_if}.arp_notify=0")
    begun: list[float] = []

    def change() -> None:
        begun.append(time.monotonic())
        own.exec("srv", "ip", "link", "set", own.srv_if, "address", NEW_MAC)

    with paced(own, own.srv_ip, 2000) as sim:
        receive(own, sim, XdpOptions(own.cli_if), {500: change})
    assert time.monotonic() - begun[0] < 30


@pytest.mark.parametrize("busy_poll", [False, True])
def test_a_gateway_that_moves_in_silence_is_found_with_the_hosts_own_settings(own: Topology, busy_poll: bool) -> None:
    """The kernel trusts an entry for half a minute and more. That the server repeats what we acknowledged makes the
    stack ask for the next hop to be verified: three polls of a second each, and the question to everybody."""
    own.exec("srv", "sysctl", "-qw", f"net.ipv4.conf.{own.srv_if}.arp_notify=0")
    begun: list[float] = []

    def change() -> None:
        begun.append(time.monotonic())
        own.exec("srv", "ip", "link", "set", own.srv_if, "address", NEW_MAC)
        own.exec("srv", "ip", "neigh", "replace", own.cli_ip, "lladdr", own.mac("cli"), "nud", "permanent", "dev",
                 own.srv_if)  # it does not ask for us either, which would tell

    with paced(own, own.srv_ip, 2000) as sim:
        receive(own, sim, XdpOptions(own.cli_if), {500: change}, busy_poll)
    assert time.monotonic() - begun[0] < 15


@pytest.fixture
def routed(own: Topology) -> Topology:
    """The server has an address behind two gateways, both of which are the server's host, by different links."""
    second = own.srv_ip.rsplit(".", 1)[0] + ".3"
    own.exec("srv", "ip", "address", "add", f"{second}/24", "dev", own.srv_if)
    own.exec("srv", "ip", "address", "add", f"{FAR}/32", "dev", "lo")
    own.exec("cli", "ip", "route", "add", f"{FAR}/32", "via", own.srv_ip)
    own.exec("srv", "sysctl", "-qw", "net.ipv4.conf.all.arp_announce=2")  # asks as the gateway
    own.second = second  # type: ignore[attr-defined]
    return own


def test_a_gateway_that_changes_its_mac(routed: Topology) -> None:
    def change() -> None:
        routed.exec("srv", "ip", "link", "set", routed.srv_if, "address", NEW_MAC)
        ping(routed, "srv", routed.cli_ip)

    with paced(routed, FAR) as sim:
        receive(routed, sim, XdpOptions(routed.cli_if), {1000: change})


def test_the_route_moves_to_another_gateway(routed: Topology) -> None:
    """The first gateway answers nothing any more from the moment on, so only the second carries the rest."""
    second = routed.second  # type: ignore[attr-defined]

    def change() -> None:
        routed.exec("cli", "ip", "route", "replace", f"{FAR}/32", "via", second)
        routed.exec("cli", "ip", "neigh", "replace", routed.srv_ip, "lladdr", "02:00:00:00:de:ad", "nud", "permanent",
                    "dev", routed.cli_if)

    with paced(routed, FAR) as sim:
        client = receive(routed, sim, XdpOptions(routed.cli_if), {1000: change})
    assert int(client.sessions[0].info["timeouts"]) <= 3


# ---- dedicated mode -----------------------------------------------------------------------------------------------


def dedicated_ip(topo: Topology) -> str:
    return topo.cli_ip.rsplit(".", 1)[0] + ".77"


def test_an_address_of_the_stacks_own(own: Topology) -> None:
    """The server finds and pings the stack's address; the host's own address works for the kernel as before."""
    address = dedicated_ip(own)
    before = snmp(own, "cli")
    found: list[str] = []

    def around() -> None:
        ping(own, "srv", address, 3)
        ping(own, "srv", own.cli_ip)
        found.append(own.exec("srv", "ip", "neigh", "show", address).stdout)
        with KernelPeer(own, "srv", own.srv_ip, echo) as peer:
            kernel_dialogue(own, "cli", peer, 20)

    with paced(own, own.srv_ip) as sim:
        client = receive(own, sim, XdpOptions(own.cli_if, address=f"{address}/24"), {500: around})
        assert address in await_true("the server's report", lambda: sim.log()), "the server saw this address"
    assert own.mac("cli") in found[0]
    after = snmp(own, "cli")
    assert after["IcmpInEchos"] - before["IcmpInEchos"] == 1, "the pings of our address were answered by our stack"
    assert after["TcpOutRsts"] == before["TcpOutRsts"]
    assert client.sessions[0].connection is not None
    assert not xdp_program(own)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_dedicated_address_by_the_command(own: Topology, mode: str) -> None:
    with sim_process("synthetic", "--count", "2000", "--speed", "max", "--listen", f"{own.srv_ip}:0",
                     netns=own.srv_ns) as sim:
        report = attach(own, own.cli_if, sim.url, "--ca", str(sim.ca), "--transport", "xdp", "--mode", mode,
                        "--address", f"{dedicated_ip(own)}/24")
    assert report["rx_sha256"] == sim.ready["rx_sha256"]
    assert report["steering"]["redirect_arp"] >= 1, "the stack does its own ARP"


def test_a_dedicated_address_that_somebody_has(own: Topology) -> None:
    address = dedicated_ip(own)
    own.exec("srv", "ip", "address", "add", f"{address}/24", "dev", own.srv_if)
    with paced(own, own.srv_ip) as sim:
        done = run_attach(own, own.cli_if, sim.url, "--ca", str(sim.ca), "--transport", "xdp", "--address",
                          f"{address}/24")
    assert done.returncode == 1, done.stdout
    assert "another host on the link has the stack's own address" in done.stderr
    assert json.loads(done.stdout)["messages"] == 0


def test_a_dedicated_address_that_is_the_hosts(own: Topology) -> None:
    done = run_attach(own, own.cli_if, f"ws://{own.srv_ip}:9", "--transport", "xdp", "--address", f"{own.cli_ip}/24")
    assert done.returncode == 1
    assert f"address {own.cli_ip}/24: the host has it already" in done.stderr
    assert "leave out --address" in done.stderr
