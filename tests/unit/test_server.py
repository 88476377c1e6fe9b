"""`xdpws.serve` against our own client, the `websockets` client, raw sockets, and the ends of its life."""
from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets.asyncio.client as theirs
import websockets.exceptions as their_errors
from aiolib import dial, run, until

import xdpws
from xdpws.aio import server as server_module
from xdpws.aio.driver import _drivers
from xdpws.aio.server_connection import ServerConnection
from xdpws.aio.state import State
from xdpws.config import DeflateOptions, TlsOptions
from xdpws.errors import ConnectionClosedError, ConnectionClosedOK, InvalidStatus, NegotiationError, UsageError
from xdpws.http import Request, Response
from xdpws.sim.cert import CertificateFiles, make_certificate


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def serving(handler: Any = echo, **options: Any) -> AsyncIterator[tuple[xdpws.Server, str]]:
    """A server of ours on loopback; gives it and its URL."""
    async with xdpws.serve(handler, "127.0.0.1", 0, **options) as running:
        port = running.sockets[0].getsockname()[1]
        yield running, f"{'wss' if options.get('ssl') else 'ws'}://127.0.0.1:{port}/"
    while _drivers.get(asyncio.get_running_loop()):
        await asyncio.sleep(0.002)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_certificate(tmp_path_factory.mktemp("cert"), ("127.0.0.1", "localhost"))


async def drained(ws: xdpws.ClientConnection) -> None:
    """Receive until it ends."""
    while True:
        await ws.recv()


PAYLOADS = ["", "text", "žluťoučký kůň 🐎", b"", b"\x00\xff", "x" * 70_000, os.urandom(900_000)]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_echo_to_our_client_and_to_websockets(files: CertificateFiles, secure: bool, compression: Any) -> None:
    async def main() -> None:
        tls = TlsOptions(cert_file=str(files.cert), key_file=str(files.key)) if secure else None
        async with serving(ssl=tls, compression=compression) as (_, url):
            async with dial(url, compression=compression, tls=TlsOptions(ca_file=str(files.ca))) as ours:
                for message in PAYLOADS:
                    await ours.send(message)
                    assert await ours.recv() == message
                assert ours.response is not None
                assert ("Sec-WebSocket-Extensions" in ours.response.headers) is bool(compression)
                assert ours.info()["tls_version"] == (13 if secure else 0)
            context = ssl.create_default_context(cafile=str(files.ca)) if secure else None
            async with theirs.connect(url, ssl=context, compression=compression, max_size=None) as peer:
                for message in PAYLOADS:
                    await peer.send(message)
                    assert await peer.recv() == message
                await peer.send(iter(["in ", "three ", "frames"]))
                assert await peer.recv() == "in three frames"
                assert await (await peer.ping()) > 0

    run(main())


def test_what_a_handler_sees() -> None:
    seen: list[Any] = []

    async def note(ws: ServerConnection) -> None:
        assert ws.request is not None
        assert ws.response is not None
        seen.append((ws.request.path, ws.request.headers["X-Key"], ws.response.status_code, ws.subprotocol,
                     ws.remote_address, ws.local_address, ws.state, ws.transport))
        assert await (await ws.ping()) > 0
        assert ws in ws.server.connections
        await ws.send(b"done")

    async def main() -> None:
        async with serving(note, subprotocols=["b", "a"]) as (server, url):
            async with dial(url + "chat?x=1", additional_headers={"X-Key": "k"}, subprotocols=["a", "b"]) as ws:
                assert await ws.recv() == b"done"
                assert ws.subprotocol == "b"
                assert ws.response is not None
                assert ws.response.headers["Server"] == "xdpws"
                assert "Date" in ws.response.headers
                with pytest.raises(ConnectionClosedOK):
                    await ws.recv()
                await until(lambda: not server.connections)
                assert seen == [("/chat?x=1", "k", 101, "b", ws.local_address, ws.remote_address, State.OPEN, "socket")]

    run(main())


def test_handler_that_raises_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(ws: ServerConnection) -> None:
        raise RuntimeError("of the test")

    async def main() -> None:
        async with serving(broken) as (_, url), dial(url) as ws:
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1011

    run(main())
    assert "connection handler failed" in caplog.text
    assert "of the test" in caplog.text


# ---- the handshake -----------------------------------------------------------------------------------------------


async def page(ws: ServerConnection, request: Request) -> Response | None:
    await asyncio.sleep(0)
    if request.path == "/health":
        return ws.respond(200, "OK\n")
    if request.path == "/secret":
        response = ws.respond(401, "who are you?\n")
        response.headers["WWW-Authenticate"] = "Basic"
        return response
    return None


async def http_get(url: str, path: str, more: str = "") -> bytes:
    host, port = url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


def test_process_request_may_answer_instead() -> None:
    async def main() -> None:
        async with serving(process_request=page) as (_, url):
            answer = await http_get(url, "/health")
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\nOK\n")
            with pytest.raises(InvalidStatus) as caught:
                await dial(url + "secret")
            assert caught.value.response.status_code == 401
            assert caught.value.response.headers["WWW-Authenticate"] == "Basic"
            assert caught.value.response.body == b"who are you?\n"
            async with dial(url) as ws:
                await ws.send("through")
                assert await ws.recv() == "through"

    run(main())


def test_process_response_may_add_and_replace() -> None:
    def change(ws: ServerConnection, request: Request, response: Response) -> Response | None:
        if request.path == "/no":
            return ws.respond(403, "no\n")
        response.headers["Set-Cookie"] = "a=b"
        del response.headers["Server"]
        response.headers["Server"] = "mine"
        return None

    async def main() -> None:
        async with serving(process_response=change) as (_, url):
            async with dial(url) as ws:
                assert ws.response is not None
                assert (ws.response.headers["Set-Cookie"], ws.response.headers["Server"]) == ("a=b", "mine")
            with pytest.raises(InvalidStatus, match="403"):
                await dial(url + "no")

    run(main())


@pytest.mark.parametrize("hook", ["process_request", "process_response", "select_subprotocol"])
def test_hooks_that_fail_are_logged_and_answered_with_500(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("of the test")

    async def main() -> None:
        async with serving(**{hook: broken}) as (_, url):
            with pytest.raises(InvalidStatus) as caught:
                await dial(url, subprotocols=["x"])
            assert caught.value.response.status_code == 500

    run(main())
    assert f"{hook} failed" in caplog.text


@pytest.mark.parametrize(("allowed", "origin", "fine"), [
    (["https://a"], "https://a", True), (["https://a"], "https://b", False), (["https://a"], None, False),
    ([None], None, True), ([None, "https://a"], "https://a", True),
    ([re.compile(r"https://.*\.b")], "https://x.b", True),
    ([re.compile(r"https://.*\.b")], "https://x.b.evil", False), (None, "https://whatever", True),
])
def test_origins(allowed: Any, origin: str | None, fine: bool) -> None:
    async def main() -> None:
        async with serving(origins=allowed) as (_, url):
            if fine:
                async with dial(url, origin=origin):
                    return
            with pytest.raises(InvalidStatus) as caught:
                await dial(url, origin=origin)
            assert caught.value.response.status_code == 403

    run(main())


def test_select_subprotocol() -> None:
    def select(ws: ServerConnection, offered: Any) -> str | None:
        if "never" in offered:
            raise NegotiationError("nothing suits")
        return offered[-1] if offered else None

    async def main() -> None:
        async with serving(select_subprotocol=select) as (_, url):
            async with dial(url, subprotocols=["a", "b"]) as ws:
                assert ws.subprotocol == "b"
            async with dial(url) as ws:
                assert ws.subprotocol is None
            with pytest.raises(InvalidStatus, match="400"):
                await dial(url, subprotocols=["never"])

    run(main())


@pytest.mark.parametrize(("request_text", "status", "field"), [
    ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426, b"Upgrade: websocket"),
    ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405, b"Allow: GET"),
    ("GET / HTTP/1.0\r\nHost: x\r\n\r\n", 505, b"Content-Type"),
    ("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400, b"Content-Type"),
])
def test_requests_that_are_no_upgrade(request_text: str, status: int, field: bytes) -> None:
    async def main() -> None:
        async with serving() as (_, url):
            host, port = url.split("/")[2].split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request_text.encode())
            answer = await reader.read()
            writer.close()
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            assert field in answer
            assert b"Failed to open a WebSocket connection" in answer

    run(main())


def test_requests_that_never_end_and_hooks_that_do_not_return_are_cut() -> None:
    async def forever(ws: ServerConnection, request: Request) -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        async with serving(open_timeout=0.2, process_request=forever) as (server, url):
            host, port = url.split("/")[2].split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            with pytest.raises(xdpws.errors.WebSocketException):
                await dial(url, open_timeout=5)
            writer.close()
            await until(lambda: not server._tasks)

    run(main())


# ---- limits ------------------------------------------------------------------------------------------------------


def test_messages_are_bounded_inflated_too() -> None:
    async def main() -> None:
        async with serving(max_size=1000) as (_, url):
            for compression, message in ((None, b"x" * 1001), ("deflate", b"x" * 100_000)):
                async with theirs.connect(url, compression=compression) as peer:
                    await peer.send(message)
                    with pytest.raises(their_errors.ConnectionClosedError) as caught:
                        await peer.recv()
                    assert caught.value.rcvd is not None
                    assert caught.value.rcvd.code == 1009

    run(main())


def test_a_slow_handler_holds_the_client_back_and_loses_nothing() -> None:
    got: list[bytes] = []
    go = asyncio.Event()

    async def slow(ws: ServerConnection) -> None:
        await go.wait()
        async for message in ws:
            assert isinstance(message, bytes)
            got.append(message[:4])

    async def main() -> None:
        async with serving(slow, max_queue=2) as (_, url), dial(url) as ws:
            sent = 0

            async def flood() -> None:
                nonlocal sent
                for i in range(400):
                    await ws.send(i.to_bytes(4, "big") + bytes(60_000))
                    sent += 1

            task = asyncio.create_task(flood())
            last = -1
            while last != sent:
                last = sent
                await asyncio.sleep(0.1)
            assert sent < 300
            go.set()
            await task
            await until(lambda: len(got) == 400)
            assert got == [i.to_bytes(4, "big") for i in range(400)]

    run(main())


# ---- broadcast and shutdown --------------------------------------------------------------------------------------


def test_broadcast_reaches_all_that_are_open() -> None:
    async def main() -> None:
        async with serving() as (server, url):
            clients = [await dial(url) for _ in range(20)]
            await until(lambda: len(server.connections) == 20)
            xdpws.broadcast(server.connections, "to all")
            xdpws.broadcast(server.connections, b"as text", text=True)
            for ws in clients:
                assert await ws.recv() == "to all"
                assert await ws.recv() == "as text"
            await clients[0].close()
            await until(lambda: len(server.connections) == 19)
            xdpws.broadcast(server.connections, "to the rest")
            assert [await ws.recv() for ws in clients[1:]] == ["to the rest"] * 19
            with pytest.raises(TypeError):
                xdpws.broadcast(server.connections, 7)  # type: ignore[arg-type]
            for ws in clients:
                await ws.close()

    run(main())


def test_broadcast_gives_up_on_a_client_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "BROADCAST_LIMIT", 1 << 20)

    async def main() -> None:
        async with serving(close_timeout=0.5) as (server, url), dial(url, max_queue=1) as deaf, dial(url) as fine:
            await until(lambda: len(server.connections) == 2)
            for _ in range(400):
                xdpws.broadcast(server.connections, bytes(60_000))
                assert len(await fine.recv()) == 60_000
            await until(lambda: len(server.connections) == 1)
            with pytest.raises(ConnectionClosedError):
                await drained(deaf)

    run(main(), 60)


def test_close_says_going_away_and_waits_for_handlers() -> None:
    order: list[str] = []

    async def linger(ws: ServerConnection) -> None:
        await ws.wait_closed()
        await asyncio.sleep(0.05)
        order.append("handler")

    async def main() -> None:
        async with serving(linger) as (server, url):
            ws = await dial(url)
            await until(lambda: server.connections)
            server.close(reason="over")
            assert not server.is_serving()
            assert server.sockets == ()
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "over")
            await server.wait_closed()
            order.append("server")
            with pytest.raises(xdpws.errors.ConnectError):
                await dial(url)
        assert order == ["handler", "server"]

    run(main())


def test_close_may_leave_connections_alone() -> None:
    async def main() -> None:
        async with serving() as (server, url):
            ws = await dial(url)
            await until(lambda: server.connections)
            server.close(close_connections=False)
            await ws.send("still")
            assert await ws.recv() == "still"
            await ws.close()
            await server.wait_closed()

    run(main())


def test_requests_during_the_shutdown_get_503() -> None:
    go = asyncio.Event()

    async def wait(ws: ServerConnection, request: Request) -> None:
        await go.wait()

    async def main() -> None:
        async with serving(process_request=wait) as (server, url):
            dialing = asyncio.create_task(dial(url)._open())
            await until(lambda: server._tasks)
            await asyncio.sleep(0.05)
            server.close()
            go.set()
            with pytest.raises(InvalidStatus) as caught:
                await dialing
            assert caught.value.response.status_code == 503

    run(main())


def test_serve_forever_is_ended_by_cancelling_and_by_close() -> None:
    async def main() -> None:
        for how in ("cancel", "close"):
            server = await xdpws.serve(echo, "127.0.0.1", 0, start_serving=False)
            assert not server.is_serving()
            task = asyncio.create_task(server.serve_forever())
            await until(server.is_serving)
            ws = await dial(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            if how == "cancel":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                server.close()
                await task
            await ws.wait_closed()
            assert ws.close_code == 1001

    run(main())


def test_unix_socket(tmp_path: Path) -> None:
    async def main() -> None:
        async with xdpws.unix_serve(echo, tmp_path / "ws.sock"):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(tmp_path / "ws.sock"))
            async with dial("ws://localhost/", sock=sock) as ws:
                await ws.send("by path")
                assert await ws.recv() == "by path"
                assert ws.remote_address == str(tmp_path / "ws.sock")
            async with theirs.unix_connect(str(tmp_path / "ws.sock")) as peer:
                await peer.send("theirs")
                assert await peer.recv() == "theirs"

    run(main())


def test_ipv6() -> None:
    async def main() -> None:
        async with xdpws.serve(echo, "::1", 0) as server:
            async with theirs.connect(f"ws://[::1]:{server.sockets[0].getsockname()[1]}/") as peer:
                await peer.send("six")
                assert await peer.recv() == "six"

    run(main())


def client_certificate(folder: Path) -> tuple[str, str]:
    """A certificate that signs itself, for clients, and its key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=client", "-addext", "extendedKeyUsage=clientAuth", "-days", "2",
                    "-out", str(folder / "client.pem"), "-keyout", str(folder / "client.key")],
                   check=True, capture_output=True)
    return str(folder / "client.pem"), str(folder / "client.key")


def test_client_certificates(files: CertificateFiles, tmp_path: Path) -> None:
    async def main() -> None:
        cert, key = client_certificate(tmp_path)
        tls = TlsOptions(cert_file=str(files.cert), key_file=str(files.key), ca_file=cert)
        async with serving(ssl=tls) as (_, url):
            ours = TlsOptions(ca_file=str(files.ca), cert_file=cert, key_file=key)
            async with dial(url, tls=ours) as ws:
                await ws.send("known")
                assert await ws.recv() == "known"
            with pytest.raises(xdpws.WebSocketException):
                async with dial(url, tls=TlsOptions(ca_file=str(files.ca))) as ws:
                    await ws.recv()

    run(main())


@pytest.mark.parametrize("how", ["one", "several", "function", "coroutine"])
def test_basic_auth(how: str) -> None:
    async def check(user: str, password: str) -> bool:
        return (user, password) == ("me", "pass:word")

    options: dict[str, dict[str, Any]] = {
        "one": {"credentials": ("me", "pass:word")}, "several": {"credentials": [("you", "x"), ("me", "pass:word")]},
        "function": {"check_credentials": lambda user, password: user == "me"},
        "coroutine": {"check_credentials": check}}

    async def name(ws: ServerConnection) -> None:
        await ws.send(ws.username)

    async def main() -> None:
        async with serving(name, process_request=xdpws.basic_auth("r", **options[how])) as (_, url):
            async with dial(url.replace("ws://", "ws://me:pass%3Aword@")) as ws:
                assert await ws.recv() == "me"
            for wrong in (url, url.replace("ws://", "ws://you:pass%3Aword@")):
                with pytest.raises(InvalidStatus) as caught:
                    await dial(wrong)
                assert caught.value.response.headers["WWW-Authenticate"] == 'Basic realm="r", charset="UTF-8"'

    run(main())
    with pytest.raises(TypeError):
        xdpws.basic_auth("r")


def test_wrong_usage_is_told_at_once(files: CertificateFiles) -> None:
    for options in ({"ssl": ssl.create_default_context()}, {"ssl": TlsOptions()}, {"max_queue": 0}, {"max_size": 0},
                    {"subprotocols": "abc"}, {"compression": "gzip"}):
        with pytest.raises(UsageError):
            xdpws.serve(echo, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a port"):
        xdpws.serve(echo, "127.0.0.1")
    with pytest.raises(UsageError, match="not been started"):
        xdpws.serve(echo, "127.0.0.1", 0).get_loop()


def test_deflate_options_of_a_server() -> None:
    async def main() -> None:
        options = DeflateOptions(server_no_context_takeover=True, server_max_window_bits=10)
        async with serving(compression=options) as (_, url), dial(url, compression="deflate") as ws:
            assert ws.response is not None
            agreed = ws.response.headers["Sec-WebSocket-Extensions"]
            assert "server_no_context_takeover" in agreed
            await ws.send("a" * 5000)
            assert await ws.recv() == "a" * 5000

    run(main())


def test_many_clients_and_messages_longer_than_the_send_ring() -> None:
    """More sockets than the engine asks blindly: what does not fit goes on as soon as there is room."""
    async def main() -> None:
        async with serving(compression=None, max_size=None) as (server, url):
            clients = [await dial(url, max_size=None) for _ in range(24)]
            messages = [os.urandom(1_500_000 + i) for i in range(len(clients))]

            async def talk(ws: xdpws.ClientConnection, message: bytes) -> None:
                sending = asyncio.create_task(ws.send(message))
                assert await ws.recv() == message
                await sending

            await asyncio.gather(*map(talk, clients, messages))
            await until(lambda: len(server.connections) == 24)
            await asyncio.gather(*(ws.close() for ws in clients))

    run(main(), 60)
