"""xdpws.sim.server against the `websockets` library: what arrives is the feed, and every fault is the asked one."""
from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import time
import tracemalloc
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from xdpws.digest import FeedDigest
from xdpws.errors import SetupError, UsageError
from xdpws.sim.cert import make_certificate
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.feed import TEXT, Feed, Record, write_feed
from xdpws.sim.server import Exchange
from xdpws.sim.stamp import sent_ns
from xdpws.sim.synthetic import Synthetic

FEEDS = Path(os.environ.get("XDPWS_FEEDS", Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "feeds"))
needs_feeds = pytest.mark.skipif(not FEEDS.is_dir(), reason=f"needs recorded feeds: no folder {FEEDS} (XDPWS_FEEDS)")


def config(**settings: Any) -> ExchangeConfig:
    return ExchangeConfig(**{"count": 2000, "port": 0, "speed": None, "close_timeout_s": 3.0, **settings})


def client_tls(exchange: Exchange) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=exchange.ca_file) if exchange.ca_file else None


def dial(exchange: Exchange, **options: Any) -> connect:
    settings = {"ssl": client_tls(exchange), "compression": None, "max_size": None, **options}
    return connect(exchange.url, **settings)


def run(work: Coroutine[Any, Any, Any]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(limited())


async def collect(client: ClientConnection, into: list[bytes] | None = None) -> tuple[FeedDigest, ConnectionClosed]:
    """Receive until the connection is closed, however that happens."""
    digest = FeedDigest()
    try:
        while True:
            message = await client.recv()
            payload = message.encode() if isinstance(message, str) else message
            digest.update(payload)
            if into is not None:
                into.append(payload)
    except ConnectionClosed as closed:
        return digest, closed


async def play(**settings: Any) -> tuple[Exchange, FeedDigest, ConnectionClosed]:
    """One client that takes everything; the exchange's results are complete when this returns."""
    async with Exchange(config(**settings)) as exchange:
        async with dial(exchange) as client:
            digest, closed = await collect(client)
        await exchange.first_client_done()
    return exchange, digest, closed


def whole_feed_arrives(**settings: Any) -> Exchange:
    """The client gets exactly the expected messages, then 1000."""
    result: list[Exchange] = []

    async def body() -> None:
        exchange, digest, closed = await play(**settings)
        assert digest.messages == exchange.messages
        assert digest.hexdigest() == exchange.expected_sha256()
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1000
        assert exchange.results[0].messages == digest.messages
        assert exchange.results[0].close_code == 1000
        result.append(exchange)

    run(body())
    return result[0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"plain": True},
        {"loop": 3},
        {"records": "coalesce:7"},
        {"records": "random"},
        {"fragment": "random"},
        {"fragment": "interleaved", "records": "random", "seed": 5},
        {"fragment": "interleaved", "plain": True},
        {"tls": "1.2"},
        {"tls": "1.3", "key_type": "rsa"},
        {"tls": "1.2", "key_type": "rsa", "ciphers": "ECDHE-RSA-CHACHA20-POLY1305"},
    ],
    ids=str,
)
def test_synthetic_feed_arrives_whole(settings: dict[str, Any]) -> None:
    whole_feed_arrives(**settings)


@needs_feeds
@pytest.mark.parametrize(
    "name",
    ["binance_spot_4sym_20211012", "okx_v5_20220227", "okex_v3_rawdeflate_20210417", "huobi_spot_gzip_20210417",
     "bitget_spot_20220407", "upbit_binary_20210417"],
)
def test_recorded_feed_arrives_as_recorded(name: str) -> None:
    path = FEEDS / f"{name}.jsonl.gz"
    exchange = whole_feed_arrives(feed=path, records="random", fragment="random")
    assert exchange.expected_sha256() == Feed(path).header.rx_sha256


def test_several_clients_each_get_it_from_the_start() -> None:
    async def body() -> None:
        async with Exchange(config()) as exchange:
            async def one() -> str:
                async with dial(exchange) as client:
                    return (await collect(client))[0].hexdigest()

            digests = await asyncio.gather(*(one() for _ in range(5)))
            assert set(digests) == {exchange.expected_sha256()}

    run(body())


@pytest.mark.parametrize(
    ("settings", "version", "cipher", "group"),
    [
        ({"tls": "1.2"}, "TLSv1.2", "GCM", ""),
        ({"tls": "1.3"}, "TLSv1.3", "TLS_", ""),
        ({"ciphers": "TLS_CHACHA20_POLY1305_SHA256"}, "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", ""),
        ({"ciphers": "TLS_AES_128_GCM_SHA256"}, "TLSv1.3", "TLS_AES_128_GCM_SHA256", ""),
        ({"tls": "1.2", "ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"}, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", ""),
        ({"groups": "P-384"}, "TLSv1.3", "TLS_", "secp384r1"),
    ],
    ids=str,
)
def test_tls_settings_take_effect(settings: dict[str, Any], version: str, cipher: str, group: str) -> None:
    async def body() -> None:
        async with Exchange(config(count=3, **settings)) as exchange:
            async with dial(exchange) as client:
                tls = client.transport.get_extra_info("ssl_object")
                assert tls.version() == version
                assert cipher in tls.cipher()[0]
                digest, _ = await collect(client)
            await exchange.first_client_done()
            assert digest.messages == 3
            assert exchange.results[0].link.startswith(version)
            assert group in exchange.results[0].link

    run(body())


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"ciphers": "NO-SUCH"}, "ciphers"), ({"ciphers": "TLS_NO_SUCH"}, "ciphers"), ({"groups": "P-1"}, "groups")],
)
def test_unknown_tls_names_are_refused(settings: dict[str, Any], word: str) -> None:
    async def body() -> None:
        with pytest.raises(UsageError, match=word):
            async with Exchange(config(**settings)):
                pass

    run(body())


def test_certificate_names_the_listen_host_and_verifies(tmp_path: Path) -> None:
    async def body() -> None:
        async with Exchange(config(count=1, host="127.0.0.2", cert_dir=tmp_path)) as exchange:
            async with dial(exchange) as client:
                await collect(client)
            async with dial(exchange, server_hostname="localhost") as client:
                await collect(client)
            with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
                async with dial(exchange, server_hostname="elsewhere.example"):
                    pass

    run(body())
    leaf = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.2", "127.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600


def test_given_certificate_is_used_and_an_expired_one_is_refused(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, ["127.0.0.1"], "rsa", days=-1)

    async def body() -> None:
        async with Exchange(config(cert=files.cert, key=files.key)) as exchange:
            assert exchange.ca_file is None
            context = ssl.create_default_context(cafile=files.ca)
            with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
                async with dial(exchange, ssl=context):
                    pass

    run(body())


def test_temporary_certificate_goes_with_the_exchange() -> None:
    async def body() -> None:
        async with Exchange(config()) as exchange:
            assert exchange.ca_file is not None
            folder = exchange.ca_file.parent
            assert exchange.ca_file.is_file()
        assert not folder.exists()

    run(body())


def test_timed_play_keeps_order_and_is_not_early(tmp_path: Path) -> None:
    path = tmp_path / "timed.jsonl.gz"
    times = [0, 0, 400_000_000, 400_500_000, 1_500_000_000]
    write_feed(path, [Record(t, "rx", TEXT, f"{i}".encode()) for i, t in enumerate(times)])

    async def body() -> None:
        async with Exchange(config(feed=path, speed=10.0)) as exchange:
            began = time.monotonic_ns()
            arrived = []
            async with dial(exchange) as client:
                for i in range(len(times)):
                    assert await client.recv() == str(i)
                    arrived.append((time.monotonic_ns() - began) * 10)
            # the session starts after `began`, so no message may come before its recorded time
            assert all(at >= due for at, due in zip(arrived, times, strict=True))

    run(body())


def test_stamps_are_send_times() -> None:
    async def body() -> None:
        async with Exchange(config(count=50, stamp=True)) as exchange:
            before = time.monotonic_ns()
            stamps: list[bytes] = []
            async with dial(exchange) as client:
                digest, _ = await collect(client, stamps)
            after = time.monotonic_ns()
            times = [sent_ns(payload) for payload in stamps]
            assert digest.messages == 50
            assert None not in times
            assert [before, *times, after] == sorted([before, *times, after])  # type: ignore[type-var]
            assert exchange.expected_sha256() is None
            sources = [json.loads(record.payload)["data"] for record in Synthetic(50)]
            assert [json.loads(payload)["data"] for payload in stamps] == sources

    run(body())


def test_pings_are_sent_and_a_client_that_answers_stays() -> None:
    async def body() -> None:
        settings = config(count=30, speed=1.0, rate=60.0, ping_interval_s=0.02, ping_timeout_s=5.0)
        async with Exchange(settings) as exchange:
            async with dial(exchange) as client:
                digest, closed = await collect(client)
            assert digest.messages == 30
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1000

    run(body())


class RawClient:
    """A client that does only what a test tells it: no pongs, no close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, exchange: Exchange, upgrade: bool = True) -> RawClient:
        client = cls(*await asyncio.open_connection("127.0.0.1", exchange.port))
        if upgrade:
            client.writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b" 101 " in head
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "the accept value of RFC 6455 section 1.3"
        return client

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next short frame."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        return first & 15, await self.reader.readexactly(size)


def test_client_that_does_not_pong_is_cut() -> None:
    async def body() -> None:
        settings = config(plain=True, start="subscribe", ping_interval_s=0.05, ping_timeout_s=0.1)
        async with Exchange(settings) as exchange:
            client = await RawClient.open(exchange)
            assert (await client.frame())[0] == 9
            with pytest.raises(ConnectionResetError):
                await client.reader.readexactly(1)
            await exchange.first_client_done()
            assert "no pong" in exchange.results[0].reason
            client.writer.close()

    run(body())


def test_pong_for_another_ping_does_not_count() -> None:
    async def body() -> None:
        settings = config(plain=True, start="subscribe", ping_interval_s=0.05, ping_timeout_s=0.2)
        async with Exchange(settings) as exchange:
            client = await RawClient.open(exchange)
            await client.frame()
            client.writer.write(b"\x8a\x80\x00\x00\x00\x00")
            with pytest.raises(ConnectionResetError):
                await client.reader.readexactly(1)
            client.writer.close()

    run(body())


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("drop", ["rst", "fin"])
def test_drop_after_cuts_without_a_close_frame(drop: str, plain: bool) -> None:
    async def body() -> None:
        exchange, digest, closed = await play(drop_after=123, drop=drop, plain=plain)
        assert digest.messages == 123
        assert digest.hexdigest() == exchange.expected_sha256()
        assert isinstance(closed, ConnectionClosedError)
        assert closed.rcvd is None
        assert f"cut by {drop}" in exchange.results[0].reason

    run(body())


def test_reset_inside_a_frame() -> None:
    async def body() -> None:
        exchange, digest, closed = await play(drop_after=10, reset_mid_frame=True)
        assert digest.messages == 10
        assert isinstance(closed, ConnectionClosedError)
        assert closed.rcvd is None
        assert "inside a frame" in exchange.results[0].reason

    run(body())


def test_half_close_is_fin_after_everything_and_the_client_may_still_talk() -> None:
    async def body() -> None:
        async with Exchange(config(count=5, plain=True, half_close=True)) as exchange:
            client = await RawClient.open(exchange)
            for record in Synthetic(5):
                assert await client.frame() == (TEXT, record.payload)
            assert await client.reader.read() == b"", "FIN, and no close frame"
            client.writer.write(b"\x81\x82\x00\x00\x00\x00hi")
            await client.writer.drain()
            assert exchange.results == []
            client.writer.close()
            await exchange.first_client_done()
            assert exchange.results[0].received == 1
            assert exchange.results[0].reason == "half-closed, as asked"

    run(body())


def test_half_close_over_tls_has_a_close_notify() -> None:
    async def body() -> None:
        exchange, digest, closed = await play(count=5, half_close=True)
        assert digest.hexdigest() == exchange.expected_sha256()
        assert closed.rcvd is None

    run(body())


def test_synthetic_feed_answers_subscriptions_and_recorded_does_not(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl.gz"
    write_feed(path, [Record(0, "rx", TEXT, b'{"only":1}')], venue="binance-spot")

    async def answers(**settings: Any) -> list[bytes]:
        async with Exchange(config(start="subscribe", **settings)) as exchange:
            async with dial(exchange) as client:
                await client.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":9}')
                got: list[bytes] = []
                await collect(client, got)
                return got

    async def body() -> None:
        ack = b'{"result":null,"id":9}'
        assert ack in await answers(count=3)
        assert await answers(feed=path) == [b'{"only":1}']
        assert sorted(await answers(feed=path, ack="always")) == [b'{"only":1}', ack]
        assert ack not in await answers(count=3, ack="never")

    run(body())


def test_client_may_close_first() -> None:
    async def body() -> None:
        async with Exchange(config(speed=1.0)) as exchange:
            async with dial(exchange) as client:
                await client.recv()
                await client.close(4001, "enough")
            assert client.close_code == 4001, "the exchange echoes the code"
            await exchange.first_client_done()
            assert exchange.results[0].reason == "client closed with 4001"
            assert exchange.results[0].close_code == 4001

    run(body())


def test_client_that_breaks_the_protocol_gets_a_close_frame() -> None:
    async def body() -> None:
        async with Exchange(config(plain=True, start="subscribe")) as exchange:
            client = await RawClient.open(exchange)
            client.writer.write(b"\x81\x02hi")
            opcode, payload = await client.frame()
            assert (opcode, payload[:2]) == (8, (1002).to_bytes(2, "big"))
            client.writer.close()
            await exchange.first_client_done()
            assert "broke the protocol" in exchange.results[0].reason

    run(body())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400"),
        (b"\x16\x03\x01 not http\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", b"HTTP/1.1 426"),
    ],
)
def test_what_is_no_upgrade_is_refused_in_words(request_: bytes, status: bytes) -> None:
    async def body() -> None:
        async with Exchange(config(plain=True)) as exchange:
            client = await RawClient.open(exchange, upgrade=False)
            client.writer.write(request_)
            answer = await client.reader.read()
            assert answer.startswith(status)
            assert answer.endswith(b"This is a WebSocket exchange.\r\n")
            client.writer.close()

    run(body())


def test_client_that_does_not_read_costs_no_memory_and_does_not_stop_others() -> None:
    async def body() -> None:
        async with Exchange(config(count=60_000, plain=True, ping_interval_s=0)) as exchange:
            slow = await RawClient.open(exchange)
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            tracemalloc.start()
            try:
                async with dial(exchange) as client:
                    digest, _ = await collect(client)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert digest.hexdigest() == exchange.expected_sha256()
            assert digest.payload_bytes > 9_000_000
            assert peak < 3_000_000, "of both clients, and of the test's own"
            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            total = 0
            while total <= digest.payload_bytes:
                data = await slow.reader.read(1 << 16)
                assert data, "the slow client gets everything, too"
                total += len(data)
            slow.writer.close()

    run(body())


def test_mute_client_is_let_go() -> None:
    async def body() -> None:
        async with Exchange(config(handshake_timeout_s=0.1)) as exchange:
            reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
            assert await reader.read() == b""
            assert exchange.results[0].reason == "no TLS handshake in time"
            writer.close()

    run(body())


def test_port_in_use_names_the_step_and_a_command() -> None:
    async def body() -> None:
        async with Exchange(config()) as first:
            with pytest.raises(SetupError, match=r"listen on 127\.0\.0\.1") as caught:
                async with Exchange(config(port=first.port)):
                    pass
            assert str(first.port) in caught.value.hint

    run(body())


@pytest.mark.parametrize(
    "settings",
    [
        {"speed": 0.0}, {"speed": float("nan")}, {"port": 70000}, {"loop": -1}, {"fragment": "some"},
        {"records": "many"}, {"key_type": "dsa"}, {"tls": "1.1"}, {"drop": "slam"}, {"ping_timeout_s": 0.0},
        {"cert": Path("x")}, {"plain": True, "tls": "1.3"}, {"feed": "x.gz", "stamp": True},
        {"stamp": True, "records": "random"}, {"half_close": True, "reset_mid_frame": True}, {"drop_after": -1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(settings)).split("_")[0]):
        ExchangeConfig(**settings)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_clients_end_in_a_reason_and_never_in_an_exception(seed: int) -> None:
    rng = random.Random(seed)
    request = (b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    frames = b"\x81\x85abcd\x09\x07\x0f\x08\x0e\x89\x81abcdx\x88\x82abcd\x62\x8a"

    def mutated(data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(rng.randint(0, 3)):
            at = rng.randrange(len(changed))
            changed[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 4))
        return bytes(changed)

    async def body() -> None:
        settings = config(count=5, plain=True, close_timeout_s=0.05, handshake_timeout_s=0.05, ack="always")
        async with Exchange(settings) as exchange:
            for number in range(50):
                keep_request = rng.random() < 0.6
                client = await RawClient.open(exchange, upgrade=False)
                client.writer.write(request if keep_request else mutated(request))
                client.writer.write(mutated(frames))
                if rng.random() < 0.5:
                    client.writer.write_eof()
                try:
                    await client.reader.read()
                except ConnectionResetError:
                    pass
                client.writer.close()
                while len(exchange.results) <= number:
                    await asyncio.sleep(0.001)
            assert all(result.reason for result in exchange.results)

    run(body())


def test_any_path_is_served() -> None:
    async def body() -> None:
        async with Exchange(config(count=1, plain=True)) as exchange:
            async with connect(exchange.url + "stream?streams=a@trade/b@depth") as client:
                await collect(client)
            await exchange.first_client_done()
            assert exchange.results[0].path == "/stream?streams=a@trade/b@depth"

    run(body())
