"""Proxies: their addresses, the environment's, and connections through each kind."""
from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiolib import dial, echo, raw_server, run, server, until
from hypothesis import given
from hypothesis import strategies as st
from proxylib import free_port, proxy
from websockets.exceptions import InvalidProxy as TheirInvalidProxy
from websockets.proxy import get_proxy
from websockets.proxy import parse_proxy as their_parse_proxy
from websockets.uri import parse_uri as their_parse_uri

import xdpws
from xdpws.config import TlsOptions
from xdpws.errors import (
    ConnectError,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    OpenTimeout,
    ProxyError,
    UsageError,
)
from xdpws.proxy import environment_proxy, parse_proxy
from xdpws.sim.cert import make_certificate
from xdpws.uri import parse_uri


@pytest.mark.parametrize("url", [
    "http://proxy:8080", "https://proxy", "socks5://u:p@proxy:1080", "socks5h://proxy:1080/", "http://u%40x:p%3Ay@proxy",
    "socks4a://proxy:9", "http://žlutý.cz:80",
])
def test_addresses_as_with_websockets(url: str) -> None:
    ours, theirs = parse_proxy(url), their_parse_proxy(url)
    assert (ours.scheme, ours.host, ours.username, ours.password) == (theirs.scheme, theirs.host, theirs.username,
                                                                     theirs.password)
    assert ours.port == (theirs.port if ":" in url.rpartition("@")[2][7:] or theirs.scheme == "https" or
                         theirs.scheme == "http" else 1080)
    assert "p%3Ay" not in str(ours)
    assert ":p@" not in str(ours)


@pytest.mark.parametrize("url", ["ftp://proxy", "http://", "http://proxy/path", "http://proxy?q=1", "http://proxy#f",
                                 "http://user@proxy", "http://proxy:99999", "proxy:8080", ""])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidProxy, match="isn't a valid proxy"):
        parse_proxy(url)
    with pytest.raises((TheirInvalidProxy, ValueError)):
        their_parse_proxy(url)
    with pytest.raises(InvalidProxy):
        xdpws.connect("ws://x/", proxy=url)


NAMES = ["ws_proxy", "wss_proxy", "socks_proxy", "https_proxy", "http_proxy", "HTTPS_PROXY", "no_proxy"]


@given(chosen=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(
    ["http://p:1", "socks5://p:2", "https://p:3", "*", "example.com", "example.com:443", ".com", ""])),
    secure=st.booleans())
def test_the_environment_as_with_websockets(chosen: dict[str, str], secure: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in [*NAMES, *(each.upper() for each in NAMES)]:
            patch.delenv(name, raising=False)
        for name, value in chosen.items():
            patch.setenv(name, value)
        url = f"{'wss' if secure else 'ws'}://example.com/"
        assert environment_proxy(parse_uri(url)) == (get_proxy(their_parse_uri(url)) or None)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_certificate(tmp_path_factory.mktemp("cert"), ("127.0.0.1", "localhost", "venue.test"))


def server_context(files: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    return context


async def talk(ws: xdpws.ClientConnection) -> None:
    for message in ("through", bytes(300_000)):
        await ws.send(message)
        assert await ws.recv() == message
    assert ws.transport == "socket"
    assert "proxy" in ws.transport_reason


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_through_a_proxy(files: Any, scheme: str, secure: bool) -> None:
    async def main() -> None:
        options = {"ssl": server_context(files)} if secure else {}
        async with server(echo, **options) as url, proxy(scheme, server_context(files) if scheme == "https" else None
                                                         ) as way:
            address = f"{scheme}://user:pass%3Aword@127.0.0.1:{way.port}"
            trust = ssl.create_default_context(cafile=str(files.ca))
            async with dial(url, proxy=address, proxy_ssl=trust, tls=TlsOptions(ca_file=str(files.ca))) as ws:
                await talk(ws)
                assert ws.remote_address is not None
            assert ws.close_code == 1000
            if scheme.startswith("http"):
                target = url.split("/")[2]
                assert way.asked == [target]
                token = base64.b64encode(b"user:pass:word").decode()
                assert f"Proxy-Authorization: Basic {token}".lower() in way.heads[0].lower()
                assert f"host: {target}" in way.heads[0].lower()
            else:
                assert way.users == [b"user:pass:word"]
                assert way.names == [bytes([127, 0, 0, 1])]

    run(main())


def test_names_are_left_to_the_proxy_and_certificates_bear_them(files: Any) -> None:
    """The name is not resolved here (it does not exist), and TLS verifies it at the far end of the tunnel."""
    async def main() -> None:
        async with server(echo, ssl=server_context(files)) as url:
            port = int(url.split(":")[2].strip("/"))
            for scheme in ("http", "socks5h"):
                async with proxy(scheme, target=port) as way:
                    async with dial("wss://venue.test/", proxy=f"{scheme}://127.0.0.1:{way.port}",
                                    tls=TlsOptions(ca_file=str(files.ca))) as ws:
                        await talk(ws)
                    assert way.asked == ["venue.test:443"] if scheme == "http" else way.names == [b"venue.test"]

    run(main())


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with server(echo) as url, proxy("http") as way:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{way.port}")
            async with dial(url) as ws:
                assert "of the environment" in ws.transport_reason
                await talk(ws)
            assert len(way.asked) == 1
            async with dial(url, proxy=None) as ws:
                assert ws.transport_reason == "socket was asked for"
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            async with dial(url):
                pass
            assert len(way.asked) == 1
            monkeypatch.delenv("no_proxy")
            with pytest.raises(UsageError, match=r"which AF_XDP cannot use; give proxy=None"):
                await xdpws.connect(url, transport="xdp", interface="xwnone0")

    run(main())


def test_a_proxy_given_for_af_xdp_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="needs transport='socket'"):
        xdpws.connect("ws://x/", transport="xdp", interface="xwnone0", proxy="http://p")


@pytest.mark.parametrize(("answer", "kind", "text"), [
    (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno",
     InvalidProxyStatus, "HTTP 407"),
    (b"HTTP/1.1 503 Busy\r\n\r\n", InvalidProxyStatus, "HTTP 503"),
    (b"SSH-2.0-x\r\n\r\n", InvalidProxyMessage, "did not answer CONNECT with HTTP"),
    (b"HTTP/1.1 200", InvalidProxyMessage, "without an answer"),
    (b"", InvalidProxyMessage, "without an answer"),
    (b"HTTP/1.1 200 OK\r\n\r\nextra", InvalidProxyMessage, "something behind its answer"),
])
def test_answers_that_connect_nobody(answer: bytes, kind: type[Exception], text: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with raw_server(speak) as (host, port):
            with pytest.raises(kind, match=text) as caught:
                await dial("ws://venue.test/", proxy=f"http://{host}:{port}")
        if isinstance(caught.value, InvalidProxyStatus):
            assert caught.value.response.status_code in (407, 503)

    run(main())


def test_proxies_that_are_not_there_refuse_or_say_nothing() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        for scheme in ("http", "socks5"):
            with pytest.raises(ConnectError, match="connect to the proxy"):
                await dial("ws://venue.test/", proxy=f"{scheme}://127.0.0.1:{free_port()}")
            async with raw_server(mute) as (host, port):
                with pytest.raises(OpenTimeout, match="proxy"):
                    await dial("ws://venue.test/", proxy=f"{scheme}://{host}:{port}", open_timeout=0.2)
        async with proxy("socks5", answer=b"no") as way:
            with pytest.raises(ProxyError, match="did not connect us"):
                await dial("ws://127.0.0.1:9/", proxy=f"socks5://127.0.0.1:{way.port}")

    run(main())


def test_cancelling_while_a_proxy_is_asked_leaves_nothing(files: Any) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        gone.set()
        writer.close()

    async def main() -> None:
        async with raw_server(mute) as (host, port):
            task = asyncio.create_task(dial("ws://venue.test/", proxy=f"http://{host}:{port}")._open())
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()

    asked, gone = asyncio.Event(), asyncio.Event()
    run(main())


def test_the_relay_of_an_https_proxy_ends_with_either_side(files: Any) -> None:
    async def main() -> None:
        async with server(echo) as url, proxy("https", server_context(files)) as way:
            trust = ssl.create_default_context(cafile=str(files.ca))
            ws = await dial(url, proxy=f"https://127.0.0.1:{way.port}", proxy_ssl=trust)
            await talk(ws)
            ws.abort()
            await ws.wait_closed()
            await until(lambda: not [t for t in asyncio.all_tasks() if t.get_name() == "xdpws relay"])

    run(main())


def test_reconnecting_through_a_proxy(tmp_path: Path) -> None:
    async def once(ws: Any) -> None:
        await ws.send("hello")

    async def main() -> None:
        async with server(once) as url, proxy("http") as way:
            count = 0
            async for ws in dial(url, proxy=f"http://127.0.0.1:{way.port}",
                                 backoff=xdpws.Backoff(first_s=0.01, cap_s=0.02)):
                assert await ws.recv() == "hello"
                count += 1
                if count == 3:
                    break
            assert len(way.asked) == 3

    run(main())
