"""xdpws.sim.frames, records, script, stamp, acks: how messages become bytes, checked by an independent parser."""
from __future__ import annotations

import json

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from xdpws.errors import UsageError
from xdpws.sim.acks import reply
from xdpws.sim.feed import BINARY, TEXT, Record
from xdpws.sim.frames import Framer, encode_fragments, encode_frame
from xdpws.sim.records import MAX_RECORD, Records, parse_records
from xdpws.sim.script import Script, expected_digest
from xdpws.sim.stamp import SLOT
from xdpws.sim.synthetic import Synthetic


def parse(data: bytes) -> list[Frame]:
    """All frames of `data`, by the websockets library; fails on anything incomplete."""
    reader = StreamReader()
    reader.feed_data(data)
    frames = []
    while reader.buffer:
        parsing = Frame.parse(reader.read_exact, mask=False)
        try:
            next(parsing)
        except StopIteration as stop:
            frames.append(stop.value)
        else:
            raise AssertionError("incomplete frame")
    return frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_one_frame_with_the_shortest_length_form(size: int) -> None:
    payload = b"x" * size
    wire = encode_frame(BINARY, payload)
    assert [(frame.opcode, frame.fin, bytes(frame.data)) for frame in parse(wire)] == [(BINARY, True, payload)]
    assert len(wire) - size == (2 if size < 126 else 4 if size < 65536 else 10)


def test_fragments_join_to_the_message_and_controls_go_between() -> None:
    ping = encode_frame(9, b"p")
    frames = parse(encode_fragments(TEXT, b"abcdef", [0, 2, 2], [ping]))
    assert [(frame.opcode, frame.fin, bytes(frame.data)) for frame in frames] == [
        (Opcode.TEXT, False, b""), (Opcode.PING, True, b"p"), (Opcode.CONT, False, b"ab"), (Opcode.CONT, False, b""),
        (Opcode.CONT, True, b"cdef"),
    ]


@pytest.mark.parametrize("fragment", ["none", "random", "interleaved"])
def test_framer_keeps_every_message(fragment: str) -> None:
    framer, again = Framer(fragment, 5), Framer(fragment, 5)
    counts, pings = set(), 0
    for i in range(300):
        payload = bytes([i % 256]) * i
        wire = framer.encode(TEXT, payload)
        assert wire == again.encode(TEXT, payload), "the seed decides"
        frames = parse(wire)
        data = [frame for frame in frames if frame.opcode != Opcode.PING]
        pings += len(frames) - len(data)
        counts.add(len(data))
        assert b"".join(bytes(frame.data) for frame in data) == payload
        assert [frame.opcode for frame in data] == [Opcode.TEXT] + [Opcode.CONT] * (len(data) - 1)
        assert [frame.fin for frame in data] == [False] * (len(data) - 1) + [True]
    assert counts == ({1} if fragment == "none" else {1, 2, 3, 4, 5})
    assert (pings > 100) == (fragment == "interleaved")


def test_the_slot_of_a_stamp_is_never_cut() -> None:
    framer = Framer("random", 1)
    for record in Synthetic(200, stamp=True):
        assert SLOT in framer.encode(TEXT, record.payload)


def test_records_divide_and_join_the_same_bytes() -> None:
    messages = [bytes([i]) * (i * 37 % 500) for i in range(100)]
    assert list(Records(1).units(messages)) == messages
    joined = list(Records(8).units(messages))
    assert joined == [b"".join(messages[i : i + 8]) for i in range(0, 100, 8)]
    pieces = list(Records(0, seed=4).units(messages))
    assert pieces != messages
    assert b"".join(pieces) == b"".join(messages)
    assert all(1 <= len(piece) <= MAX_RECORD for piece in pieces)
    assert list(Records(0, seed=4).units(messages)) == pieces


@pytest.mark.parametrize(("text", "value"), [("per-message", 1), ("random", 0), ("coalesce:2", 2), ("coalesce 64", 64)])
def test_records_option(text: str, value: int) -> None:
    assert parse_records(text) == value


@pytest.mark.parametrize("text", ["", "coalesce", "coalesce:0", "coalesce:1", "coalesce:1025", "coalesce:x", "never"])
def test_records_option_refused(text: str) -> None:
    with pytest.raises(UsageError, match="per-message"):
        parse_records(text)


class FewMessages:
    """A source of three messages."""

    def messages(self):  # type: ignore[no-untyped-def]
        return iter([Record(5, "rx", TEXT, b"a"), Record(6, "rx", TEXT, b"b"), Record(9, "rx", BINARY, b"\xff")])


def test_script_holds_times_and_frames() -> None:
    script = Script.build(FewMessages(), Framer())
    assert script.due_ns == (5, 6, 9)
    assert [(f.opcode, bytes(f.data)) for f in parse(b"".join(script.wire))] == [(1, b"a"), (1, b"b"), (2, b"\xff")]
    assert script.stamp_at == ()


def test_script_of_nothing_is_refused() -> None:
    class Nothing:
        def messages(self):  # type: ignore[no-untyped-def]
            return iter([])

    with pytest.raises(UsageError, match="no message"):
        Script.build(Nothing(), Framer())


def test_expected_digest_goes_round() -> None:
    once, cut, twice = (expected_digest(FewMessages(), n) for n in (3, 2, 6))
    assert (once.messages, cut.messages, twice.messages) == (3, 2, 6)
    assert len({once.hexdigest(), cut.hexdigest(), twice.hexdigest()}) == 3


@pytest.mark.parametrize(
    ("venue", "request_", "answers"),
    [
        ("binance-spot", {"method": "SUBSCRIBE", "params": ["a@trade"], "id": 7}, [{"result": None, "id": 7}]),
        ("binance-synthetic", {"method": "LIST_SUBSCRIPTIONS", "id": "x"}, [{"result": [], "id": "x"}]),
        ("okx", {"op": "subscribe", "args": [{"channel": "books"}, {"channel": "trades"}]},
         [{"event": "subscribe", "arg": {"channel": "books"}}, {"event": "subscribe", "arg": {"channel": "trades"}}]),
        ("kraken-spot", {"event": "ping", "reqid": 42}, [{"event": "pong", "reqid": 42}]),
        ("deribit", {"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": {"channels": ["c"]}},
         [{"jsonrpc": "2.0", "id": 1, "result": ["c"]}]),
        ("huobi-spot", {"sub": "market.x", "id": "1"}, [{"id": "1", "status": "ok", "subbed": "market.x", "ts": 0}]),
        ("coinbase-pro", {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2"]},
         [{"type": "subscriptions", "channels": [{"name": "level2", "product_ids": ["BTC-USD"]}]}]),
        ("unknown", {"method": "SUBSCRIBE", "id": 1}, []),
    ],
)
def test_venues_answer(venue: str, request_: object, answers: list[object]) -> None:
    assert [json.loads(text) for text in reply(venue, json.dumps(request_))] == answers


@pytest.mark.parametrize("venue", ["binance", "okx", "bitget", "bybit", "kraken", "coinbase", "deribit", "huobi"])
@pytest.mark.parametrize("text", ["", "nonsense", "[]", "1", '{"op":1,"args":3,"type":"subscribe","channels":1}'])
def test_nonsense_is_not_answered(venue: str, text: str) -> None:
    assert reply(venue, text) == []


def test_text_ping_of_okx() -> None:
    assert reply("okx", "ping") == ["pong"]
    assert reply("binance", "ping") == []
