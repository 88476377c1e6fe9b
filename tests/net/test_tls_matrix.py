"""TLS versions, ciphers, certificates and record shapes against servers of others, over AF_XDP and over the socket.

All servers run at once in the server's namespace and one `xdpws attach` a transport takes all their feeds; each pair of
server and transport is a test: the feed is complete to the byte, version and cipher are those that the server allows.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from attach import ROOT, attach
from peers.nginx import NginxFront, needs_nginx
from peers.websockets_peer import WebsocketsServer
from topology import Topology, needs_topology

from xdpws.sim.cert import make_certificate
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.script import expected_digest
from xdpws.sim.server import Exchange
from xdpws.sim.synthetic import Synthetic

pytestmark = needs_topology

COUNT = 3000
SUITES = {
    "1.2": {"AES-128-GCM": "ECDHE-{}-AES128-GCM-SHA256", "AES-256-GCM": "ECDHE-{}-AES256-GCM-SHA384",
            "ChaCha20-Poly1305": "ECDHE-{}-CHACHA20-POLY1305"},
    "1.3": {"AES-128-GCM": "TLS_AES_128_GCM_SHA256", "AES-256-GCM": "TLS_AES_256_GCM_SHA384",
            "ChaCha20-Poly1305": "TLS_CHACHA20_POLY1305_SHA256"},
}
SHAPES: dict[str, dict[str, Any]] = {
    "random records": {"records": "random"}, "coalesced records": {"records": "coalesce:40"},
    "fragments": {"fragment": "random", "records": "random"},
    "interleaved fragments": {"fragment": "interleaved", "records": "coalesce:7"},
}
HELLO_RETRY = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
"""Random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3)."""


@dataclass(frozen=True)
class Case:
    """A server: which implementation, what it allows, and what shape its feed has."""

    server: str
    version: str = "1.3"
    cipher: str = ""  # "": any
    key: str = "ecdsa"
    shape: str = ""
    groups: str = ""

    @property
    def suite(self) -> str:
        return SUITES[self.version][self.cipher].format(self.key.upper()) if self.cipher else ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.server, self.version, self.cipher, self.key, self.shape, self.groups)
                        if part).replace(" ", "-")


CASES = [
    *(Case("simulator", version, cipher, key) for version in SUITES for cipher in SUITES[version]
      for key in ("rsa", "ecdsa")),
    *(Case("simulator", version, shape=shape) for version in SUITES for shape in SHAPES),
    Case("simulator", groups="P-384"), Case("simulator", "1.2", groups="P-384"),
    *(Case("nginx", version, cipher, key) for version in SUITES for cipher, key in zip(
        SUITES[version], ("rsa", "ecdsa", "rsa"), strict=True)),
    *(Case("websockets", version, key=key) for version in SUITES for key in ("rsa", "ecdsa")),
]


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@dataclass(frozen=True)
class Certificates:
    files: dict[str, Any]
    bundle: Path


@pytest.fixture(scope="module")
def certs(topo: Topology, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    files = {key: make_certificate(tmp_path_factory.mktemp(key), (topo.srv_ip,), key) for key in ("rsa", "ecdsa")}
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    bundle.write_bytes(b"".join(each.ca.read_bytes() for each in files.values()))
    return Certificates(files, bundle)


class Exchanges:
    """Simulators in a thread of their own, inside the server's namespace."""

    def __init__(self, topo: Topology, configs: list[ExchangeConfig]) -> None:
        self._topo = topo
        self._configs = configs
        self.running: list[Exchange] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self._topo.entered("srv"):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            self.running = [await stack.enter_async_context(Exchange(config)) for config in self._configs]
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> list[Exchange]:
        self._thread.start()
        assert self._ready.wait(30)
        return self.running

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)


class RetryWatch:
    """Looks at the packets that leave the server's interface for HelloRetryRequests; `ports` are their source ports."""

    def __init__(self, topo: Topology) -> None:
        with topo.entered("srv"):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._socket.bind((topo.srv_if, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.ports: set[int] = set()
        self._end, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket, self._end], [], [])
            if self._socket in readable:
                frame = self._socket.recv(300)
                if HELLO_RETRY in frame:
                    self.ports.add(struct.unpack_from("!H", frame, 34)[0])
            elif readable:
                return

    def __enter__(self) -> RetryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        self._thread.join(30)
        self._socket.close()
        self._end.close()


def exchange_config(topo: Topology, certs: Certificates, case: Case) -> ExchangeConfig:
    files = certs.files[case.key]
    return ExchangeConfig(count=COUNT, port=0, host=topo.srv_ip, speed=None, cert=files.cert, key=files.key,
                          tls=case.version, ciphers=case.suite, groups=case.groups, **SHAPES.get(case.shape, {}))


@pytest.fixture(scope="module")
def reports(topo: Topology, certs: Certificates) -> Iterator[dict[tuple[Case, str], dict[str, Any]]]:
    """What `xdpws attach` says of each case over each transport; `retried`: whether a HelloRetryRequest was seen."""
    ours = [case for case in CASES if case.server == "simulator"]
    configs = [exchange_config(topo, certs, case) for case in ours]
    backend = ExchangeConfig(count=COUNT, port=0, host=topo.srv_ip, speed=None, plain=True)
    with contextlib.ExitStack() as stack:
        exchanges = stack.enter_context(Exchanges(topo, [*configs, backend]))
        urls = {case: exchange.url for case, exchange in zip(ours, exchanges, strict=False)}
        for case in CASES:
            files = certs.files[case.key]
            if case.server == "nginx" and not needs_nginx.args[0]:
                front = NginxFront(f"{topo.srv_ip}:{exchanges[-1].port}", files.cert, files.key, host=topo.srv_ip,
                                   tls=case.version, ciphers=case.suite, netns=topo.srv_ns)
                urls[case] = stack.enter_context(front).url
            elif case.server == "websockets":
                with topo.entered("srv"):
                    urls[case] = stack.enter_context(WebsocketsServer(
                        Synthetic(COUNT), host=topo.srv_ip, cert=files.cert, key=files.key, tls=case.version)).url
        result: dict[tuple[Case, str], dict[str, Any]] = {}
        for transport in ("xdp", "socket"):
            with RetryWatch(topo) as watch:
                report = attach(topo, topo.cli_if, *urls.values(), "--ca", str(certs.bundle), "--transport", transport,
                                timeout=100)
            for case, each in zip(urls, report["connections"], strict=True):
                port = int(each["url"].rsplit(":", 1)[1].strip("/"))
                result[case, transport] = {**each, "retried": port in watch.ports}
        yield result


@pytest.fixture(scope="module")
def sha256() -> str:
    return expected_digest(Synthetic(COUNT), COUNT).hexdigest()


@pytest.mark.parametrize("transport", ["xdp", "socket"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_feed_over_tls(reports: dict[tuple[Case, str], dict[str, Any]], sha256: str, case: Case,
                       transport: str) -> None:
    if case.server == "nginx" and needs_nginx.args[0]:
        pytest.skip(needs_nginx.kwargs["reason"])
    report = reports[case, transport]
    assert report["error"] is None
    assert (report["messages"], report["rx_sha256"], report["close_code"]) == (COUNT, sha256, 1000)
    assert report["transport"] == transport
    assert report["xdp_mode"] == ("native" if transport == "xdp" else None)
    assert report["tls"]["version"] == int(case.version.replace(".", ""))
    if case.cipher:
        assert report["tls"]["cipher"] == case.suite
    elif case.version == "1.2":
        assert report["tls"]["cipher"].startswith(f"ECDHE-{case.key.upper()}-")
    else:
        assert report["tls"]["cipher"].startswith("TLS_")
    assert report["retried"] is (case.groups == "P-384" and case.version == "1.3")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("transport", ["xdp", "socket"])
def test_client_asks_for_one_version(topo: Topology, certs: Certificates, transport: str, version: str,
                                     sha256: str) -> None:
    """`--tls-version` against a server that has both."""
    files = certs.files["ecdsa"]
    config = ExchangeConfig(count=COUNT, port=0, host=topo.srv_ip, speed=None, cert=files.cert, key=files.key)
    with Exchanges(topo, [config]) as (exchange,):
        report = attach(topo, topo.cli_if, exchange.url, "--ca", str(certs.bundle), "--transport", transport,
                        "--tls-version", version)
    assert report["tls"]["version"] == int(version.replace(".", ""))
    assert report["rx_sha256"] == sha256


# ---- openssl s_server: a raw stream over TLS, both ways ------------------------------------------------------------

S_SERVER = [(version, cipher, key) for version in SUITES for cipher in SUITES[version] for key in ("rsa", "ecdsa")]

STREAMS = """
import json, sys, xdpws
from xdpws.config import EngineConfig, XdpOptions
from xdpws.stack import Stream
from xdpws.stack.runtime import Runtime
interface, transport, ca, host, cases = *sys.argv[1:5], json.loads(sys.argv[5])
results = []
with Runtime(EngineConfig(), XdpOptions(interface) if transport == "xdp" else None) as runtime:
    for port, options in cases:
        stream = Stream.connect(host, port, transport=transport, runtime=runtime,
                                tls=xdpws.TlsOptions(ca_file=ca, **options))
        good = 0
        for i in range(60):
            line = (f"{i:04d}" * (i * 9 + 1)).encode()
            stream.send_all(line + b"\\n", timeout=20)
            got = b""
            while not got.endswith(b"\\n"):
                piece = stream.recv(timeout=20)
                if not piece:
                    break
                got += piece
            good += got == line[::-1] + b"\\n"
        info = stream.info()
        stream.send_all(b"CLOSE\\n")
        rest = stream.recv(timeout=20)
        stream.close()
        results.append({"good": good, "rest": rest.decode(), "transport": stream.transport,
                        "error": stream.closed.error if stream.closed else None,
                        "version": info["tls_version"], "cipher": info["cipher"]})
print(json.dumps(results))
"""


class OpensslServer:
    """`openssl s_server -rev`: sends each line back reversed; `-msg` tells of every handshake message."""

    def __init__(self, topo: Topology, files: Any, version: str, suite: str, log: Path, *more: str) -> None:
        with topo.entered("srv"), socket.socket() as probe:
            probe.bind((topo.srv_ip, 0))
            self.port = probe.getsockname()[1]
        self.log = log
        chosen = ["-ciphersuites", suite] if version == "1.3" else ["-cipher", suite]
        with open(log, "wb") as out:
            self.process = topo.popen(
                "srv", "openssl", "s_server", "-accept", f"{topo.srv_ip}:{self.port}", "-cert", files.cert, "-key",
                files.key, "-cert_chain", files.cert, f"-tls{version.replace('.', '_')}", *chosen, "-rev", "-msg",
                *more, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + 20
        while b"ACCEPT" not in log.read_bytes():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)

    def __enter__(self) -> OpensslServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def sent(self, message: str) -> int:
        """How many handshake messages of this name the server has sent."""
        return len(re.findall(rf">>> .*, {message}$", self.log.read_text(errors="replace"), re.M))

    def received(self, message: str) -> int:
        """How many it has received."""
        return len(re.findall(rf"<<< .*, {message}$", self.log.read_text(errors="replace"), re.M))


def streams(topo: Topology, certs: Certificates, transport: str, cases: list[Any]) -> list[dict[str, Any]]:
    """What the client program says of one stream to each of the servers."""
    done = subprocess.run(topo.command("cli", sys.executable, "-c", STREAMS, topo.cli_if, transport,
                                       str(certs.bundle), topo.srv_ip, json.dumps(cases)),
                          capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    result: list[dict[str, Any]] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("transport", ["xdp", "socket"])
def test_stream_to_openssl_with_every_suite(topo: Topology, certs: Certificates, tmp_path: Path,
                                            transport: str) -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(OpensslServer(
            topo, certs.files[key], version, SUITES[version][cipher].format(key.upper()), tmp_path / f"{number}",
            *(("-max_send_frag", "512") if number % 2 else ()), *(("-num_tickets", "4") if version == "1.3" else ())))
            for number, (version, cipher, key) in enumerate(S_SERVER)]
        got = streams(topo, certs, transport, [(each.port, {}) for each in servers])
        for (version, cipher, key), server, result in zip(S_SERVER, servers, got, strict=True):
            assert result == {"good": 60, "rest": "", "transport": transport, "error": 0,
                              "version": int(version.replace(".", "")),
                              "cipher": SUITES[version][cipher].format(key.upper())}
            assert server.sent("NewSessionTicket") == (4 if version == "1.3" else 1)
            assert server.received("ClientHello") == 1


@pytest.mark.parametrize("transport", ["xdp", "socket"])
def test_hello_retry_and_the_clients_ciphers(topo: Topology, certs: Certificates, tmp_path: Path,
                                             transport: str) -> None:
    """The server wants a group that we gave no key share for; and the client's own choice of ciphers."""
    files, every = certs.files["ecdsa"], ":".join(SUITES["1.3"].values())
    old = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
    chosen = SUITES["1.2"]["ChaCha20-Poly1305"].format("ECDSA")
    with (OpensslServer(topo, files, "1.3", every, tmp_path / "retry", "-groups", "P-384") as retry,
          OpensslServer(topo, files, "1.3", every, tmp_path / "new") as new,
          OpensslServer(topo, files, "1.2", old, tmp_path / "old") as old_server):
        got = streams(topo, certs, transport, [
            (retry.port, {}), (retry.port, {"groups": "P-384"}),
            (new.port, {"ciphersuites": SUITES["1.3"]["ChaCha20-Poly1305"]}), (old_server.port, {"ciphers": chosen})])
        assert [(each["good"], each["error"]) for each in got] == [(60, 0)] * 4
        assert retry.received("ClientHello") == 2 + 1  # the second client offers P-384 at once
        assert retry.sent("ServerHello") == 2 + 1
        assert got[2]["cipher"] == SUITES["1.3"]["ChaCha20-Poly1305"]
        assert got[3]["cipher"] == chosen


def test_both_openssl_are_different() -> None:
    """The core's library and the simulator's are two implementations: what they agree on is not agreed with itself."""
    from OpenSSL import SSL

    from xdpws._ffi import lib, text

    assert text(lib.xw_openssl_version()) != SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()
    assert ssl.OPENSSL_VERSION
