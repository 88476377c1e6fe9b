"""Environments in which it cannot work: each has one clear result with step, cause and a command, and an exit code."""
from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attach import ROOT, attach, run_attach, xdpws
from hosttools import xdp_program
from peers.process import PeerProcess, sim_process
from topology import Topology, needs_topology

from xdpws.client import Client
from xdpws.config import TlsOptions
from xdpws.errors import ConnectError, OpenTimeout
from xdpws.sim.cert import CertificateFiles, make_certificate
from xdpws.stack import Stream

pytestmark = needs_topology
TRANSPORTS = ("xdp", "socket")
# Without any privilege: root's files can still be read, which matters where the checkout lies in root's home.
POWERLESS = {
    "no capabilities": ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"),
    "nobody": ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--"),
}
DEAD_MAC = "02:00:00:00:de:ad"


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@pytest.fixture
def own() -> Iterator[Topology]:
    """A topology that the test may spoil."""
    with Topology() as made:
        yield made


@pytest.fixture(scope="module")
def certs(topo: Topology, tmp_path_factory: pytest.TempPathFactory) -> dict[str, CertificateFiles]:
    """Certificates: good, of another name, expired, of another CA."""
    base = tmp_path_factory.mktemp("certs")
    base.chmod(0o755)
    return {"good": make_certificate(base / "good", (topo.srv_ip,)),
            "other-name": make_certificate(base / "other-name", ("exchange.example", "192.0.2.1")),
            "expired": make_certificate(base / "expired", (topo.srv_ip,), days=-1),
            "other-ca": make_certificate(base / "other-ca", (topo.srv_ip,))}


def sim(topo: Topology, *options: str) -> PeerProcess:
    return sim_process("synthetic", "--count", "50", "--speed", "max", "--listen", f"{topo.srv_ip}:0", *options,
                       netns=topo.srv_ns)


def refused(topo: Topology, *args: str, code: int = 1, hint: bool = True) -> str:
    """`xdpws attach` that must fail with `code`; gives its one message. JSON on stdout says the same."""
    done = run_attach(topo, *args)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.startswith("xdpws: ")
        assert json.loads(done.stdout)["error"]
        assert not hint or re.search(r"\n  try: \S", done.stderr), done.stderr
    assert not xdp_program(topo) or "attached already" in done.stderr
    return done.stderr


def falls_back(topo: Topology, interface: str, because: str) -> None:
    """With auto the feed comes over the socket, and the report says why."""
    with sim(topo) as server:
        report = attach(topo, interface, server.url, "--ca", str(server.ca), "--transport", "auto")
        assert report["rx_sha256"] == server.ready["rx_sha256"]
    assert report["transport"] == "socket"
    assert "AF_XDP cannot be had" in report["transport_reason"]
    assert because in report["transport_reason"]


# ---- the host ---------------------------------------------------------------------------------------------------


def test_unknown_interface(topo: Topology) -> None:
    text = refused(topo, "xwnone0", f"ws://{topo.srv_ip}:9", "--transport", "xdp")
    assert "find interface xwnone0: there is none of that name" in text
    assert topo.cli_if in text, "it says which there are"
    assert "ip -br link" in text
    falls_back(topo, "xwnone0", "find interface xwnone0")


def test_interface_down(own: Topology) -> None:
    own.exec("cli", "ip", "link", "set", own.cli_if, "down")
    text = refused(own, own.cli_if, f"ws://{own.srv_ip}:9", "--transport", "xdp")
    assert f"interface {own.cli_if}: it is down" in text
    assert f"ip link set {own.cli_if} up" in text
    text = refused(own, own.cli_if, f"ws://{own.srv_ip}:9", "--transport", "socket", hint=False)
    assert "TCP: no route or the neighbour does not answer\n" in text


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_route(topo: Topology, transport: str) -> None:
    text = refused(topo, topo.cli_if, "ws://198.51.100.7:9", "--transport", transport, hint=transport == "xdp")
    assert "198.51.100.7" in text
    assert "nreachable" in text or "no route" in text.lower()


def test_next_hop_that_does_not_answer(own: Topology) -> None:
    nobody = own.srv_ip.rsplit(".", 1)[0] + ".99"
    text = refused(own, own.cli_if, f"ws://{nobody}:9", "--transport", "xdp")
    assert f"resolve {nobody} on {own.cli_if}" in text


def test_destination_is_this_host(topo: Topology) -> None:
    text = refused(topo, topo.cli_if, "ws://127.0.0.1:9", "--transport", "xdp")
    assert "the destination is this host" in text
    assert "--transport socket" in text
    with sim_process("synthetic", "--count", "20", "--speed", "max", "--listen", "127.0.0.1:0",
                     netns=topo.cli_ns) as server:
        report = attach(topo, topo.cli_if, server.url, "--ca", str(server.ca), "--transport", "auto")
    assert report["transport"] == "socket"
    assert "this host" in report["transport_reason"]


@pytest.mark.parametrize("who", POWERLESS)
def test_without_privilege(topo: Topology, who: str) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux)")
    readable = subprocess.run([*POWERLESS[who], "cat", ROOT / "pyproject.toml"], capture_output=True)
    if readable.returncode != 0:
        pytest.skip(f"{who} may not read {ROOT}: {readable.stderr.decode().strip()}")
    with sim(topo) as server:
        url = server.url

        def run(*args: str) -> subprocess.CompletedProcess[str]:
            return topo.exec("cli", *POWERLESS[who], *xdpws(*args), check=False, cwd=ROOT, stdin=subprocess.DEVNULL)

        done = run("attach", topo.cli_if, url, "--insecure", "--transport", "xdp", "--json")
        assert done.returncode == 1, done.stderr
        assert "privileges: CAP_NET_ADMIN" in done.stderr
        assert "try: sudo" in done.stderr
        done = run("attach", topo.cli_if, url, "--insecure", "--transport", "auto", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (report["transport"], report["rx_sha256"]) == ("socket", server.ready["rx_sha256"])
        assert "CAP_NET_ADMIN" in report["transport_reason"]
        done = run("connect", url, "--insecure")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 50
        assert "connected over socket" in done.stderr


@pytest.fixture
def foreign(own: Topology, tmp_path: Path) -> Callable[[str], int]:
    """Attaches a program that is not ours, in native or generic mode; gives its id."""
    source, obj = tmp_path / "pass.c", tmp_path / "pass.o"
    source.write_text('__attribute__((section("xdp"), used)) int xw_foreign(void *c) { (void)c; return 2; }\n')
    subprocess.run(["clang", "-target", "bpf", "-O2", "-g", "-c", str(source), "-o", str(obj)], check=True)

    def put(mode: str) -> int:
        own.exec("cli", "ip", "link", "set", own.cli_if, mode, "obj", str(obj), "sec", "xdp")
        return xdp_program(own)

    return put


@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
def test_another_program_is_attached(own: Topology, foreign: Callable[[str], int], mode: str) -> None:
    there = foreign(mode)
    text = refused(own, own.cli_if, f"ws://{own.srv_ip}:9", "--transport", "xdp")
    assert f"attach to {own.cli_if}: XDP program {there} (xw_foreign" in text
    assert f"--replace, or: ip link set dev {own.cli_if} {mode} off" in text
    assert xdp_program(own) == there, "it was left alone"
    falls_back(own, own.cli_if, f"XDP program {there}")
    with sim(own) as server:
        report = attach(own, own.cli_if, server.url, "--ca", str(server.ca), "--transport", "xdp", "--replace")
        assert report["rx_sha256"] == server.ready["rx_sha256"]
    assert not xdp_program(own), "replaced, as was asked"


# ---- the caller -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://h/", "wss://", "ws://h:99999/", "ws://h:0/", "wss://h/#part", "h:9443",
                                 "ws://[::1]:1/", "ws://h/a b"])
@pytest.mark.parametrize("command", [("attach", "xwnone0"), ("connect",)])
def test_malformed_url(command: tuple[str, ...], url: str) -> None:
    done = subprocess.run(xdpws(*command, url), capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    assert "is not a valid WebSocket URI" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [
    ("--address", "10.0.0.300/24"), ("--mode", "fast"), ("--count", "0"), ("--ca", "x", "--insecure"),
    ("--transport", "xdp", "--address", "224.0.0.1/24"), ("--loader", "none")])
def test_wrong_options(topo: Topology, args: tuple[str, ...]) -> None:
    refused(topo, topo.cli_if, f"ws://{topo.srv_ip}:9", *args, code=2)


# ---- the network ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_refused_connection(topo: Topology, transport: str) -> None:
    text = refused(topo, topo.cli_if, f"wss://{topo.srv_ip}:1", "--transport", transport, hint=False)
    assert f"connect to wss://{topo.srv_ip}:1: TCP: " in text
    assert "refused" in text
    with topo.entered("cli"), pytest.raises(ConnectError, match="refused"):
        Stream.connect(topo.srv_ip, 1, transport=transport, interface=topo.cli_if)  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_black_holed_syn(own: Topology, transport: Any) -> None:
    own.exec("cli", "ip", "neigh", "replace", own.srv_ip, "lladdr", DEAD_MAC, "nud", "permanent", "dev", own.cli_if)
    interface = own.cli_if if transport == "xdp" else None
    begun = time.monotonic()
    with own.entered("cli"), pytest.raises(OpenTimeout, match="TCP"):
        Stream.connect(own.srv_ip, 9, transport=transport, interface=interface, timeout=1.0)
    assert 1.0 <= time.monotonic() - begun < 4.0
    with own.entered("cli"), Client(f"wss://{own.srv_ip}", print, transport=transport, interface=interface,
                                    open_timeout=0.5, busy_poll=False) as client:
        client.run(10)
        assert isinstance(client.sessions[0].error, OpenTimeout)
    kept = own.exec("cli", "ip", "neigh", "show", own.srv_ip).stdout
    assert f"lladdr {DEAD_MAC} PERMANENT" in kept, "an entry of the administrator's stays what it is"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_unknown_name(topo: Topology, transport: str) -> None:
    text = refused(topo, topo.cli_if, "wss://exchange.invalid/ws", "--transport", transport)
    assert "resolve exchange.invalid: " in text
    assert "getent ahostsv4 exchange.invalid" in text


# ---- certificates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("served", "trusted", "words"), [
    ("good", "other-ca", ("certificate", "")), ("other-name", "other-name", ("", "mismatch")),
    ("expired", "expired", ("", "expired"))])
def test_certificate_is_refused(topo: Topology, certs: dict[str, CertificateFiles], transport: str, served: str,
                                trusted: str, words: tuple[str, str]) -> None:
    files = certs[served]
    with sim(topo, "--cert", str(files.cert), "--key", str(files.key)) as server:
        options = ["--transport", transport]
        text = refused(topo, topo.cli_if, server.url, "--ca", str(certs[trusted].ca), *options, hint=False)
        assert f"connect to {server.url}: TLS: " in text
        assert all(word in text for word in words)
        assert "--insecure" in text or "--ca" in text or "certificate" in text
        report = attach(topo, topo.cli_if, server.url, "--insecure", *options)
        assert report["rx_sha256"] == server.ready["rx_sha256"], "asked for explicitly, it is taken"
        system = refused(topo, topo.cli_if, server.url, *options, hint=False)
        assert "TLS" in system, "the system's store does not know it"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("content", [None, "no certificate in here\n"])
def test_ca_file_that_cannot_be_used(topo: Topology, tmp_path: Path, transport: str, content: str | None) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    text = refused(topo, topo.cli_if, f"wss://{topo.srv_ip}:9", "--ca", str(ca), "--transport", transport, hint=False)
    assert str(ca) in text


# ---- ports ------------------------------------------------------------------------------------------------------


def test_all_source_ports_taken(own: Topology) -> None:
    own.exec("cli", "sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40003")
    with own.entered("cli"):
        held = [socket.create_server((own.cli_ip, port)) for port in range(40000, 40004)]
    text = refused(own, own.cli_if, f"ws://{own.srv_ip}:9", "--transport", "xdp")
    assert f"reserve a source port on {own.cli_ip}: all 4 ports are taken" in text
    held.pop().close()
    with sim(own) as server:
        assert attach(own, own.cli_if, server.url, "--ca", str(server.ca), "--transport", "xdp")["messages"] == 50
    for sock in held:
        sock.close()


def test_listening_on_a_port_in_use(topo: Topology) -> None:
    with sim(topo) as server:
        done = topo.exec("srv", *xdpws("sim", "synthetic", "--listen", f"{topo.srv_ip}:{server.port}"), check=False,
                         cwd=ROOT)
    assert done.returncode == 1
    assert f"{topo.srv_ip}:{server.port}" in done.stderr
    assert "in use" in done.stderr


def test_tls_options_reach_the_api(topo: Topology) -> None:
    with sim(topo) as server, topo.entered("cli"):
        got: list[bytes] = []
        with Client(server.url, lambda m: got.append(bytes(m.data)), transport="socket", busy_poll=False,
                    tls=TlsOptions(verify=False)) as client:
            client.run(20)
        assert len(got) == 50
