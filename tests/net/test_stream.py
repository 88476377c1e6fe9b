"""`xdpws.stack.Stream` against kernel peers, over both transports: what a program of FIX or another TCP protocol needs.

At the end TLS by pyOpenSSL and WebSocket by wsproto run over it: the same payload as by the C path, to the byte.
"""
from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attach import feed
from hosttools import KernelPeer, await_true, echo, patterned, patterned_hash, tcp_sockets
from OpenSSL import SSL
from peers.process import PeerProcess, sim_process
from topology import Topology, needs_topology
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request, TextMessage

from xdpws.client import Client
from xdpws.config import EngineConfig, TlsOptions, XdpOptions
from xdpws.digest import FeedDigest
from xdpws.errors import ConnectionClosedError, UsageError
from xdpws.stack import Stream
from xdpws.stack.runtime import Runtime

pytestmark = needs_topology
TRANSPORTS = ("xdp", "socket")
MANY = 20_000_000


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology]:
    with Topology() as made:
        yield made


Open = Callable[..., Stream]


@pytest.fixture(params=TRANSPORTS)
def connect(topo: Topology, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a stream to a peer over one of the transports; what the test left open is closed."""
    opened: list[Stream] = []

    def make(peer: KernelPeer | PeerProcess, **options: Any) -> Stream:
        if request.param == "xdp" and "runtime" not in options:
            options["interface"] = topo.cli_if
        with topo.entered("cli"):
            opened.append(Stream.connect(topo.srv_ip, peer.port, transport=request.param, **options))
        assert opened[-1].transport == request.param
        return opened[-1]

    yield make
    for stream in opened:
        stream.close()


def receive_all(stream: Stream) -> bytes:
    """Everything up to the end of the peer's direction."""
    parts = []
    while piece := stream.recv(timeout=20):
        parts.append(piece)
    assert stream.recv(timeout=5) == b"", "the end stays the end"
    return b"".join(parts)


def reset(sock: socket.socket) -> None:
    """RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# ---- both directions and their ends -----------------------------------------------------------------------------


def test_questions_and_answers(topo: Topology, connect: Open) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer:
        stream = connect(peer)
        for size in (1, 200, 1460, 9000, 70_000):
            stream.send_all(b"\xa5" * size, 5)
            answer = b""
            while len(answer) < size:
                answer += stream.recv(timeout=5)
            assert answer == b"\xa5" * size
        assert int(stream.info()["bytes_in"]) == int(stream.info()["bytes_out"]) == 1 + 200 + 1460 + 9000 + 70_000


def test_we_end_our_direction_first(topo: Topology, connect: Open) -> None:
    def count_and_answer(sock: socket.socket) -> None:
        digest, size = hashlib.sha256(), 0
        while data := sock.recv(65536):
            digest.update(data)
            size += len(data)
        sock.sendall(f"{size} {digest.hexdigest()}".encode())

    with KernelPeer(topo, "srv", topo.srv_ip, count_and_answer) as peer:
        stream = connect(peer)
        for piece in patterned(500_000):
            stream.send_all(piece, 10)
        stream.shutdown_write()
        assert receive_all(stream).decode() == f"500000 {patterned_hash(500_000)}"
        with pytest.raises((ConnectionClosedError, UsageError)):
            stream.send(b"after the end")


def test_the_peer_ends_its_direction_first(topo: Topology, connect: Open) -> None:
    got: list[bytes] = []

    def talk_then_listen(sock: socket.socket) -> None:
        for piece in patterned(300_000):
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            got.append(data)
        got.append(b".")

    with KernelPeer(topo, "srv", topo.srv_ip, talk_then_listen) as peer:
        stream = connect(peer)
        assert hashlib.sha256(receive_all(stream)).hexdigest() == patterned_hash(300_000)
        for piece in patterned(300_000):  # our direction is as open as before
            stream.send_all(piece, 10)
        stream.close()
        await_true("the end at the peer", lambda: got[-1:] == [b"."])
    assert hashlib.sha256(b"".join(got[:-1])).hexdigest() == patterned_hash(300_000)


def test_nothing_is_left_of_a_closed_stream(topo: Topology, connect: Open) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer:
        stream = connect(peer)
        stream.send_all(b"x")
        assert stream.recv(timeout=5) == b"x"
        stream.close()
        assert stream.closed is not None
        await_true("a server without the connection",
                   lambda: not [s for s in tcp_sockets(topo, "srv") if s[1] == peer.port and s[4] != 10])
        stream.close()


@pytest.mark.parametrize("before", [b"", b"last words"])
def test_the_peer_resets(topo: Topology, connect: Open, before: bytes) -> None:
    may_go = threading.Event()

    def cut(sock: socket.socket) -> None:
        sock.sendall(before)
        may_go.wait(10)
        reset(sock)

    with KernelPeer(topo, "srv", topo.srv_ip, cut) as peer:
        stream = connect(peer)
        if before:
            assert stream.recv(timeout=5) == before
        may_go.set()
        with pytest.raises(ConnectionClosedError, match="reset"):
            stream.recv(timeout=5)
        with pytest.raises(ConnectionClosedError, match="reset"):
            stream.send(b"too late")


def test_timeouts_are_kept_and_harm_nothing(topo: Topology, connect: Open) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer:
        stream = connect(peer)
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            stream.recv(timeout=0.2)
        assert 0.2 <= time.monotonic() - begun < 2.0
        with pytest.raises(TimeoutError):
            stream.recv(timeout=0)
        stream.send_all(b"still there", 5)
        assert stream.recv(timeout=5) == b"still there"
        with pytest.raises(UsageError):
            stream.recv_into(bytearray())


# ---- stamps -----------------------------------------------------------------------------------------------------


def test_stamps_are_there_and_in_order(topo: Topology, connect: Open) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer:
        stream = connect(peer)

        def stamped() -> bool:
            stream.send_all(b"warm")
            return stream.recv(timeout=5) == b"warm" and stream.stamps.kernel is not None

        await_true("a first stamp", stamped)  # Linux begins to stamp a little after the first socket has asked
        kernel_before = 0
        for _ in range(50):
            sent_ns = time.monotonic_ns()
            stream.send_all(b"ping")
            assert stream.recv(timeout=5) == b"ping"
            s, now = stream.stamps, time.monotonic_ns()
            assert s.kernel is not None
            assert s.ring is not None
            assert s.user is not None
            assert sent_ns <= s.kernel <= s.ring <= s.user <= now
            assert s.kernel > kernel_before, "each answer came in a packet of its own"
            assert (s.nic, s.decrypt_begin, s.parsed) == (None, None, None), "nothing is invented"
            kernel_before = s.kernel


def test_stamps_are_of_the_packet_with_the_last_byte(topo: Topology, connect: Open) -> None:
    second = threading.Event()

    def two_packets(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"first")
        second.wait(10)
        sock.sendall(b"second")
        sock.recv(1)

    with KernelPeer(topo, "srv", topo.srv_ip, two_packets) as peer:
        stream = connect(peer)
        assert stream.recv(3, timeout=5) == b"fir"
        first = stream.stamps.kernel
        released_ns = time.monotonic_ns()
        second.set()
        assert stream.recv(2, timeout=5) == b"st"
        assert stream.stamps.kernel == first, "the same packet, though taken later"
        assert stream.recv(timeout=5) == b"second"
        assert first is not None
        assert stream.stamps.kernel is not None
        assert first < released_ns < stream.stamps.kernel


# ---- backpressure -----------------------------------------------------------------------------------------------


def test_many_bytes_both_ways_at_once(topo: Topology, connect: Open) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer:
        stream = connect(peer)
        digest, got, buffer = hashlib.sha256(), 0, bytearray(1 << 18)
        pieces, piece = patterned(MANY), memoryview(b"")
        while got < MANY:
            if not piece:
                piece = memoryview(next(pieces, b""))
            piece = piece[stream.send(piece):] if piece else piece
            try:
                count = stream.recv_into(buffer, 0 if piece else 20)
            except TimeoutError:
                assert piece, "nothing came back any more"
                continue
            digest.update(memoryview(buffer)[:count])
            got += count
        assert digest.hexdigest() == patterned_hash(MANY)
        stream.shutdown_write()
        assert stream.recv(timeout=10) == b""
        info = stream.info()
    assert not peer.errors
    assert (int(info["bytes_in"]), int(info["bytes_out"])) == (MANY, MANY)


def test_a_peer_that_does_not_read_stops_us(topo: Topology, connect: Open) -> None:
    may_read, result = threading.Event(), []

    def late_reader(sock: socket.socket) -> None:
        may_read.wait(30)
        digest = hashlib.sha256()
        while data := sock.recv(1 << 18):
            digest.update(data)
        result.append(digest.hexdigest())

    with KernelPeer(topo, "srv", topo.srv_ip, late_reader) as peer:
        stream = connect(peer)
        rest = memoryview(b"".join(patterned(MANY)))
        while True:
            count = stream.send(rest)
            rest = rest[count:]
            if not count:
                with pytest.raises(TimeoutError):
                    stream.recv(timeout=0.3)  # lets the engine work
                if not (count := stream.send(rest)):
                    break
                rest = rest[count:]
        assert 0 < len(rest) < MANY, "the buffers are bounded"
        with pytest.raises(TimeoutError):
            stream.send_all(b"x", 0.1)  # no room, so nothing of it was taken
        may_read.set()
        stream.send_all(rest, 30)
        stream.shutdown_write()
        assert stream.recv(timeout=20) == b""
    assert result == [patterned_hash(MANY)]


def test_when_we_do_not_read_the_peer_has_to_wait(topo: Topology, connect: Open) -> None:
    sent = [0]

    def sender(sock: socket.socket) -> None:
        for piece in patterned(MANY):
            for at in range(0, len(piece), 16384):
                sock.sendall(piece[at:at + 16384])
                sent[0] += len(piece[at:at + 16384])

    with KernelPeer(topo, "srv", topo.srv_ip, sender) as peer:
        stream = connect(peer, config=EngineConfig(rcvbuf_len=1 << 18))
        before = -1
        while sent[0] != before:  # until the peer is stuck; the engine works, nobody reads
            before = sent[0]
            stream._runtime.step()
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                stream._runtime.step()
        assert sent[0] < MANY, "the window is closed"
        digest, got, buffer = hashlib.sha256(), 0, bytearray(1 << 18)
        while count := stream.recv_into(buffer, 20):
            digest.update(memoryview(buffer)[:count])
            got += count
    assert (got, digest.hexdigest()) == (MANY, patterned_hash(MANY))


def test_streams_of_one_runtime_progress_together(topo: Topology) -> None:
    with KernelPeer(topo, "srv", topo.srv_ip, echo) as peer, topo.entered("cli"):
        with Runtime(EngineConfig(), XdpOptions(topo.cli_if)) as runtime:
            streams = [Stream.connect(topo.srv_ip, peer.port, transport=kind, runtime=runtime)
                       for kind in ("xdp", "socket", "xdp")]
            for number, stream in enumerate(streams):
                stream.send_all(b"stream %d" % number)
            for number, stream in reversed(list(enumerate(streams))):
                assert stream.recv(timeout=5) == b"stream %d" % number
            for stream in streams:
                stream.close()
                assert stream.closed is not None
                assert stream.closed.error == 0


# ---- TLS and WebSocket by others, over the stream -------------------------------------------------------------------


class TlsOverStream:
    """pyOpenSSL on its memory BIO; ciphertext goes by the stream."""

    def __init__(self, stream: Stream, ca: str) -> None:
        self.stream = stream
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(ca)
        context.set_verify(SSL.VERIFY_PEER)
        self.tls = SSL.Connection(context, None)
        self.tls.set_connect_state()
        self._buffer = bytearray(65536)
        self._through(self.tls.do_handshake)

    def _flush(self) -> None:
        while True:
            try:
                self.stream.send_all(self.tls.bio_read(65536), 10)
            except SSL.WantReadError:
                return

    def _through(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                result = call()
                self._flush()
                return result
            except SSL.WantReadError:
                self._flush()
                count = self.stream.recv_into(self._buffer, 20)
                if count:
                    self.tls.bio_write(bytes(self._buffer[:count]))
                else:
                    self.tls.bio_shutdown()

    def recv(self) -> bytes:
        try:
            return bytes(self._through(lambda: self.tls.recv(65536)))
        except SSL.ZeroReturnError:
            return b""

    def send(self, data: bytes) -> None:
        self._through(lambda: self.tls.sendall(data))


def play_by_wsproto(tls: TlsOverStream, host: str) -> tuple[FeedDigest, int]:
    """Upgrade, all messages, the close handshake; digest of the messages and the close code."""
    ws, digest, message = WSConnection(ConnectionType.CLIENT), FeedDigest(), bytearray()
    tls.send(ws.send(Request(host=host, target="/")))
    accepted = False
    while True:
        data = tls.recv()
        assert data, "the server ended without a close frame"
        ws.receive_data(data)
        for event in ws.events():
            if isinstance(event, AcceptConnection):
                accepted = True
            elif isinstance(event, Ping):
                tls.send(ws.send(event.response()))
            elif isinstance(event, CloseConnection):
                tls.send(ws.send(event.response()))
                assert accepted
                return digest, int(event.code)
            elif isinstance(event, TextMessage | BytesMessage):
                message += event.data.encode() if isinstance(event, TextMessage) else event.data
                if event.message_finished:
                    digest.update(bytes(message))
                    message.clear()


def by_the_c_path(topo: Topology, sim: PeerProcess, transport: Any) -> FeedDigest:
    digest = FeedDigest()
    with topo.entered("cli"), Client(sim.url, lambda msg: digest.update(msg.data), transport=transport,
                                     interface=topo.cli_if if transport == "xdp" else None, busy_poll=False,
                                     tls=TlsOptions(ca_file=str(sim.ca))) as client:
        client.run(60)
        assert client.sessions[0].error is None
    return digest


@pytest.mark.parametrize("source", ["synthetic", "binance_spot_4sym_20211012", "upbit_binary_20210417"])
def test_tls_by_pyopenssl_over_the_stream(topo: Topology, connect: Open, source: str) -> None:
    options = ["--count", "3000", "--fragment", "random", "--records", "random"]
    if source != "synthetic":
        if not feed(source).exists():
            pytest.skip(f"no recorded feed {feed(source)}; set XDPWS_FEEDS to the folder that has them")
        source, options = str(feed(source)), ["--records", "coalesce:7"]
    with sim_process(source, "--speed", "max", "--listen", f"{topo.srv_ip}:0", *options, netns=topo.srv_ns) as sim:
        stream = connect(sim)
        digest, code = play_by_wsproto(TlsOverStream(stream, str(sim.ca)), f"{topo.srv_ip}:{sim.port}")
        transport = stream.transport
        stream.close()
        straight = by_the_c_path(topo, sim, transport)
    assert code == 1000
    assert (digest.messages, digest.hexdigest()) == (sim.ready["messages"], sim.ready["rx_sha256"])
    assert (straight.messages, straight.hexdigest()) == (digest.messages, digest.hexdigest())
