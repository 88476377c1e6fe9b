"""xdpws.sim.feed and xdpws.digest: what is written is read back, and what is wrong is named with its line."""
from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path

import pytest

from xdpws.digest import FeedDigest
from xdpws.sim.feed import BINARY, TEXT, Feed, FeedError, Record, write_feed

RECORDS = [
    Record(0, "open", None, b"", "wss://example.org/ws"),
    Record(10, "tx", TEXT, b'{"op":"subscribe"}'),
    Record(20, "rx", TEXT, '{"price":"1.5 €"}'.encode()),
    Record(30, "rx", BINARY, bytes(range(256))),
    Record(30, "rx", TEXT, b""),
]


def lines(*rows: object) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def feed_file(folder: Path, *rows: object) -> Path:
    path = folder / "feed.jsonl.gz"
    path.write_bytes(gzip.compress(lines(*rows)))
    return path


HEADER = {"format": "xdpws-feed/1", "venue": "test"}


def test_digest_is_sha256_over_length_and_payload() -> None:
    digest = FeedDigest()
    digest.update(b"abc")
    digest.update(memoryview(b""))
    digest.update(bytearray(b"\x00" * 300))
    by_hand = hashlib.sha256(b"\x00\x00\x00\x03abc" + b"\x00\x00\x00\x00" + b"\x00\x00\x01\x2c" + b"\x00" * 300)
    assert digest.hexdigest() == by_hand.hexdigest()
    assert (digest.messages, digest.payload_bytes) == (3, 303)


def test_digest_sees_where_messages_end() -> None:
    one, two = FeedDigest(), FeedDigest()
    one.update(b"ab")
    two.update(b"a")
    two.update(b"b")
    assert one.hexdigest() != two.hexdigest()


def test_written_records_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    digest = write_feed(path, RECORDS, venue="test", url="wss://example.org/ws", note="made here")
    feed = Feed(path)
    assert list(feed) == RECORDS
    assert list(feed) == RECORDS, "a feed can be iterated again"
    assert [record.payload for record in feed.messages()] == [record.payload for record in RECORDS[2:]]
    assert feed.header.venue == "test"
    assert feed.header.messages == 3
    assert feed.header.rx_sha256 == digest.hexdigest()
    assert feed.header.raw["note"] == "made here"
    assert feed.verify().hexdigest() == digest.hexdigest()


def test_missing_time_is_the_one_before(tmp_path: Path) -> None:
    row = {"dir": "rx", "opcode": 1, "payload": "x"}
    path = feed_file(tmp_path, HEADER, {**row, "t_ns_rel": 7}, {**row, "t_ns_rel": None})
    assert [record.t_ns for record in Feed(path)] == [7, 7]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b"{broken\n", "not JSON"),
        ([1, 2], "expected a JSON object, found list"),
        ({"t_ns_rel": -1, "dir": "rx", "opcode": 1, "payload": ""}, "t_ns_rel"),
        ({"t_ns_rel": "soon", "dir": "rx", "opcode": 1, "payload": ""}, "t_ns_rel"),
        ({"t_ns_rel": 0, "dir": "up", "opcode": 1, "payload": ""}, '"dir" is \'up\''),
        ({"t_ns_rel": 0, "dir": "rx", "opcode": 8, "payload": ""}, '"opcode" is 8'),
        ({"t_ns_rel": 0, "dir": "rx", "opcode": 1}, "exactly one string"),
        ({"t_ns_rel": 0, "dir": "rx", "opcode": 1, "payload": "a", "payload_b64": "YQ=="}, "exactly one string"),
        ({"t_ns_rel": 0, "dir": "rx", "opcode": 2, "payload_b64": "!!"}, "not base64"),
        (b'{"t_ns_rel":0,"dir":"rx","opcode":1,"payload":"\\ud800"}\n', "not Unicode"),
    ],
)
def test_malformed_record_is_named_with_its_line(tmp_path: Path, row: object, words: str) -> None:
    good = {"t_ns_rel": 0, "dir": "rx", "opcode": 1, "payload": "fine"}
    feed = Feed(feed_file(tmp_path, HEADER, good, row))
    records = iter(feed)
    assert next(records).payload == b"fine"
    with pytest.raises(FeedError, match="line 3") as caught:
        next(records)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b""), "the file is empty"),
        (gzip.compress(b'{"format":"other/1"}\n'), "'other/1', expected 'xdpws-feed/1'"),
        (b'{"format":"xdpws-feed/1"}\n', "not valid gzip"),
        (gzip.compress(lines(HEADER))[:-12], "ends inside its gzip stream"),
    ],
)
def test_what_is_no_feed_is_refused_at_once(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "feed.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(FeedError) as caught:
        Feed(path)
    assert words in str(caught.value)


def test_file_cut_in_the_middle_is_noticed_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    write_feed(path, [Record(i, "rx", BINARY, hashlib.sha512(bytes([i])).digest() * 4) for i in range(200)])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FeedError, match="incomplete copy"):
        Feed(path).verify()


def test_missing_file_says_what_can_be_typed(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="No such file") as caught:
        Feed(tmp_path / "none.gz")
    assert "synthetic" in caught.value.hint


@pytest.mark.parametrize(
    ("stats", "words"),
    [({"rx": 2}, "promises 2 rx records, the file has 1"), ({"rx_sha256": "00"}, "rx_sha256 is 00")],
)
def test_verify_compares_with_the_header(tmp_path: Path, stats: dict[str, object], words: str) -> None:
    row = {"t_ns_rel": 0, "dir": "rx", "opcode": 2, "payload_b64": base64.b64encode(b"x").decode()}
    with pytest.raises(FeedError, match=words):
        Feed(feed_file(tmp_path, {**HEADER, "stats": stats}, row)).verify()
