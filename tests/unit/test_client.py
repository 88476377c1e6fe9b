"""`xdpws.Client` over loopback: callbacks and their order, what a message shows, exceptions, stop, sending."""
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed as TheirClosed
from websockets.sync.server import ServerConnection, serve

import xdpws
from xdpws.config import EngineConfig
from xdpws.digest import FeedDigest
from xdpws.errors import ConnectError, InvalidStatus, InvalidURI, TlsError, UsageError
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.server import Exchange


class Running:
    """What a test needs to know of an exchange in another thread."""

    def __init__(self, exchange: Exchange) -> None:
        self.url = exchange.url
        self.tls = xdpws.TlsOptions(ca_file=str(exchange.ca_file)) if exchange.ca_file else None
        self.messages = exchange.messages
        self.sha256 = exchange.expected_sha256()


@contextlib.contextmanager
def exchange(**settings: Any) -> Iterator[Running]:
    """The simulator in a thread of its own."""
    ready: list[Any] = []
    started = threading.Event()

    async def main() -> None:
        over = asyncio.Event()
        async with Exchange(ExchangeConfig(**{"count": 2000, "port": 0, "speed": None, **settings})) as made:
            ready.extend((Running(made), asyncio.get_running_loop(), over))
            started.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(20)
    try:
        yield ready[0]
    finally:
        ready[1].call_soon_threadsafe(ready[2].set)
        thread.join(20)


@contextlib.contextmanager
def peer(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """A server by the `websockets` library, in threads."""
    def quiet(ws: ServerConnection) -> None:
        with contextlib.suppress(TheirClosed):
            handler(ws)

    with serve(quiet, "127.0.0.1", 0, **{"compression": None, "max_size": None, **options}) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{running.socket.getsockname()[1]}/"
        finally:
            running.shutdown()
            thread.join(20)


def client(url: Any, on_message: Callable[[xdpws.Message], object], **options: Any) -> xdpws.Client:
    return xdpws.Client(url, on_message, **{"transport": "socket", "busy_poll": False, **options})


def echo(ws: ServerConnection) -> None:
    for message in ws:
        ws.send(message)


@pytest.mark.parametrize("busy_poll", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_feed_is_complete(plain: bool, busy_poll: bool) -> None:
    digest = FeedDigest()
    with exchange(plain=plain, records="per-message" if plain else "random") as sim:
        with client(sim.url, lambda m: digest.update(m.data), tls=sim.tls, busy_poll=busy_poll) as c:
            c.run()
            session = c.sessions[0]
    assert (digest.messages, digest.hexdigest()) == (sim.messages, sim.sha256)
    assert session.messages == sim.messages
    assert session.closed is not None
    assert (session.closed.code, session.closed.sent, session.closed.by_peer) == (1000, 1000, True)
    assert session.error is None
    assert session.info["tls_version"] == (0 if plain else 13)


def test_order_of_the_callbacks() -> None:
    seen: list[str] = []

    def script(ws: ServerConnection) -> None:
        ws.send("one")
        ws.ping(b"are you there").wait(10)
        ws.send(b"two")
        assert ws.recv() == "go"
        ws.close(1001, "over")

    def on_message(message: xdpws.Message) -> None:
        seen.append(f"message {message.text} {message.binary}")
        if message.binary:
            assert message.session.ping(b"mine")

    def on_pong(session: xdpws.Session, payload: bytes) -> None:
        seen.append(f"pong {payload!r}")
        assert session.send("go")

    with peer(script) as url:
        c = client(url, on_message, on_open=lambda s: seen.append(f"open {s.response.status_code}"),
                   on_close=lambda s: seen.append(f"close {s.closed.code} {s.closed.layer}"),
                   on_ping=lambda s, payload: seen.append(f"ping {payload!r}"), on_pong=on_pong)
        with c:
            c.run()
    assert seen == ["open 101", "message one False", "ping b'are you there'", "message two True", "pong b'mine'",
                    "close 1001 websocket"]


def test_what_a_message_shows_ends_with_its_callback() -> None:
    kept: list[Any] = []

    def on_message(message: xdpws.Message) -> None:
        assert isinstance(message.data, memoryview)
        assert message.data.readonly or message.data.nbytes == len(message)
        kept.append((message, message.data, bytes(message), message.text, repr(message), message.stamps))

    with exchange(count=3) as sim, client(sim.url, on_message, tls=sim.tls) as c:
        c.run()
    assert len(kept) == 3
    for message, view, data, text, shown, _ in kept:
        assert data.decode() == text
        assert shown == f"<Message text, {len(data)} bytes>"
        with pytest.raises(ValueError, match="released"):
            bytes(view)
        for use in (bytes, len, lambda m: m.text):
            with pytest.raises(ValueError, match="released"):
                use(message)
        assert repr(message) == "<Message text, its callback is over>"
        with pytest.raises(ValueError, match="only in its callback"):
            _ = message.stamps


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("all_stages", [False, True])
def test_stamps_are_in_order(plain: bool, all_stages: bool) -> None:
    seen: list[xdpws.Stamps] = []
    rounds = 0
    with exchange(plain=plain, count=500) as sim:
        before = time.monotonic_ns()
        # The kernel begins to stamp a moment after the first socket of the host has asked for it.
        while not any(s.kernel for s in seen) and time.monotonic_ns() - before < 20e9:
            rounds += 1
            with client(sim.url, lambda m: seen.append(m.stamps), tls=sim.tls,
                        config=EngineConfig(stamps=all_stages)) as c:
                c.run()
        after = time.monotonic_ns()
    assert len(seen) == 500 * rounds
    for s in seen:
        assert s.nic is None
        assert (s.decrypt_begin is None, s.decrypt_end is None) == (plain or not all_stages,) * 2
        assert (s.parsed is None) is not all_stages
        stages = [s.first, s.kernel, s.ring, s.decrypt_begin, s.decrypt_end, s.parsed, s.user]
        known = [at for at in stages if at is not None]
        assert known == sorted(known)
        assert s.ring is not None
        assert s.user is not None
        assert before <= known[0]
        assert known[-1] <= after
    assert any(s.kernel is not None for s in seen)


def test_an_exception_ends_run_and_nothing_is_lost() -> None:
    digest = FeedDigest()
    where: list[int] = []

    def on_message(message: xdpws.Message) -> None:
        digest.update(message.data)
        if digest.messages % 7 == 0:
            raise KeyError(digest.messages)

    with exchange(count=500) as sim, client(sim.url, on_message, tls=sim.tls) as c:
        while c.sessions[0].closed is None:
            try:
                c.run()
            except KeyError as error:
                where.append(error.args[0])
    assert where == list(range(7, 500, 7))
    assert digest.hexdigest() == sim.sha256


@pytest.mark.parametrize("where", ["on_open", "on_ping", "on_pong", "on_close"])
def test_an_exception_in_the_other_callbacks_too(where: str) -> None:
    def script(ws: ServerConnection) -> None:
        ws.ping(b"x").wait(10)
        ws.recv()
        ws.send("after")

    def ask(session: xdpws.Session) -> None:
        assert session.ping(b"y")
        assert session.send("go")

    def fails(*_: Any) -> None:
        if where == "on_open":
            ask(_[0])
        raise KeyError(where)

    got: list[str] = []
    callbacks: dict[str, Any] = {"on_open": ask, where: fails}
    with peer(script) as url, client(url, lambda m: got.append(m.text), **callbacks) as c:
        with pytest.raises(KeyError, match=where):
            c.run()
        c.run()
        assert c.sessions[0].closed is not None
    assert got == ["after"]


def test_stop_and_go_on() -> None:
    got: list[int] = []

    def on_message(message: xdpws.Message) -> None:
        got.append(len(message))
        if len(got) == 10:
            c.stop()

    with exchange(count=2000) as sim, client(sim.url, on_message, tls=sim.tls, config=EngineConfig(batch=4)) as c:
        c.run()
        assert 10 <= len(got) < 20
        assert c.sessions[0].closed is None
        c.run()
    assert len(got) == 2000


def test_seconds_end_run_and_the_connection_lives() -> None:
    def script(ws: ServerConnection) -> None:
        ws.recv()
        ws.send("late")

    got: list[str] = []
    with peer(script) as url, client(url, lambda m: got.append(m.text)) as c:
        began = time.monotonic()
        c.run(seconds=0.2)
        assert 0.2 <= time.monotonic() - began < 5
        assert got == []
        assert c.sessions[0].opened
        assert c.sessions[0].send("now")
        c.run()
        assert got == ["late"]


def test_waiting_beside_an_ended_connection_blocks() -> None:
    with peer(lambda ws: ws.recv()) as url:
        with peer(echo) as dead:
            pass
        with client([url, dead], print) as c:
            while not (c.sessions[0].opened and c.sessions[1].closed):
                c.run(0.05)
            before = c.runtime.engine.stats()["polls"]
            c.run(0.3)
            assert c.runtime.engine.stats()["polls"] - before < 20
            assert c.sessions[0].send("go")


def test_stop_from_another_thread_ends_the_wait() -> None:
    with peer(lambda ws: ws.recv()) as url, client(url, print) as c:
        while not c.sessions[0].opened:
            c.run(0.05)
        thread = threading.Timer(0.05, c.stop)
        thread.start()
        began = time.monotonic()
        c.run(30)
        assert time.monotonic() - began < 10
        thread.join(10)
        assert c.sessions[0].send("go")


def test_several_urls_and_one_that_fails() -> None:
    by_url: dict[str, FeedDigest] = {}

    def on_message(message: xdpws.Message) -> None:
        by_url.setdefault(message.session.uri.url, FeedDigest()).update(message.data)

    with exchange(plain=True, count=300) as first, exchange(plain=True, count=400, seed=9) as second:
        with peer(echo) as dead:
            pass
        urls = [first.url, dead, second.url]
        with client(urls, on_message) as c:
            c.run()
            errors = [session.error for session in c.sessions]
    assert by_url[first.url].hexdigest() == first.sha256
    assert by_url[second.url].hexdigest() == second.sha256
    assert isinstance(errors[1], ConnectError)
    assert errors[0] is errors[2] is None


def test_rejected_and_unverified_say_so() -> None:
    def refuse(ws: ServerConnection, request: Any) -> Any:
        return ws.respond(429, "slow down\n")

    with peer(echo, process_request=refuse) as url, client(url, print) as c:
        c.run()
        error = c.sessions[0].error
        assert isinstance(error, InvalidStatus)
        assert (error.response.status_code, error.response.body) == (429, b"slow down\n")
    with exchange() as sim, client(sim.url, print) as c:
        c.run()
        assert isinstance(c.sessions[0].error, TlsError)
        assert "certificate" in str(c.sessions[0].error)


def test_a_message_longer_than_the_send_buffer_follows_in_parts() -> None:
    """The rest goes while run() runs; until then there is no room for another one."""
    sizes: list[int] = []
    said: list[bool] = []

    def script(ws: ServerConnection) -> None:
        for message in ws:
            sizes.append(len(message))
            ws.send("got it")

    def on_open(session: xdpws.Session) -> None:
        said.append(session.send(bytes(20 << 20)))
        said.append(session.send("no room"))
        said.append(session.ping(b"no room"))

    def on_message(message: xdpws.Message) -> None:
        if len(sizes) == 1:
            assert message.session.send("second")
        else:
            message.session.close(1000, "done")

    with peer(script) as url, client(url, on_message, on_open=on_open) as c:
        c.run()
        assert c.sessions[0].closed is not None
        assert c.sessions[0].closed.code == 1000
    assert said == [True, False, False]
    assert sizes == [20 << 20, 6]


def test_wrong_use_is_told() -> None:
    with pytest.raises(UsageError, match="no URL"):
        client([], print)
    with pytest.raises(InvalidURI):
        client("https://x/", print)
    with exchange(count=5) as sim:
        errors: list[str] = []

        def on_message(message: xdpws.Message) -> None:
            for call in (c.run, c.close):
                try:
                    call()
                except UsageError as error:
                    errors.append(str(error))

        c = client(sim.url, on_message, tls=sim.tls)
        with pytest.raises(UsageError, match="is not open"):
            c.sessions[0].send("too early")
        c.run()
        with pytest.raises(UsageError, match="is not open"):
            c.sessions[0].ping()
        assert len(errors) == 10
        assert errors[0].startswith("run() was called from a callback")
        assert errors[1].startswith("close() was called from a callback")
        c.close()
        c.close()


def test_close_ends_in_order() -> None:
    codes: list[Any] = []

    def script(ws: ServerConnection) -> None:
        try:
            while True:
                ws.send("more")
        except TheirClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)

    with peer(script) as url:
        got: list[int] = []

        def on_message(message: xdpws.Message) -> None:
            got.append(1)
            c.stop()

        c = client(url, on_message)
        c.run()
        c.close(1001)
        session = c.sessions[0]
        assert session.closed is not None
        assert (session.closed.sent, session.closed.by_peer) == (1001, False)
    assert codes == [1001]


def test_engine_belongs_to_its_thread() -> None:
    caught: list[BaseException] = []
    with exchange(count=5) as sim, client(sim.url, lambda m: None, tls=sim.tls) as c:
        c.open()

        def elsewhere() -> None:
            try:
                c.run()
            except UsageError as error:
                caught.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(10)
        c.run()
    assert "thread" in str(caught[0])
    assert c.sessions[0].messages == 5


def test_a_compiled_handlers_result_ends_run_and_the_connection_lives() -> None:
    seen = 0

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
    def handler(events: int, count: int, context: int) -> int:
        nonlocal seen
        seen += count
        return int(seen >= 500)

    with exchange(rate=4000.0) as running, xdpws.Client(
            running.url, xdpws.CompiledHandler.of(handler), tls=running.tls) as client:
        begin = time.monotonic()
        client.run(20)
        assert 500 <= seen < running.messages
        assert time.monotonic() - begin < 10
        assert client.sessions[0].closed is None
        client.run(20)  # it says so again with the next messages
        assert seen > 500
