"""xdpws.sim.synthetic: deterministic, continuous, bursty, and a book that never crosses."""
from __future__ import annotations

import json
from collections import Counter

import pytest

from xdpws.digest import FeedDigest
from xdpws.errors import UsageError
from xdpws.sim.feed import TEXT, Record
from xdpws.sim.stamp import PREFIX, SLOT, sent_ns
from xdpws.sim.synthetic import Synthetic

COUNT = 20_000


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return list(Synthetic(COUNT, seed=3))


def digest(source: Synthetic) -> str:
    total = FeedDigest()
    for record in source:
        total.update(record.payload)
    return total.hexdigest()


def test_same_seed_same_bytes_and_a_shorter_feed_is_a_prefix(records: list[Record]) -> None:
    assert list(Synthetic(500, seed=3)) == records[:500]
    assert digest(Synthetic(500, seed=3)) != digest(Synthetic(500, seed=4))


def test_bytes_are_the_same_on_every_machine() -> None:
    # A change of the generator changes this on purpose only: benchmarks of different versions would not compare.
    assert digest(Synthetic(1000, seed=1)) == "c7f65758a91353cdb80fda39bd51cfa775d21894c38c0858d1813c13793d59ae"


def test_records_look_like_received_text(records: list[Record]) -> None:
    assert len(records) == COUNT
    assert {(record.direction, record.opcode) for record in records} == {("rx", TEXT)}
    times = [record.t_ns for record in records]
    assert times == sorted(times)
    kinds = Counter(json.loads(record.payload)["stream"].split("@", 1)[1] for record in records)
    assert kinds["bookTicker"] > kinds["trade"] > kinds["depth@100ms"] > COUNT // 50


def test_update_ids_are_continuous_and_the_book_never_crosses(records: list[Record]) -> None:
    last_u: dict[str, int] = {}
    last_ticker: dict[str, int] = {}
    books: dict[str, tuple[dict[float, float], dict[float, float]]] = {}
    for record in records:
        message = json.loads(record.payload)
        kind, data = message["stream"].split("@", 1)[1], message["data"]
        symbol = data["s"]
        if kind == "bookTicker":
            assert data["u"] > last_ticker.get(symbol, 0)
            last_ticker[symbol] = data["u"]
            assert float(data["b"]) < float(data["a"])
        if kind != "depth@100ms":
            continue
        assert data["U"] == last_u.get(symbol, data["U"] - 1) + 1
        assert data["U"] <= data["u"]
        last_u[symbol] = data["u"]
        book = books.setdefault(symbol, ({}, {}))
        for side, rows in zip(book, (data["b"], data["a"]), strict=True):
            for price, quantity in rows:
                if float(quantity):
                    side[float(price)] = float(quantity)
                else:
                    side.pop(float(price), None)
        assert max(book[0]) < min(book[1])
    assert set(last_u) == {"BTCUSDT", "ETHUSDT"}


def test_trades_count_up_and_event_times_rise(records: list[Record]) -> None:
    ids: dict[str, int] = {}
    newest = 0
    for record in records:
        data = json.loads(record.payload)["data"]
        if "E" in data:
            assert data["E"] >= newest
            newest = data["E"]
        if data.get("e") == "trade":
            assert data["t"] == ids.get(data["s"], data["t"] - 1) + 1
            ids[data["s"]] = data["t"]
            assert float(data["q"]) > 0
    assert len(ids) == 2


def test_rate_and_tail_of_bursts() -> None:
    records = list(Synthetic(50_000, seed=9, rate=1000.0))
    seconds = records[-1].t_ns / 1e9
    assert 35 < seconds < 65, "50,000 messages at a mean rate of 1000/s"
    per_10ms = Counter(record.t_ns // 10_000_000 for record in records)
    assert max(per_10ms.values()) > 100, "some bursts are ten times the mean and more"
    assert len(per_10ms) < seconds * 100, "some 10 ms have none"


def test_stamped_messages_have_a_slot_and_are_json() -> None:
    plain, stamped = list(Synthetic(50, seed=2)), list(Synthetic(50, seed=2, stamp=True))
    for without, with_slot in zip(plain, stamped, strict=True):
        assert with_slot.payload.startswith(SLOT)
        message = json.loads(with_slot.payload)
        assert message.pop("ts") == "0" * 19
        assert message == json.loads(without.payload)
        filled = with_slot.payload.replace(SLOT, PREFIX + b"0000012345678901234", 1)
        assert sent_ns(memoryview(filled)) == 12345678901234
        assert sent_ns(without.payload) is None


@pytest.mark.parametrize("arguments", [{"count": 0}, {"rate": 0.0}, {"rate": float("nan")}, {"rate": 1e9}])
def test_bad_arguments_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(arguments))):
        Synthetic(**arguments)  # type: ignore[arg-type]
