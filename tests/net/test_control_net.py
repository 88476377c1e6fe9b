"""xdpws/control against real namespaces: links, routes, neighbours, the watch, plans, ports and the doctor."""
from __future__ import annotations

import asyncio
import errno
import json
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest
from topology import Topology, needs_topology

from xdpws.control.ethtool import Ethtool
from xdpws.control.facts import gather_facts
from xdpws.control.host import XdpWish, gather, next_hop_mac, plan_xdp
from xdpws.control.link import find_link, mtu_step, wire_like_plan
from xdpws.control.model import LinkInfo, Nud
from xdpws.control.neighbour import (
    Change,
    LinkChange,
    NeighbourChange,
    NeighbourWatch,
    RouteChange,
    find_neighbour,
    keepalive,
    resolve,
)
from xdpws.control.netlink_pyroute2 import Pyroute2Netlink
from xdpws.control.netns import find_namespace, run_in_namespace
from xdpws.control.plan import Plan
from xdpws.control.ports import reserve_port
from xdpws.control.preflight import preflight
from xdpws.control.route import find_route
from xdpws.errors import SetupError

pytestmark = needs_topology
NEW_MAC = "02:00:00:00:be:ef"


class Client:
    """The client's end of a topology: netlink and ethtool opened inside, and its link."""

    def __init__(self, topo: Topology) -> None:
        self.topo = topo
        with topo.entered("cli"):
            self.nl, self.tool = Pyroute2Netlink(), Ethtool()
        self.link = find_link(self.nl.links(), topo.cli_if)
        self.server = IPv4Address(topo.srv_ip)

    def close(self) -> None:
        self.nl.close()
        self.tool.close()

    def ip(self, *argv: str, side: str = "cli") -> None:
        self.topo.exec(side, "ip", *argv)

    def ping(self, side: str = "cli") -> None:
        self.topo.exec(side, "ping", "-c1", "-W2", self.topo.srv_ip if side == "cli" else self.topo.cli_ip)


@pytest.fixture(scope="module")
def module_topology() -> Iterator[Topology]:
    with Topology() as topo:
        yield topo


@pytest.fixture
def cli(module_topology: Topology) -> Iterator[Client]:
    client = Client(module_topology)
    client.ip("neigh", "flush", "dev", client.link.name)
    yield client
    client.close()


@pytest.fixture
def own() -> Iterator[Client]:
    """A topology of its own, for tests that leave it changed."""
    with Topology() as topo:
        client = Client(topo)
        yield client
        client.close()


def await_change(watch: NeighbourWatch, wanted: Callable[[Change], bool], seconds: float = 10) -> list[Change]:
    """What the watch tells up to and including a wanted change; fails when it does not come."""
    seen: list[Change] = []
    deadline = time.monotonic() + seconds
    while not any(map(wanted, seen)):
        left = deadline - time.monotonic()
        assert left > 0, f"no such change; seen: {seen}"
        if select.select([watch], [], [], left)[0]:
            seen += watch.read()
    return seen


# ---- reading ----------------------------------------------------------------------------------------------------


def test_link_address_and_route_of_the_namespace(cli: Client) -> None:
    names = [link.name for link in cli.nl.links()]
    assert sorted(names) == sorted(["lo", cli.topo.cli_if])
    assert (cli.link.kind, cli.link.mtu, cli.link.up, cli.link.carrier, cli.link.xdp) == ("veth", 1500, True, True, ())
    assert cli.link.mac == bytes.fromhex(cli.topo.mac("cli").replace(":", ""))
    assert [a.address for a in cli.nl.addresses(cli.link.index)] == [IPv4Interface(f"{cli.topo.cli_ip}/24")]
    route = find_route(cli.nl, cli.server)
    assert (route.kind, route.out_index, str(route.source), route.gateway) == (
        "unicast", cli.link.index, cli.topo.cli_ip, None)
    assert find_route(cli.nl, IPv4Address(cli.topo.cli_ip)).kind == "local"


def test_routes_with_gateway_and_mtu(cli: Client) -> None:
    far = IPv4Address("198.51.100.7")
    with pytest.raises(SetupError, match=r"route to 198.51.100.7: Network is unreachable; try: ip route get"):
        find_route(cli.nl, far)
    cli.ip("route", "add", "198.51.100.0/24", "via", cli.topo.srv_ip, "mtu", "1300")
    try:
        route = find_route(cli.nl, far)
        assert (route.gateway, route.next_hop, route.mtu) == (cli.server, cli.server, 1300)
        through = find_route(cli.nl, far, cli.link.index)
        assert (through.gateway, str(through.network)) == (cli.server, "198.51.100.0/24")
        loopback = find_link(cli.nl.links(), "lo").index
        with pytest.raises(SetupError, match="No route to host through this interface"):
            find_route(cli.nl, far, loopback)
    finally:
        cli.ip("route", "del", "198.51.100.0/24")


def test_the_sync_calls_work_in_threads_and_in_a_running_loop(cli: Client) -> None:
    found: list[int] = []

    def work() -> None:
        with cli.topo.entered("cli"):
            nl = Pyroute2Netlink()
        found.append(find_link(nl.links(), cli.link.name).index)
        resolve(nl, cli.link, cli.server)
        nl.close()

    async def inside() -> None:
        work()
        await asyncio.to_thread(work)

    asyncio.run(inside())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    shared = [threading.Thread(target=lambda: found.append(cli.nl.links()[-1].index)) for _ in range(8)]
    for each in shared:
        each.start()
    for each in shared:
        each.join()
    assert len(found) == 11, "every thread got an answer"
    assert found[:3] == [cli.link.index] * 3


def test_xdp_features_of_a_veth(cli: Client) -> None:
    try:
        found = cli.nl.xdp_capabilities(cli.link.index)
    except OSError as e:
        pytest.skip(f"this kernel does not tell XDP features: {e}")
    assert {"basic", "redirect"} <= found.features
    assert "xsk-zerocopy" not in found.features


# ---- neighbours -------------------------------------------------------------------------------------------------


def test_the_kernel_is_made_to_resolve(cli: Client) -> None:
    assert find_neighbour(cli.nl, cli.link.index, cli.server) is None
    entry = resolve(cli.nl, cli.link, cli.server)
    assert entry.mac == bytes.fromhex(cli.topo.mac("srv").replace(":", ""))
    assert resolve(cli.nl, cli.link, cli.server, 0).mac == entry.mac, "known: needs no time"


def test_nobody_answers(cli: Client) -> None:
    nobody = IPv4Address(cli.topo.srv_ip.rsplit(".", 1)[0] + ".99")
    started = time.monotonic()
    with pytest.raises(SetupError, match=f"resolve {nobody} on {cli.link.name}: "):
        resolve(cli.nl, cli.link, nobody)
    assert time.monotonic() - started < 6


def test_without_the_privilege_a_datagram_makes_the_kernel_ask(cli: Client) -> None:
    def refuse(index: int, ip: IPv4Address) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    cli.nl.use_neighbour = refuse  # type: ignore[method-assign]
    with cli.topo.entered("cli"):
        assert resolve(cli.nl, cli.link, cli.server).usable


def test_the_watch_reports_a_gateway_with_another_mac(own: Client) -> None:
    before = resolve(own.nl, own.link, own.server)
    with NeighbourWatch(own.nl, [own.link.index]) as watch:
        assert watch.mac(own.link.index, own.server) == before.mac
        own.ip("link", "set", own.topo.srv_if, "address", NEW_MAC, side="srv")
        own.ping("srv")  # asks for us, and so tells its new address
        seen = await_change(watch, lambda c: isinstance(c, NeighbourChange) and c.mac == bytes.fromhex(
            NEW_MAC.replace(":", "")))
        change = next(c for c in seen if isinstance(c, NeighbourChange) and c.mac != before.mac)
        assert (change.index, change.ip, change.usable) == (own.link.index, own.server, True)
        assert watch.mac(own.link.index, own.server) == bytes.fromhex(NEW_MAC.replace(":", ""))


def test_keepalive_has_a_stale_entry_verified_and_notices_silence(own: Client) -> None:
    for name in ("delay_first_probe_time", "ucast_solicit", "mcast_solicit"):
        own.topo.exec("cli", "sysctl", "-qw", f"net.ipv4.neigh.{own.link.name}.{name}=1")
    entry = resolve(own.nl, own.link, own.server)
    own.ip("neigh", "replace", own.topo.srv_ip, "lladdr", (entry.mac or b"").hex(":"), "nud", "stale", "dev",
           own.link.name)
    with NeighbourWatch(own.nl, [own.link.index]) as watch:
        keepalive(own.nl, own.link.index, own.server)
        started = find_neighbour(own.nl, own.link.index, own.server)
        assert started is not None
        assert started.state in (Nud.DELAY, Nud.PROBE, Nud.REACHABLE), "the kernel has begun to verify it"
        own.ip("link", "set", own.topo.srv_if, "arp", "off", side="srv")
        own.ip("neigh", "replace", own.topo.srv_ip, "lladdr", (entry.mac or b"").hex(":"), "nud", "stale", "dev",
               own.link.name)
        keepalive(own.nl, own.link.index, own.server)
        seen = await_change(watch, lambda c: isinstance(c, NeighbourChange) and not c.usable)
        lost = next(c for c in seen if isinstance(c, NeighbourChange) and not c.usable)
        assert lost.mac == entry.mac, "the last MAC is kept as the best guess"


def test_the_watch_reports_link_state_and_routes(own: Client) -> None:
    with NeighbourWatch(own.nl, [own.link.index]) as watch:
        own.ip("route", "add", "198.51.100.0/24", "via", own.topo.srv_ip)
        seen = await_change(watch, lambda c: isinstance(c, RouteChange))
        assert [str(c.network) for c in seen if isinstance(c, RouteChange)] == ["198.51.100.0/24"]
        own.ip("link", "set", own.topo.srv_if, "down", side="srv")
        await_change(watch, lambda c: isinstance(c, LinkChange) and not c.link.carrier)
        own.ip("link", "set", own.topo.srv_if, "up", side="srv")
        await_change(watch, lambda c: isinstance(c, LinkChange) and c.link.carrier)
        own.ip("link", "del", own.link.name)
        await_change(watch, lambda c: isinstance(c, LinkChange) and c.gone)


def test_the_watch_survives_lost_notifications(own: Client) -> None:
    resolve(own.nl, own.link, own.server)
    with NeighbourWatch(own.nl, [own.link.index]) as watch:
        watch._monitor._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # type: ignore[attr-defined]
        net = own.topo.cli_ip.rsplit(".", 1)[0]
        lines = "\n".join(f"neigh add {net}.{i} lladdr 02:00:00:00:00:{i:02x} nud permanent dev {own.link.name}"
                          for i in range(100, 200))
        own.topo.exec("cli", "ip", "-batch", "-", input=lines)
        seen = await_change(watch, lambda c: c == RouteChange(None))
        known = {str(c.ip) for c in seen if isinstance(c, NeighbourChange)}
        assert {f"{net}.{i}" for i in range(100, 200)} <= known
        own.ip("neigh", "del", f"{net}.100", "dev", own.link.name)
        await_change(watch, lambda c: isinstance(c, NeighbourChange) and str(c.ip) == f"{net}.100" and not c.usable)


# ---- plans ------------------------------------------------------------------------------------------------------


def test_a_plan_is_undone_after_a_failure(own: Client) -> None:
    plan = Plan("mtu", (mtu_step(own.nl, own.link, 1400), mtu_step(own.nl, own.link, 1_000_000)))
    with pytest.raises(SetupError, match=f"mtu: {own.link.name}: mtu 1500 to 1000000: "):
        plan.apply()
    assert find_link(own.nl.links(), own.link.name).mtu == 1500


def test_offloads_of_a_test_link_are_switched_and_switched_back() -> None:
    with Topology(offloads=True) as topo:
        client = Client(topo)
        before = client.tool.features(topo.cli_if)
        plan = wire_like_plan(client.tool, [topo.cli_if])
        assert "tx-checksum-ip-generic off, " in plan.show()
        plan.apply()
        during = client.tool.features(topo.cli_if)
        assert not during["tx-checksum-ip-generic"].on
        assert not during["tx-tcp-segmentation"].on
        assert wire_like_plan(client.tool, [topo.cli_if]).steps == ()
        assert plan.undo() == []
        assert client.tool.features(topo.cli_if) == before
        with pytest.raises(OSError, match="no offload nonsense"):
            client.tool.set_features(topo.cli_if, {"nonsense": True})
        client.close()


def test_plan_for_xdp_on_a_veth(own: Client) -> None:
    plan = plan_xdp(gather(own.link.name, own.server, own.nl), XdpWish()).plan
    assert plan is not None
    assert (plan.lower, plan.vlan_ids, plan.next_hop, plan.queue_cnt) == (own.link, (), own.server, 1)
    assert str(plan.local) == f"{own.topo.cli_ip}/24"
    assert next_hop_mac(own.nl, plan) == bytes.fromhex(own.topo.mac("srv").replace(":", ""))


def test_plan_for_xdp_over_a_vlan(own: Client) -> None:
    probe = own.topo.exec("cli", "ip", "link", "add", "link", own.link.name, "name", "xwctlprobe", "type", "vlan", "id",
                          "6", check=False)
    if probe.returncode != 0:
        pytest.skip(f"this kernel has no VLAN interfaces: {probe.stderr.strip()}")
    for side, name, address in (("cli", own.topo.cli_if, "192.0.2.2/24"), ("srv", own.topo.srv_if, "192.0.2.1/24")):
        own.ip("link", "add", "link", name, "name", "xwctlvlan", "type", "vlan", "id", "5", side=side)
        own.ip("address", "add", address, "dev", "xwctlvlan", side=side)
        own.ip("link", "set", "xwctlvlan", "up", side=side)
    tagged = plan_xdp(gather(own.link.name, IPv4Address("192.0.2.1"), own.nl), XdpWish()).plan
    assert tagged is not None
    assert (tagged.lower.name, tagged.top.name, tagged.vlan_ids) == (own.link.name, "xwctlvlan", (5,))
    assert next_hop_mac(own.nl, tagged) == bytes.fromhex(own.topo.mac("srv").replace(":", ""))
    assert plan_xdp(gather("xwctlvlan", IPv4Address("192.0.2.1"), own.nl), XdpWish()).plan == tagged


@pytest.mark.parametrize(("change", "reason"), [
    (("link", "set", "{if}", "down"), "it is down"),
    (("address", "flush", "dev", "{if}"), "it has no IPv4 address"),
])
def test_why_xdp_is_not_possible(own: Client, change: tuple[str, ...], reason: str) -> None:
    own.ip(*(word.replace("{if}", own.link.name) for word in change))
    decision = plan_xdp(gather(own.link.name, own.server, own.nl), XdpWish())
    assert decision.plan is None
    assert reason in decision.reason
    own.ip("link", "set", own.topo.srv_if, "down", side="srv")


# ---- ports ------------------------------------------------------------------------------------------------------


def test_a_reserved_port_resets_what_reaches_the_kernel(cli: Client) -> None:
    with cli.topo.entered("cli"):
        held = reserve_port(IPv4Address(cli.topo.cli_ip))
    with held, cli.topo.entered("srv"), socket.socket() as peer:
        peer.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            peer.connect((cli.topo.cli_ip, held.port))
    with cli.topo.entered("cli"), pytest.raises(SetupError) as e:
        reserve_port(IPv4Address("192.0.2.200"))
    assert e.value.errno == errno.EADDRNOTAVAIL


# ---- doctor -----------------------------------------------------------------------------------------------------


def doctor(topo: Topology, *options: str) -> tuple[int, dict[str, Any]]:
    """`xdpws doctor --json` in the client's namespace: exit code and checks by name."""
    done = topo.exec("cli", sys.executable, "-m", "xdpws.cli.main", "doctor", topo.cli_if, "--json", *options,
                     check=False, cwd=Path(__file__).resolve().parents[2])
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_doctor_is_content_with_a_wire_like_link(own: Client) -> None:
    code, checks = doctor(own.topo)
    assert code == 0, [c for c in checks.values() if c["status"] == "fail"]
    assert checks["peer offloads"]["status"] == "ok"
    assert checks["link"]["detail"] == "up, carrier"
    assert checks["driver"]["detail"].startswith("veth ")
    assert checks["address"]["detail"] == f"{own.topo.cli_ip}/24"


def test_the_command_that_doctor_gives_for_the_offloads_mends_them() -> None:
    with Topology(offloads=True) as topo:
        code, checks = doctor(topo)
        found = checks["peer offloads"]
        assert (code, found["status"]) == (1, "fail")
        assert found["mend"].startswith(f"ip netns exec {topo.srv_ns} ethtool -K {topo.srv_if} tx off")
        subprocess.run(found["mend"].split(), check=True, capture_output=True)
        code, checks = doctor(topo)
        assert checks["peer offloads"]["status"] == "ok", checks["peer offloads"]


def test_doctor_sees_mtu_state_and_address(own: Client) -> None:
    own.ip("link", "set", own.topo.srv_if, "mtu", "9000", side="srv")
    code, checks = doctor(own.topo)
    assert (code, checks["MTU"]["status"]) == (1, "fail")
    subprocess.run(checks["MTU"]["mend"].split(), check=True)
    own.ip("address", "flush", "dev", own.link.name)
    own.ip("link", "set", own.topo.srv_if, "down", side="srv")
    code, checks = doctor(own.topo)
    assert [checks[name]["status"] for name in ("MTU", "address", "link")] == ["ok", "fail", "fail"]
    assert checks["link"]["mend"] == f"ip netns exec {own.topo.srv_ns} ip link set {own.topo.srv_if} up"


def test_the_facts_of_a_thread_in_another_namespace_are_that_namespaces(cli: Client) -> None:
    facts = run_in_namespace(Path(cli.topo.netns("cli")), lambda: gather_facts(cli.link.name))
    assert facts.link == cli.link
    assert facts.peer is not None
    assert facts.peer.name == cli.topo.srv_if
    assert facts.irqs == ()
    assert preflight(facts).named("peer offloads").status.value == "ok"
    assert cli.link.link_nsid is not None
    assert find_namespace(cli.nl, cli.link.link_nsid) == Path(cli.topo.netns("srv"))
    assert find_namespace(cli.nl, 9999) is None
    with pytest.raises(FileNotFoundError):
        run_in_namespace(Path("/run/netns/xwctl-none"), list)


def test_an_attached_program_is_named(own: Client, tmp_path: Path) -> None:
    link: LinkInfo = own.link
    source = tmp_path / "pass.c"
    source.write_text('__attribute__((section("xdp"), used)) int xwctl_pass(void *c) { (void)c; return 2; }\n')
    made = subprocess.run(["clang", "-target", "bpf", "-O2", "-g", "-c", str(source), "-o", str(tmp_path / "pass.o")],
                          capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    own.ip("link", "set", link.name, "xdpgeneric", "obj", str(tmp_path / "pass.o"), "sec", "xdp")
    code, checks = doctor(own.topo)
    assert (code, checks["XDP program"]["status"]) == (1, "fail")
    assert "xwctl_pass" in checks["XDP program"]["detail"]
    assert "generic" in checks["XDP program"]["detail"]
    decision = plan_xdp(gather(link.name, own.server, own.nl), XdpWish())
    assert "another XDP program is there" in decision.reason
    assert plan_xdp(gather(link.name, own.server, own.nl), XdpWish(replace=True)).plan is not None
    own.ip("link", "set", link.name, "xdpgeneric", "off")
    assert doctor(own.topo)[1]["XDP program"]["status"] == "ok"
