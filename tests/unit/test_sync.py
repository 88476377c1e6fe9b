"""The blocking face against a server by the `websockets` library."""
from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.server import ServerProtocol
from websockets.sync.server import ServerConnection, serve

from xdpws import sync
from xdpws.aio.state import State
from xdpws.config import Keepalive
from xdpws.errors import ConcurrencyError, ConnectError, ConnectionClosedError, ConnectionClosedOK, UsageError


@contextmanager
def server(handler: Any) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0, max_size=1 << 26) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{made.socket.getsockname()[1]}/"
        finally:
            made.shutdown()
            thread.join()


def echo(ws: ServerConnection) -> None:
    for message in ws:
        ws.send(message)


def test_text_and_binary_come_back() -> None:
    with server(echo) as url, sync.connect(url, max_size=1 << 24) as ws:
        assert ws.transport == "socket"
        ws.send("é")
        ws.send(b"\x00\xff" * 1_000_000)
        assert ws.recv(10) == "é"
        assert ws.recv(30) == b"\x00\xff" * 1_000_000
        assert ws.close_code is None
    assert ws.close_code == 1000


def test_recv_timeout_loses_nothing() -> None:
    with server(echo) as url, sync.connect(url) as ws:
        with pytest.raises(TimeoutError):
            ws.recv(0.05)
        ws.send("later")
        assert ws.recv(10) == "later"


def test_iteration_ends_with_an_orderly_close() -> None:
    def three(ws: ServerConnection) -> None:
        for word in ("a", "b", "c"):
            ws.send(word)

    with server(three) as url, sync.connect(url) as ws:
        assert list(ws) == ["a", "b", "c"]
        with pytest.raises(ConnectionClosedOK):
            ws.recv(5)


def test_error_close_is_raised_with_its_code() -> None:
    def refuse(ws: ServerConnection) -> None:
        ws.close(1011, "broken")

    with server(refuse) as url, sync.connect(url) as ws, pytest.raises(ConnectionClosedError) as caught:
        ws.recv(5)
    assert (caught.value.code, caught.value.reason) == (1011, "broken")


def test_ping_is_answered_while_the_caller_does_nothing() -> None:
    """The connection's own thread answers the server's ping."""
    answered = threading.Event()

    def pinger(ws: ServerConnection) -> None:
        if ws.ping().wait(10):
            answered.set()
        echo(ws)

    with server(pinger) as url, sync.connect(url) as ws:
        assert answered.wait(10)
        assert 0 < ws.ping().result(10) < 10
        assert ws.latency > 0


def test_many_threads_send_on_one_connection() -> None:
    with server(echo) as url, sync.connect(url, max_queue=1000) as ws:
        threads = [threading.Thread(target=lambda n=n: [ws.send(f"{n}-{i}") for i in range(50)]) for n in range(4)]
        for thread in threads:
            thread.start()
        got = [ws.recv(10) for _ in range(200)]
        for thread in threads:
            thread.join()
    for n in range(4):
        assert [m for m in got if m.startswith(f"{n}-")] == [f"{n}-{i}" for i in range(50)]


def test_refused_connection_leaves_no_thread() -> None:
    with pytest.raises(ConnectError):
        sync.connect("ws://127.0.0.1:9/")
    assert "xdpws connection" not in {thread.name for thread in threading.enumerate()}


def test_close_may_be_repeated() -> None:
    with server(echo) as url:
        ws = sync.connect(url)
        ws.close()
        ws.close()
        with pytest.raises(ConnectionClosedOK):
            ws.recv(1)


def test_names_of_the_asyncio_face() -> None:
    with server(echo) as url, sync.connect(url, stamps=True, additional_headers={"X-A": "b"}) as ws:
        ws.send(["in ", "frames"])
        assert ws.recv(decode=False) == b"in frames"
        ws.send(b"as text", text=True)
        assert list(ws.recv_streaming()) == ["as text"]
        assert ws.stamps is not None
        assert ws.request is not None
        assert ws.request.headers["X-A"] == "b"
        assert ws.response is not None
        assert ws.response.status_code == 101
        assert ws.state is State.OPEN
        assert ws.local_address[0] == ws.remote_address[0] == "127.0.0.1"
        assert ws.info()["local_port"] == ws.local_address[1]
        assert ws.wait_closed(0.01) is False
        waiter = ws.ping()
        assert waiter.wait(10)
        assert waiter.is_set()
        assert not waiter.cancelled()
    assert ws.wait_closed() is True
    assert ws.state is State.CLOSED
    assert ws.info() == {}


def test_pong_that_never_comes_is_told() -> None:
    def deaf() -> None:
        """The handshake, then one byte of what comes, then the end."""
        peer = listener.accept()[0]
        protocol = ServerProtocol()
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += peer.recv(4096)
        protocol.receive_data(request)
        protocol.send_response(protocol.accept(protocol.events_received()[0]))  # type: ignore[arg-type]
        for piece in protocol.data_to_send():
            peer.sendall(piece)
        peer.recv(1)
        peer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=deaf)
        thread.start()
        with sync.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/") as ws:
            waiter = ws.ping()
            assert waiter.wait(10) is False
            with pytest.raises(ConnectionClosedError):
                waiter.result(10)
        thread.join()


def test_a_call_from_the_connections_own_thread_is_refused() -> None:
    caught: list[Exception] = []

    def beat() -> str:
        try:
            ws.send("would wait for itself")
        except Exception as error:
            caught.append(error)
        return "beat"

    with server(echo) as url, sync.connect(url, keepalive=Keepalive(beat, interval_s=0.02)) as ws:
        assert ws.recv(10) == "beat"
    assert isinstance(caught[0], UsageError)
    assert "would wait for itself" in str(caught[0])


def test_two_receivers_are_refused() -> None:
    with server(echo) as url, sync.connect(url) as ws:
        threads = [threading.Thread(target=lambda: results.append(_try(ws))) for _ in range(2)]
        results: list[Any] = []
        for thread in threads:
            thread.start()
        while not results:
            threads[0].join(0.01)
        ws.send("for the other")
        for thread in threads:
            thread.join()
    assert {type(each) for each in results} == {ConcurrencyError, str}


def _try(ws: sync.ClientConnection) -> Any:
    try:
        return ws.recv(10)
    except ConcurrencyError as error:
        return error


def test_a_flood_through_a_small_queue_comes_whole_and_in_order() -> None:
    """Messages that wait are taken without crossing over to the connection's thread, which goes on by itself."""
    def flood(ws: ServerConnection) -> None:
        for i in range(30_000):
            ws.send(str(i))

    with server(flood) as url, sync.connect(url, max_queue=(8, 2)) as ws:
        assert [int(each) for each in ws] == list(range(30_000))


def test_timeouts_of_no_length_lose_nothing() -> None:
    def slowly(ws: ServerConnection) -> None:
        for i in range(300):
            ws.send(str(i))
            pause.wait(0.0005 if i % 3 else 0)

    pause = threading.Event()  # never set
    with server(slowly) as url, sync.connect(url, max_queue=4) as ws:
        got: list[int] = []
        late = 0
        while len(got) < 300:
            try:
                got.append(int(ws.recv(0.0001)))
            except TimeoutError:
                late += 1
        assert got == list(range(300))


def test_what_is_no_text_ends_it() -> None:
    with server(echo) as url, sync.connect(url) as ws:
        ws.send(b"\xff")
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv(10, decode=True)
        assert isinstance(caught.value.__cause__, UnicodeDecodeError)
        assert ws.wait_closed(10)
