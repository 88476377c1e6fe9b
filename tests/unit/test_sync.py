"""The blocking face against a server by the `websockets` library."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from xdpws import sync
from xdpws.errors import ConnectError, ConnectionClosedError, ConnectionClosedOK


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
