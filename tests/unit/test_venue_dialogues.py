"""What venues answer: each subscription, each wrong one, pings, and the numbers of what follows. No I/O."""
from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from xdpws.sim.venues import VENUES
from xdpws.sim.venues.dialogue import Cut, Dialogue, Setting
from xdpws.sim.venues.market import PAIRS, Market

ASK: dict[str, tuple[Any, str, Any, str]] = {
    "binance": ({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms", "btcusdt@trade"], "id": 1},
                '{"result":null,"id":1}', {"method": "SUBSCRIBE", "params": ["btcusdt"], "id": 2}, '"code":2'),
    "binance-usdm": ({"method": "SUBSCRIBE", "params": ["btcusdt@depth@0ms", "ethusdt@bookTicker"], "id": 1},
                     '{"result":null,"id":1}', {"method": "FLY", "id": 2}, '"code":2'),
    "bitfinex": ({"event": "subscribe", "channel": "book", "symbol": "tBTCUSD"}, '"event":"subscribed"',
                 {"event": "subscribe", "channel": "book", "symbol": "tNONE"}, '"code":10300'),
    "bitget": ({"op": "subscribe", "args": [{"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"}]},
               '{"event":"subscribe","arg":{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}}',
               {"op": "subscribe", "args": [{"instType": "SPOT", "channel": "books", "instId": "NONE"}]},
               '"event":"error"'),
    "bitmex": ({"op": "subscribe", "args": ["orderBookL2:XBTUSD"]}, '{"success":true,"subscribe":"orderBookL2:XBTUSD"',
               {"op": "subscribe", "args": ["orderBookL2:NONE"]}, '"status":400'),
    "bitstamp": ({"event": "bts:subscribe", "data": {"channel": "diff_order_book_btcusd"}},
                 '{"event":"bts:subscription_succeeded","channel":"diff_order_book_btcusd","data":{}}',
                 {"event": "bts:subscribe", "data": {"channel": "diff_order_book_none"}}, '"event":"bts:error"'),
    "bybit": ({"op": "subscribe", "args": ["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"], "req_id": "7"},
              '"ret_msg":"subscribe"', {"op": "subscribe", "args": ["orderbook.50.BTCUSDT"] * 11}, '"success":false'),
    "bybit-linear": ({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]}, '"type":"snapshot"',
                     {"op": "subscribe", "args": ["orderbook.50.NONE"]}, '"success":false'),
    "coinbase": ({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2", {"name": "matches"}]},
                 '{"type":"subscriptions","channels":[{"name":"level2","product_ids":["BTC-USD"]}',
                 {"type": "subscribe", "product_ids": ["NO-NE"], "channels": ["level2"]}, '"type":"error"'),
    "deribit": ({"jsonrpc": "2.0", "id": 3, "method": "public/subscribe",
                 "params": {"channels": ["book.BTC-PERPETUAL.100ms"]}}, '"result":["book.BTC-PERPETUAL.100ms"]',
                {"jsonrpc": "2.0", "id": 4, "method": "public/subscribe",
                 "params": {"channels": ["book.BTC-PERPETUAL.raw"]}}, '"code":13778'),
    "gate": ({"time": 1, "channel": "futures.order_book_update", "event": "subscribe",
              "payload": ["BTC_USDT", "100ms", "20"]}, '"result":{"status":"success"}',
             {"time": 1, "channel": "futures.order_book_update", "event": "subscribe", "payload": ["NO_NE"]},
             '"message":"unknown contract NO_NE"'),
    "htx": ({"sub": "market.btcusdt.mbp.150", "id": "1"}, '"subbed":"market.btcusdt.mbp.150"',
            {"sub": "market.none.mbp.150", "id": "2"}, '"err-code":"bad-request"'),
    "kraken": ({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}, "req_id": 1},
               '"success":true', {"method": "subscribe", "params": {"channel": "book", "symbol": ["NO/NE"]}},
               '"success":false'),
    "kraken-v1": ({"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "book", "depth": 10}},
                  '"status":"subscribed"', {"event": "subscribe", "pair": ["NO/NE"], "subscription": {"name": "book"}},
                  '"status":"error"'),
    "kraken-futures": ({"event": "subscribe", "feed": "book", "product_ids": ["pi_xbtusd"]},
                       '{"event":"subscribed","feed":"book","product_ids":["PI_XBTUSD"]}',
                       {"event": "subscribe", "feed": "book", "product_ids": ["PI_NONE"]}, '"event":"alert"'),
    "kucoin": ({"id": 1, "type": "subscribe", "topic": "/market/level2:BTC-USDT", "response": True},
               '{"id":1,"type":"ack"}', {"id": 2, "type": "subscribe", "topic": "/market/level2:NO-NE"},
               '"type":"error"'),
    "okx": ({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"},
                                         {"channel": "trades", "instId": "BTC-USDT"}]},
            '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}',
            {"op": "subscribe", "args": [{"channel": "books", "instId": "NO-NE"}]}, '"code":"60018"'),
    "okx-v3": ({"op": "subscribe", "args": ["spot/depth:BTC-USDT", "spot/trade:BTC-USDT"]},
               '{"event":"subscribe","channel":"spot/depth:BTC-USDT"}',
               {"op": "subscribe", "args": ["spot/depth:NO-NE"]}, '"errorCode":30040'),
    "upbit": ([{"ticket": "t"}, {"type": "orderbook", "codes": ["USDT-BTC"]}], "",
              [{"ticket": "t"}, {"type": "orderbook", "codes": ["NO-NE"]}], '"name":"NO_CODES"'),
}
"""Venue → a subscription, what its answer holds, a wrong one, what its answer holds."""


def begin(name: str, target: str = "") -> tuple[Market, Dialogue]:
    venue = VENUES[name]
    market = Market(3)
    return market, venue.begin(Setting(market, venue.rules, target or venue.path, "sim"))


def hear(dialogue: Dialogue, message: Any) -> list[str]:
    text = message if isinstance(message, str) else json.dumps(message)
    answers = dialogue.heard(text, 1_700_000_000_000).answers
    return [answer for answer in answers if isinstance(answer, str)]


def steps(market: Market, dialogue: Dialogue, count: int) -> list[Any]:
    out: list[Any] = []
    for now_ms in range(count):
        change = market.step(1_700_000_000_000 + now_ms)
        assert change is not None
        out += [json.loads(message) for message in dialogue.moved(change) if isinstance(message, str)]
    return out


def test_every_venue_is_asked() -> None:
    assert set(ASK) == set(VENUES)


@pytest.mark.parametrize("name", ASK)
def test_a_subscription_is_answered_and_brings_data(name: str) -> None:
    request, answer, _, _ = ASK[name]
    market, dialogue = begin(name)
    dialogue.opened(0)
    heard = dialogue.heard(json.dumps(request), 0)
    assert heard.changes > 0
    assert dialogue.subscriptions() > 0
    assert any(answer in out for out in heard.answers if isinstance(out, str)) or not answer
    assert steps(market, dialogue, 300)


@pytest.mark.parametrize("name", ASK)
def test_a_wrong_subscription_is_refused_and_nothing_comes(name: str) -> None:
    _, _, wrong, answer = ASK[name]
    market, dialogue = begin(name)
    answers = hear(dialogue, wrong)
    assert any(answer in out for out in answers)
    assert dialogue.subscriptions() == 0
    assert market.step(0) is None or not steps(market, dialogue, 50)


@pytest.mark.parametrize("name", ASK)
@pytest.mark.parametrize("text", ["", "no json", "[]", "1", "null", '{"op":1}', '"ping"'])
def test_what_is_no_request_is_answered_not_raised(name: str, text: str) -> None:
    _, dialogue = begin(name)
    dialogue.heard(text, 0)
    assert dialogue.subscriptions() == 0


@pytest.mark.parametrize(("name", "ping", "pong"), [
    ("okx", "ping", "pong"), ("okx-v3", "ping", "pong"), ("bitget", "ping", "pong"), ("bitmex", "ping", "pong"),
    ("upbit", "PING", '{"status":"UP"}'), ("bybit", '{"op":"ping","req_id":"5"}',
     '{"success":true,"ret_msg":"pong","conn_id":"sim","req_id":"5","op":"ping"}'),
    ("kucoin", '{"id":9,"type":"ping"}', '{"id":9,"type":"pong"}'), ("htx", '{"ping":5}', '{"pong":5}'),
    ("bitstamp", '{"event":"bts:heartbeat"}',
     '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}')])
def test_application_pings_are_answered(name: str, ping: str, pong: str) -> None:
    assert hear(begin(name)[1], ping) == [pong]


def test_binance_takes_streams_from_the_url_raw_and_combined() -> None:
    market, raw = begin("binance", "/ws/btcusdt@depth")
    raw.opened(0)
    assert all(event["e"] == "depthUpdate" for event in steps(market, raw, 20))
    market, combined = begin("binance", "/stream?streams=btcusdt@depth/ethusdt@bookTicker")
    combined.opened(0)
    names = {event["stream"] for event in steps(market, combined, 50)}
    assert names == {"btcusdt@depth", "ethusdt@bookTicker"}
    assert json.loads(str(combined.notice(5)[0])) == {"stream": "!serverShutdown",
                                                      "data": {"e": "serverShutdown", "E": 5}}


def test_binance_chains_and_its_snapshot_fits_in() -> None:
    market, spot = begin("binance", "/ws/btcusdt@depth")
    spot.opened(0)
    first = steps(market, spot, 10)
    rest = VENUES["binance"].rest(market, "GET", "/api/v3/depth?symbol=BTCUSDT&limit=1000")
    assert rest is not None
    assert json.loads(rest)["lastUpdateId"] == first[-1]["u"]
    for before, after in itertools.pairwise(first):
        assert after["U"] == before["u"] + 1
    assert VENUES["binance"].rest(market, "GET", "/api/v3/depth?symbol=NONE") is None
    market, futures = begin("binance-usdm", "/ws/btcusdt@depth@0ms")
    futures.opened(0)
    events = steps(market, futures, 10)
    assert all(after["pu"] == before["u"] for before, after in itertools.pairwise(events))


def test_binance_lists_and_removes_streams() -> None:
    _, dialogue = begin("binance", "/ws/btcusdt@depth")
    dialogue.opened(0)
    assert hear(dialogue, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == ['{"result":["btcusdt@depth"],"id":3}']
    hear(dialogue, {"method": "UNSUBSCRIBE", "params": ["btcusdt@depth"], "id": 4})
    assert dialogue.subscriptions() == 0
    hear(dialogue, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 5})
    assert hear(dialogue, {"method": "GET_PROPERTY", "params": ["combined"], "id": 6}) == ['{"result":true,"id":6}']


def test_deribit_closes_a_client_that_does_not_answer_its_test() -> None:
    _market, dialogue = begin("deribit")
    assert dialogue.beat(0) == []
    assert '"code":-32602' in hear(dialogue, {"id": 1, "method": "public/set_heartbeat", "params": {"interval": 5}})[0]
    hear(dialogue, {"id": 1, "method": "public/set_heartbeat", "params": {"interval": 10}})
    assert ['"test_request"' in str(out) for out in dialogue.beat(0)] == [False, True]
    hear(dialogue, {"id": 2, "method": "public/test"})
    assert all(isinstance(out, str) for _ in range(2) for out in dialogue.beat(0))
    assert isinstance(dialogue.beat(0)[0], Cut)


def test_htx_cuts_after_two_pings_without_a_pong_and_chains_its_books() -> None:
    market, dialogue = begin("htx")
    assert dialogue.beat(7) == ['{"ping":7}']
    hear(dialogue, '{"pong":7}')
    dialogue.beat(8)
    dialogue.beat(9)
    assert isinstance(dialogue.beat(10)[0], Cut)
    hear(dialogue, {"sub": "market.btcusdt.mbp.150", "id": "1"})
    book = json.loads(hear(dialogue, {"req": "market.btcusdt.mbp.150", "id": "2"})[0])["data"]
    number = book["seqNum"]
    for event in steps(market, dialogue, 20):
        assert event["tick"]["prevSeqNum"] == number
        number = event["tick"]["seqNum"]


def test_bitfinex_numbers_everything_when_asked_and_limits_channels() -> None:
    market, dialogue = begin("bitfinex")
    hear(dialogue, {"event": "conf", "flags": 65536})
    snapshot = json.loads(hear(dialogue, {"event": "subscribe", "channel": "book", "symbol": "tBTCUSD"})[1])
    numbers = [snapshot[-1]] + [message[-1] for message in steps(market, dialogue, 20)]
    numbers.append(json.loads(str(dialogue.beat(0)[0]))[-1])
    assert numbers == list(range(1, len(numbers) + 1))
    for _ in range(24):
        hear(dialogue, {"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"})
    assert '"code":10305' in hear(dialogue, {"event": "subscribe", "channel": "book", "symbol": "tETHUSD"})[0]
    assert '"code":20051' in str(dialogue.notice(0)[0])


def test_bybit_snapshot_before_its_acknowledgement_on_linear_only() -> None:
    request = {"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]}
    spot, linear = (hear(begin(name, VENUES[name].path)[1], request) for name in ("bybit", "bybit-linear"))
    assert ['"type":"snapshot"' in answer for answer in spot] == [False, True]
    assert ['"type":"snapshot"' in answer for answer in linear] == [True, False]


def test_kraken_cuts_its_book_and_a_client_that_cuts_too_agrees() -> None:
    market, dialogue = begin("kraken")
    request = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}}
    snapshot = json.loads(hear(dialogue, request)[1])["data"][0]
    asks = {row["price"] for row in snapshot["asks"]}
    for event in steps(market, dialogue, 500):
        for row in event["data"][0]["asks"]:
            (asks.add if row["qty"] else asks.discard)(row["price"])
        asks = set(sorted(asks)[:10])
    book = market.book(next(pair for pair in PAIRS if (pair.base, pair.quote) == ("BTC", "USD")))
    assert asks == {float(book.price(ticks)) for ticks, _ in book.best_asks(10)}


def test_coinbase_heartbeat_repeats_the_last_trade() -> None:
    market, dialogue = begin("coinbase")
    hear(dialogue, {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches", "heartbeat"]})
    matches = [event["trade_id"] for event in steps(market, dialogue, 100)]
    assert matches == list(range(matches[0], matches[0] + len(matches)))
    assert json.loads(str(dialogue.beat(0)[0]))["last_trade_id"] == matches[-1]


def test_kucoin_wants_its_token() -> None:
    rest = VENUES["kucoin"].rest(Market(), "POST", "/api/v1/bullet-public")
    assert rest is not None
    token = json.loads(rest)["data"]["token"]
    assert '"type":"welcome"' in str(begin("kucoin", f"/endpoint?token={token}")[1].opened(0)[0])
    assert '"code":401' in str(begin("kucoin", "/endpoint?token=none")[1].opened(0)[0])
    assert VENUES["kucoin"].rest(Market(), "GET", "/api/v1/bullet-public") is None


def test_kraken_futures_and_kucoin_numbers_rise_by_one() -> None:
    market, dialogue = begin("kraken-futures")
    snapshot = json.loads(hear(dialogue, ASK["kraken-futures"][0])[1])
    numbers = [snapshot["seq"]] + [event["seq"] for event in steps(market, dialogue, 50)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    market, kucoin = begin("kucoin", "/endpoint?token=xdpws-sim")
    hear(kucoin, ASK["kucoin"][0])
    events = [event["data"] for event in steps(market, kucoin, 20)]
    assert all(b["sequenceStart"] == a["sequenceEnd"] + 1 for a, b in itertools.pairwise(events))


def test_bitmex_never_updates_what_it_did_not_show() -> None:
    market, dialogue = begin("bitmex")
    answers = hear(dialogue, ASK["bitmex"][0])
    known = {(row["side"], row["id"]) for row in json.loads(answers[1])["data"]}
    for event in steps(market, dialogue, 300):
        keys = {(row["side"], row["id"]) for row in event["data"]}
        if event["action"] == "insert":
            assert not keys & known
            known |= keys
        else:
            assert keys <= known
            known -= keys if event["action"] == "delete" else set()
