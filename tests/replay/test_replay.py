"""Captures through the stack as receiver: what it delivers is what sequence numbers say, computed apart from it."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from replay_capture import ACK, FIN, PSH, RST, SYN, read
from replay_expect import expected
from replay_run import WINDOW, Player
from replay_table import PCAPS, captures, row
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

FILES = captures(PCAPS)


@pytest.mark.skipif(not FILES, reason=f"no captures in {PCAPS}; set XDPWS_TCP_PCAPS to the folder that has them")
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_recorded(path: Path) -> None:
    r = row(path)
    assert not r.wrong
    assert r.octets or r.reason or r.segments


def packet(seq: int, flags: int, data: bytes = b"", options: list | None = None) -> Ether:
    tcp = TCP(sport=1000, dport=80, seq=seq % 2**32, ack=1, flags=flags, window=65535, options=options or [])
    return Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / IP(src="192.0.2.1", dst="192.0.2.2") / tcp / data


def written(tmp_path: Path, packets: list[Ether]) -> Path:
    for i, p in enumerate(packets):
        p.time = 1e9 + i / 1000
    wrpcap(str(tmp_path / "made.pcap"), packets)
    return tmp_path / "made.pcap"


def both(path: Path) -> tuple[bytes, str]:
    """What is expected and delivered, which must be the same."""
    d = read(path).directions[0]
    want, got = expected(d, WINDOW), Player(d).play()
    assert (got.data, got.end) == (want.data, want.end)
    return got.data, got.end


@pytest.mark.parametrize("seed", range(20))
def test_made_with_loss_reordering_and_overlaps(tmp_path: Path, seed: int) -> None:
    """A stream in pieces that overlap, come twice and in any order within 30, and in the end all came."""
    rnd, isn = random.Random(seed), random.Random(seed).choice([0, 2**32 - 500, 2**31 - 500])
    stream = bytes(rnd.randrange(256) for _ in range(20000))
    cuts = sorted({0, len(stream), *(rnd.randrange(len(stream)) for _ in range(60))})
    pieces = [(a, min(b + rnd.choice([0, 0, 50]), len(stream))) for a, b in itertools.pairwise(cuts)]
    order = sorted(range(len(pieces)), key=lambda i: i + rnd.uniform(0, rnd.choice([0, 30])))
    order += rnd.sample(order, 10)
    packets = [packet(isn, SYN)] + [packet(isn + 1 + a, ACK | PSH, stream[a:b]) for a, b in (pieces[i] for i in order)]
    packets.append(packet(isn + 1 + len(stream), FIN | ACK))
    assert both(written(tmp_path, packets)) == (stream, "fin")


def test_what_came_first_stays(tmp_path: Path) -> None:
    packets = [packet(0, SYN), packet(4, ACK, b"DEF"), packet(3, ACK, b"cdefg"), packet(1, ACK, b"abxx"),
               packet(1, ACK, b"zzzzzzzzz")]
    assert both(written(tmp_path, packets)) == (b"abcDEFgzz", "")


def test_a_reset_counts_at_its_place_alone(tmp_path: Path) -> None:
    packets = [packet(0, SYN), packet(1, ACK, b"ab"), packet(9, RST), packet(3, ACK, b"cd"), packet(5, RST),
               packet(5, ACK, b"no")]
    assert both(written(tmp_path, packets)) == (b"abcd", "reset")


def test_a_segment_of_the_past_is_not_taken(tmp_path: Path) -> None:
    """RFC 7323 5.3: octets that fit, with a timestamp before the last one."""
    ts = lambda v: [("Timestamp", (v, 0))]  # noqa: E731
    packets = [packet(0, SYN, options=ts(100)), packet(1, ACK, b"ab", ts(200)), packet(3, ACK, b"XX", ts(150)),
               packet(3, ACK, b"cd", ts(201))]
    assert both(written(tmp_path, packets)) == (b"abcd", "")


def test_data_behind_a_fin_is_not_taken(tmp_path: Path) -> None:
    packets = [packet(0, SYN), packet(3, FIN | ACK), packet(1, ACK, b"abcd"), packet(1, ACK, b"ab"),
               packet(3, ACK, b"x")]
    data, end = both(written(tmp_path, packets))
    assert (data, end) == (b"ab", "fin")


def test_a_difference_is_seen(tmp_path: Path) -> None:
    """The check itself: a stream with one octet changed on its way is not equal."""
    d = read(written(tmp_path, [packet(0, SYN), packet(1, ACK, b"abcd")])).directions[0]
    want = expected(d, WINDOW)
    d.segs[1].data = b"abxd"
    assert Player(d).play().data != want.data
