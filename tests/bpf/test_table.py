"""Every case of the table, through libbpf's program and through BCC's."""
from __future__ import annotations

import random
import struct
import time

import packets as p
import pytest
from cases import ALL, Case
from conftest import prepare
from harness import XDP_PASS, XDP_REDIRECT, Bench, xsk

MAGIC, META_XDP = 0x58575331, 2


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.what)
def test_case(bench: Bench, case: Case) -> None:
    if case.dedicated:
        bench.set_dedicated(p.DEDICATED)
    if not case.socket:
        bench.unbind_socket(0)
    before = bench.counters()
    begin = time.monotonic_ns()
    result = bench.run(case.packet)
    end = time.monotonic_ns()
    assert bench.changed(before) == {case.counter: 1}
    assert result.packet == case.packet
    if case.redirected:
        assert result.verdict == XDP_REDIRECT
        assert len(result.raw_meta) == 32
        meta = result.meta
        assert (meta.magic, meta.len, meta.valid, meta.hw_ns, meta.spare) == (MAGIC, len(case.packet), META_XDP, 0, 0)
        assert begin <= meta.xdp_ns <= end
    else:
        assert result.verdict == XDP_PASS
        assert result.raw_meta == b""


def test_descriptions_are_unique() -> None:
    keys = [(case.what, case.dedicated, case.socket) for case in ALL]
    assert len(set(keys)) == len(keys)


def test_truncation_at_every_length(bench: Bench) -> None:
    """A whole segment cut anywhere is passed, and the reason is where the cut is."""
    whole = p.segment()
    for length in range(14, len(whole)):
        before = bench.counters()
        assert bench.run(whole[:length]).verdict == XDP_PASS
        assert bench.changed(before) == {"pass_short" if length < 34 else "pass_ip_malformed": 1}, length


def test_truncation_with_tags(bench: Bench) -> None:
    whole = p.eth(p.ip4(p.tcp()), tags=(p.AD, p.Q))
    for length in range(14, len(whole)):
        before = bench.counters()
        assert bench.run(whole[:length]).verdict == XDP_PASS
        assert bench.changed(before) == {"pass_short" if length < 42 else "pass_ip_malformed": 1}, length


def test_total_length_at_every_value(bench: Bench) -> None:
    """The segment ends where the total length says: never into the padding, never before its header."""
    for total in range(80):
        before = bench.counters()
        bench.run(p.eth(p.ip4(p.tcp(bytes(10)), total=total)) + bytes(6))
        malformed = "pass_ip_malformed" if total < 20 or total > 56 else "pass_tcp_malformed"
        expected = "redirect" if 40 <= total <= 56 else malformed
        assert bench.changed(before) == {expected: 1}, total


@pytest.mark.parametrize("length", [4, 8, 32, 64])
def test_metadata_that_was_there(bench: Bench, length: int) -> None:
    """Another program's metadata is overwritten from its end; our struct is always right before the packet."""
    result = bench.run(p.segment(), meta=bytes([0xEE]) * length)
    assert result.verdict == XDP_REDIRECT
    assert result.meta.magic == MAGIC
    assert len(result.raw_meta) >= 32


def test_passed_packet_keeps_its_metadata(bench: Bench) -> None:
    result = bench.run(p.eth(p.ip4(p.tcp(dport=22))), meta=b"abcdefgh")
    assert (result.verdict, result.raw_meta) == (XDP_PASS, b"abcdefgh")


def test_flow_goes_and_comes(bench: Bench) -> None:
    flow = (p.EXCHANGE, 5000, p.US, 6000)
    packet = p.eth(p.ip4(p.tcp(sport=5000, dport=6000)))
    assert bench.run(packet).verdict == XDP_PASS
    bench.add_flow(*flow)
    assert bench.run(packet).verdict == XDP_REDIRECT
    bench.add_flow(*flow, active=False)
    assert bench.run(packet).verdict == XDP_PASS
    assert bench.remove_flow(*flow) is True
    assert bench.remove_flow(*flow) is False
    before = bench.counters()
    assert bench.run(packet).verdict == XDP_PASS
    assert bench.changed(before) == {"pass_no_flow": 1}


def test_socket_that_closes_leaves_the_queue(bench: Bench) -> None:
    with xsk() as sock:
        bench.bind_socket(0, sock.fileno())
        assert bench.run(p.segment()).verdict == XDP_REDIRECT
    before = bench.counters()
    deadline = time.monotonic() + 5
    while bench.run(p.segment()).verdict == XDP_REDIRECT:  # the kernel takes it out of the map when it is released
        assert time.monotonic() < deadline
    assert bench.changed(before)["pass_no_socket"] == 1


def mutations(count: int, seed: int) -> list[bytes]:
    """Packets of the table with bytes changed, cut, or lengthened."""
    rng = random.Random(seed)
    result = []
    for _ in range(count):
        data = bytearray(rng.choice(ALL).packet)
        for _ in range(rng.randrange(4)):
            data[rng.randrange(12, len(data))] = rng.choice((0, 1, 4, 6, 8, 0x45, 0x46, 0x81, 0xFF, rng.randrange(256)))
        if rng.random() < 0.3:
            data = data[: rng.randrange(14, len(data) + 1)]
        result.append(bytes(data) + rng.randbytes(rng.choice((0, 0, 0, 6, 100))))
    return result


def test_both_loaders_decide_alike(libbpf_bench: Bench, bcc_bench: Bench) -> None:
    """Thousands of mutated packets: the same verdict, packet and counter from both, and exactly one counter each."""
    decisions: dict[str, int] = {}
    with xsk() as sock:
        for bench in (libbpf_bench, bcc_bench):
            prepare(bench, sock.fileno())
            bench.set_dedicated(p.DEDICATED)
        for packet in mutations(4000, seed=7):
            befores = [bench.counters() for bench in (libbpf_bench, bcc_bench)]
            one, two = libbpf_bench.run(packet), bcc_bench.run(packet)
            changed = libbpf_bench.changed(befores[0])
            assert (one.verdict, one.packet) == (two.verdict, two.packet), packet.hex()
            assert changed == bcc_bench.changed(befores[1]), packet.hex()
            assert sum(changed.values()) == 1, packet.hex()
            assert (one.verdict == XDP_REDIRECT) == next(iter(changed)).startswith("redirect")
            decisions[next(iter(changed))] = decisions.get(next(iter(changed)), 0) + 1
        for bench in (libbpf_bench, bcc_bench):
            bench.reset()
    assert len(decisions) >= 14, decisions


def test_random_bytes_are_passed(bench: Bench) -> None:
    rng = random.Random(11)
    before = bench.counters()
    for _ in range(2000):
        head = b"" if rng.random() < 0.5 else bytes(12) + b"\x08\x00" + struct.pack("B", rng.choice((0x45, 0x46, 0x65)))
        assert bench.run(head + rng.randbytes(rng.randrange(14, 200))).verdict == XDP_PASS
    assert sum(bench.changed(before).values()) == 2000
