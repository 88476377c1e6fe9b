"""The other peers: nginx in front of the simulator, the websockets library as server, and the bad servers' bytes."""
from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.bad import BEFORE_TLS, BEHAVIOURS, FORBIDDEN_BODY, GREETING, NEEDS_TLS, BadServer, frame
from peers.nginx import NginxFront, needs_nginx
from peers.process import bad_process, websockets_process
from peers.websockets_peer import WebsocketsServer
from test_sim_cli import receive_all

from xdpws.sim.cert import CertificateFiles, make_certificate
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.feed import write_feed
from xdpws.sim.script import expected_digest
from xdpws.sim.server import Exchange
from xdpws.sim.synthetic import Synthetic

ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_certificate(tmp_path_factory.mktemp("cert"), ["127.0.0.1"], "rsa")


# -- servers nobody here wrote -------------------------------------------------------------------------------------


@needs_nginx
@pytest.mark.parametrize(
    ("tls", "ciphers", "version"),
    [("1.3", "TLS_AES_128_GCM_SHA256", "TLSv1.3"), ("1.2", "ECDHE-RSA-AES256-GCM-SHA384", "TLSv1.2")],
)
def test_nginx_in_front(files: CertificateFiles, tls: str, ciphers: str, version: str) -> None:
    async def body() -> None:
        async with Exchange(ExchangeConfig(count=3000, port=0, plain=True, speed=None)) as exchange:
            with NginxFront(f"127.0.0.1:{exchange.port}", files.cert, files.key, tls=tls, ciphers=ciphers) as nginx:
                digest, code = await receive_all(nginx.url, files.ca)
                assert (digest.hexdigest(), code) == (exchange.expected_sha256(), 1000)
                context = ssl.create_default_context(cafile=files.ca)
                _, writer = await asyncio.open_connection("127.0.0.1", nginx.port, ssl=context)
                tls_object = writer.get_extra_info("ssl_object")
                assert (tls_object.version(), tls_object.cipher()[0]) == (version, ciphers)
                writer.close()
                pid = nginx.process.pid
        assert not os.path.exists(f"/proc/{pid}")

    asyncio.run(body())


@needs_nginx
def test_nginx_that_cannot_start_says_why(files: CertificateFiles) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(RuntimeError, match="Address already in use"):
            NginxFront("127.0.0.1:1", files.cert, files.key, port=taken.getsockname()[1])


@pytest.mark.parametrize("tls", ["1.2", "1.3", None])
def test_websockets_library_as_server(files: CertificateFiles, tls: str | None) -> None:
    source = Synthetic(2000, seed=8)
    cert, key = (files.cert, files.key) if tls else (None, None)
    with WebsocketsServer(source, cert=cert, key=key, tls=tls) as server:
        digest, code = asyncio.run(receive_all(server.url, files.ca if tls else None))
    assert code == 1000
    assert digest.hexdigest() == expected_digest(source, 2000).hexdigest()


def test_websockets_library_as_process(files: CertificateFiles, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    wanted = write_feed(path, Synthetic(300, seed=5))
    with websockets_process(path, "--cert", str(files.cert), "--key", str(files.key)) as server:
        digest, _ = asyncio.run(receive_all(server.url, files.ca))
        assert digest.hexdigest() == wanted.hexdigest()
        assert server.stop() == 0


# -- bad servers ---------------------------------------------------------------------------------------------------


class Dialled:
    """A raw client of a bad server: sends the request, keeps everything until the end of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.data, self.reset = b"", False
        try:
            sock.sendall(REQUEST)
            while piece := sock.recv(65536):
                self.data += piece
        except ConnectionResetError:
            self.reset = True
        except TimeoutError:
            pass

    @property
    def head(self) -> bytes:
        return self.data.split(b"\r\n\r\n", 1)[0]

    @property
    def body(self) -> bytes:
        return self.data.split(b"\r\n\r\n", 1)[1]


@contextlib.contextmanager
def plain(name: str, timeout_s: float = 0.3) -> Iterator[tuple[BadServer, Dialled]]:
    with BadServer(name) as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(timeout_s)
        yield server, Dialled(sock)


FIRST = frame(1, GREETING)

AFTER_GREETING = {
    "oversize-length": b"\x82\x7f\x40\x00\x00\x00\x00\x00\x00\x00" + b"x" * 64,
    "top-bit-length": b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x10" + b"x" * 64,
    "long-form-length": b"\x82\x7e\x00\x05short",
    "invalid-utf8": b"\x81\x0c" + b"caf\xc3\x28 and on",
    "cut-utf8": b"\x81\x07euro \xe2\x82",
    "invalid-utf8-fragment": b"\x01\x05ok \xf0\x9f\x80\x02\x28\x28",
    "masked-frame": b"\x81\x92\x11\x22\x33\x44" + bytes(
        b ^ (0x11, 0x22, 0x33, 0x44)[i % 4] for i, b in enumerate(b"masked by a server")),
    "reserved-bits": b"\xc1\x16rsv1 without extension",
    "reserved-opcode": b"\x83\x08opcode 3",
    "reserved-control": b"\x8b\x09opcode 11",
    "fragmented-ping": b"\x09\x04half\x80\x04ping",
    "long-ping": b"\x89\x7e\x00\x7e" + b"p" * 126,
    "lone-continuation": b"\x80\x0aof nothing",
    "interrupted-message": b"\x01\x06first \x81\x06second",
    "close-one-byte": b"\x88\x01\x03",
    "close-1005": b"\x88\x02\x03\xed",
    "close-bad-utf8": b"\x88\x04\x03\xe8\xff\xfe",
    "close-1008": b"\x88\x08\x03\xf0policy",
    "close-empty": b"\x88\x00",
    "mute-after-upgrade": b"",
}


@pytest.mark.parametrize("name", AFTER_GREETING)
def test_bytes_after_the_greeting(name: str) -> None:
    with plain(name) as (server, seen):
        assert ACCEPT in seen.head
        assert seen.body == FIRST + AFTER_GREETING[name]
        assert server.requests == [REQUEST]


@pytest.mark.parametrize(
    ("name", "begins", "ends"),
    [
        ("http-403", b"HTTP/1.1 403 ", FORBIDDEN_BODY),
        ("http-302", b"HTTP/1.1 302 ", b"\r\n\r\n"),
        ("http-200", b"HTTP/1.1 200 ", b"ok"),
        ("http-garbage", b"\x00\xff", b"at all\n"),
        ("http-cut-off", b"HTTP/1.1 101 ", b"Proto"),
        ("http-oversize-head", b"HTTP/1.1 101 ", b"a" * 300_000),
    ],
)
def test_http_answers(name: str, begins: bytes, ends: bytes) -> None:
    with plain(name, timeout_s=5) as (_, seen):
        assert seen.data.startswith(begins)
        assert seen.data.endswith(ends)
        assert not seen.reset


@pytest.mark.parametrize(
    ("name", "has", "has_not"),
    [
        ("wrong-accept", b"Sec-WebSocket-Accept: ", ACCEPT),
        ("no-upgrade-header", ACCEPT, b"Upgrade: websocket"),
        ("unasked-extension", b"permessage-deflate; server_max_window_bits=15", b"Protocol:"),
        ("unasked-subprotocol", b"Sec-WebSocket-Protocol: mqtt", b"Extensions"),
    ],
)
def test_wrong_101(name: str, has: bytes, has_not: bytes) -> None:
    with plain(name) as (_, seen):
        assert seen.head.startswith(b"HTTP/1.1 101 ")
        assert has in seen.head
        assert has_not not in seen.head


def test_frame_in_the_segment_of_the_101() -> None:
    with BadServer("frame-with-101") as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(REQUEST)
        segment = sock.recv(65536)
    body = segment.split(b"\r\n\r\n", 1)[1]
    assert body == FIRST + frame(9, b"early") + frame(1, b"second") + b"\x88\x02\x03\xe8"


def test_split_101() -> None:
    with plain("split-101") as (_, seen):
        assert ACCEPT in seen.head
        assert seen.body == FIRST + b"\x88\x02\x03\xe8"


@pytest.mark.parametrize(("name", "reset"), [("reset-mid-frame", True), ("end-mid-frame", False)])
def test_end_inside_a_frame(name: str, reset: bool) -> None:
    with plain(name, timeout_s=5) as (_, seen):
        assert seen.body == FIRST + frame(1, b"x" * 1000)[:500]
        assert seen.reset == reset


@pytest.mark.parametrize("name", ["no-close-frame", "no-close-notify"])
def test_end_without_close_frame(name: str) -> None:
    with plain(name, timeout_s=5) as (_, seen):
        assert seen.body == FIRST
        assert not seen.reset


def test_reset_at_once_and_mute_and_what_a_client_sent() -> None:
    with plain("reset-at-once", timeout_s=5) as (_, seen):
        assert seen.reset
    with plain("mute") as (_, seen):
        assert (seen.data, seen.reset) == (b"", False)
    with plain("mute-after-tls") as (server, seen):
        assert (seen.data, server.requests) == (b"", [REQUEST])
    with plain("tls-garbage") as (_, seen):
        assert seen.data == b"220 mail.example.org ESMTP\r\n"


def test_received_keeps_what_came_after_the_request() -> None:
    with BadServer("invalid-utf8") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(REQUEST + b"more")
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        assert server.client_gone.wait(5)
        assert server.received == [b"more"]


def over_tls(server: BadServer, ca: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=ca)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=5),
                               server_hostname="127.0.0.1", suppress_ragged_eofs=False)
    sock.sendall(REQUEST)
    return sock


@pytest.mark.parametrize(
    ("name", "ending"),
    [("truncated-record", "UNEXPECTED_EOF"), ("bad-record", "BAD_RECORD_MAC"), ("no-close-notify", "UNEXPECTED_EOF"),
     ("no-close-frame", ""), ("invalid-utf8", "timed out")],
)
def test_endings_over_tls(files: CertificateFiles, name: str, ending: str) -> None:
    data, caught = b"", None
    with BadServer(name, cert=files.cert, key=files.key) as server, over_tls(server, files.ca) as sock:
        sock.settimeout(0.5)
        try:
            while piece := sock.recv(65536):
                data += piece
        except OSError as exc:
            caught = exc
        assert FIRST in data
        assert ending.lower().replace("_", " ") in str(caught).lower().replace("_", " ")
        assert (caught is None) == (ending == "")


@pytest.mark.parametrize("name", ["tls-garbage", "reset-at-once"])
def test_faults_before_tls(files: CertificateFiles, name: str) -> None:
    with BadServer(name, cert=files.cert, key=files.key) as server:
        with pytest.raises(OSError):  # noqa: PT011 (ssl.SSLError or a reset, both are OSErrors)
            over_tls(server, files.ca).recv(1)


def test_every_behaviour_is_tested_here() -> None:
    here = Path(__file__).read_text()
    assert [name for name in BEHAVIOURS if f'"{name}"' not in here] == []
    assert set(BEFORE_TLS) | set(NEEDS_TLS) <= set(BEHAVIOURS)


def test_bad_server_as_process() -> None:
    with bad_process("http-403") as server:
        assert json.dumps(server.ready)
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.settimeout(5)
            assert Dialled(sock).data.endswith(FORBIDDEN_BODY)
        assert server.stop() == 0
