"""permessage-deflate against the `websockets` library as server: what is negotiated, and that every message arrives."""
from __future__ import annotations

import threading
from typing import Any

import pytest
from aiolib import dial, echo, run, server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.sync.server import serve as sync_serve

import xdpws
from xdpws import DeflateOptions
from xdpws.config import deflate_options
from xdpws.errors import ConnectionClosedError, InvalidMessage, UsageError

BOOK = '{"s":"BTCUSDT","b":[["%d.10","1.5"],["%d.20","2.5"]],"a":[["%d.30","0.1"]]}'


def theirs(**options: Any) -> dict[str, Any]:
    """Arguments of the server."""
    return {"compression": None, "extensions": [ServerPerMessageDeflateFactory(**options)]}


def test_nothing_is_offered_by_default() -> None:
    offers: list[str | None] = []

    async def main() -> None:
        async def handler(ws: ServerConnection) -> None:
            assert ws.request is not None
            offers.append(ws.request.headers.get("Sec-WebSocket-Extensions"))
            await ws.send("x")

        async with server(handler, **theirs()) as url:
            async with dial(url) as ws:
                assert await ws.recv() == "x"
                assert ws.response is not None
                assert "Sec-WebSocket-Extensions" not in ws.response.headers

    run(main())
    assert offers == [None]


@pytest.mark.parametrize(("ours", "their", "offer", "answer"), [
    ("deflate", {}, "permessage-deflate; client_max_window_bits", "permessage-deflate"),
    (DeflateOptions(client_max_window_bits=None), {}, "permessage-deflate", "permessage-deflate"),
    (DeflateOptions(server_max_window_bits=9, client_max_window_bits=10), {},
     "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
     "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10"),
    (DeflateOptions(True, True), {},
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
    # not asked for: harmless
    ("deflate", {"server_max_window_bits": 15}, "permessage-deflate; client_max_window_bits",
     "permessage-deflate; server_max_window_bits=15"),
    ("deflate", {"server_no_context_takeover": True, "client_max_window_bits": 8},
     "permessage-deflate; client_max_window_bits",
     "permessage-deflate; server_no_context_takeover; client_max_window_bits=8"),
])
def test_what_is_negotiated(ours: Any, their: dict[str, Any], offer: str, answer: str) -> None:
    async def main() -> None:
        offers: list[str] = []

        async def handler(ws: ServerConnection) -> None:
            assert ws.request is not None
            offers.append(ws.request.headers["Sec-WebSocket-Extensions"])
            await echo(ws)

        async with server(handler, **theirs(**their)) as url:
            async with dial(url, compression=ours) as ws:
                for i in range(30):
                    text = BOOK % (i, i * 7, i * 13)
                    await ws.send(text)
                    assert await ws.recv() == text
                assert ws.response is not None
                assert ws.response.headers["sec-websocket-extensions"] == answer
            assert offers == [offer]

    run(main())


def test_a_server_without_it() -> None:
    async def main() -> None:
        async with server(echo) as url:
            async with dial(url, compression="deflate") as ws:
                await ws.send("as it is " * 100)
                assert await ws.recv() == "as it is " * 100

    run(main())


def test_an_answer_that_was_not_offered_fails() -> None:
    async def main() -> None:
        def answer(ws: ServerConnection, request: Any, response: Any) -> None:
            response.headers["Sec-WebSocket-Extensions"] = "permessage-deflate; client_max_window_bits=9"

        async with server(echo, process_response=answer) as url:
            with pytest.raises(InvalidMessage, match="client_max_window_bits"):
                await dial(url, compression=DeflateOptions(client_max_window_bits=None))

    run(main())


_bits = st.integers(8, 15)
_ours = st.builds(DeflateOptions, st.booleans(), st.booleans(), st.none() | _bits, st.none() | st.just(True) | _bits,
                  st.sampled_from([0, 1, 64, 5000]))
_theirs = st.fixed_dictionaries({}, optional={
    "server_no_context_takeover": st.booleans(), "client_no_context_takeover": st.booleans(),
    # their compressor is zlib's too, and does not take 8
    "server_max_window_bits": st.integers(9, 15), "client_max_window_bits": _bits})
_text = st.text(max_size=60) | st.builds(lambda s, n: s * n, st.text(min_size=1, max_size=9), st.integers(1, 9000))
_binary = st.binary(max_size=200) | st.builds(lambda b, n: b * n, st.binary(min_size=1, max_size=300),
                                              st.integers(1, 300))
_messages = st.lists(_text | _binary | st.builds(lambda i: BOOK % (i, i + 1, i + 2), st.integers(0, 9999)), max_size=12)


def pieces(message: Any, step: int) -> list[Any]:
    """The message cut into fragments; an empty one is one."""
    return [message[i:i + step] for i in range(0, len(message), step)] or [message]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ours, _theirs, _messages, st.integers(1, 3000))
def test_messages_both_ways(ours: DeflateOptions, their: dict[str, Any], messages: list[Any], step: int) -> None:
    """What we send is what they receive, and back in fragments with pings between the messages."""
    if ours.server_max_window_bits == 8:
        ours = DeflateOptions(client_max_window_bits=ours.client_max_window_bits)  # zlib does not take it

    async def main() -> None:
        got: list[Any] = []

        async def handler(ws: ServerConnection) -> None:
            for _ in messages:
                got.append(await ws.recv())
            for message in messages:
                parts = pieces(message, max(step, len(message) // 50))
                await ws.send(parts if len(parts) > 1 else parts[0])
                await ws.ping()

        async with server(handler, **theirs(**their)) as url:
            async with dial(url, compression=ours) as ws:
                for message in messages:
                    await ws.send(message)
                assert [await ws.recv() for _ in messages] == messages
        assert got == messages

    run(main(), 8)


def test_long_messages_both_ways() -> None:
    """Longer than every buffer: ours goes in frames as the socket takes it."""
    long = b"".join(i.to_bytes(4, "big") for i in range(1_500_000))

    async def main() -> None:
        async with server(echo, **theirs()) as url:
            async with dial(url, compression="deflate", max_size=1 << 24) as ws:
                for _ in range(2):
                    await ws.send(long)
                    assert await ws.recv() == long

    run(main())


@pytest.mark.parametrize("fragments", [1, 64])
def test_a_bomb_is_bounded_while_it_is_inflated(fragments: int) -> None:
    async def main() -> None:
        async def handler(ws: ServerConnection) -> None:
            zeros = b"\0" * (1 << 26)
            await ws.send(pieces(zeros, len(zeros) // fragments) if fragments > 1 else zeros)
            await ws.wait_closed()
            codes.append(ws.close_code)

        codes: list[int | None] = []
        async with server(handler, **theirs()) as url:
            async with dial(url, compression="deflate", max_size=1 << 16) as ws:
                with pytest.raises(ConnectionClosedError) as caught:
                    await ws.recv()
                assert caught.value.sent is not None
                assert caught.value.sent.code == 1009
        assert codes == [1009]

    run(main())


def test_the_polling_client() -> None:
    texts = [BOOK % (i, i, i) for i in range(200)]
    got: list[str] = []

    def play(ws: Any) -> None:
        for text in texts:
            ws.send(text)

    with sync_serve(play, "127.0.0.1", 0, **theirs()) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            with xdpws.Client(f"ws://127.0.0.1:{running.socket.getsockname()[1]}/", transport="socket",
                              on_message=lambda message: got.append(bytes(message.data).decode()), busy_poll=False,
                              compression="deflate") as client:
                client.run(20)
                response = client.sessions[0].response
        finally:
            running.shutdown()
            thread.join(10)
    assert got == texts
    assert response is not None
    assert response.headers["Sec-WebSocket-Extensions"] == "permessage-deflate"


@pytest.mark.parametrize("options", [
    {"server_max_window_bits": 7}, {"server_max_window_bits": 16}, {"server_max_window_bits": True},
    {"client_max_window_bits": 0}, {"client_max_window_bits": 16}, {"client_max_window_bits": False},
    {"min_size": -1}, {"min_size": 1 << 32}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        DeflateOptions(**options)


def test_compression_by_name() -> None:
    assert deflate_options(None) is None
    assert deflate_options("deflate") == DeflateOptions()
    with pytest.raises(UsageError, match="gzip"):
        deflate_options("gzip")  # type: ignore[arg-type]
