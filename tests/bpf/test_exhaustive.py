"""Every ethertype, every protocol, every port of one flow: exactly one value of each is ours."""
from __future__ import annotations

import struct
from collections import Counter

import packets as p
from harness import XDP_REDIRECT, Bench


def redirected(bench: Bench, packet: bytes, offset: int, count: int, width: str) -> list[int]:
    """The values that, put at `offset` of the packet, make it ours."""
    data = bytearray(packet)
    found = []
    for value in range(count):
        struct.pack_into(width, data, offset, value)
        if bench.run(bytes(data)).verdict == XDP_REDIRECT:
            found.append(value)
    return found


def test_all_ethertypes(bench: Bench) -> None:
    """Only IPv4. The tags' types and ARP are looked into, and what follows is none of theirs; the rest is not IP."""
    before = bench.counters()
    assert redirected(bench, p.segment(b""), 12, 65536, ">H") == [0x0800]
    changed = Counter(bench.changed(before))
    assert changed.pop("redirect") == 1
    assert changed.pop("pass_arp") == 1
    # behind 0x8100 and 0x88a8 stand the bytes 45 00 00 28: a tag, then ethertype 0x0028
    assert changed == {"pass_not_ip": 65536 - 2}


def test_all_ethertypes_behind_two_tags(one_bench: Bench) -> None:
    before = one_bench.counters()
    assert redirected(one_bench, p.eth(p.ip4(p.tcp()), tags=(p.AD, p.Q)), 20, 65536, ">H") == [0x0800]
    assert one_bench.changed(before) == {"redirect": 1, "pass_arp": 1, "pass_vlan_depth": 2, "pass_not_ip": 65532}


def test_all_protocols(bench: Bench) -> None:
    before = bench.counters()
    assert redirected(bench, p.segment(), 23, 256, "B") == [p.TCP]
    assert bench.changed(before) == {"redirect": 1, "pass_icmp": 1, "pass_proto": 254}


def test_all_versions_and_header_lengths(bench: Bench) -> None:
    before = bench.counters()
    assert redirected(bench, p.segment(bytes(40)), 14, 256, "B") == [0x45]
    assert bench.changed(before) == {"redirect": 1, "pass_tcp_malformed": 10, "pass_ip_malformed": 245}


def test_all_fragment_fields(bench: Bench) -> None:
    """Whole packets are those with neither an offset nor more to follow, first fragments those with more and no
    offset, whatever the other two flags say."""
    before = bench.counters()
    assert redirected(bench, p.segment(), 20, 65536, ">H") == [n << 13 for n in range(8)]
    assert bench.changed(before) == {"redirect": 4, "redirect_fragment": 4, "pass_fragment": 65528}


def test_all_data_offsets(bench: Bench) -> None:
    """34 bytes of segment hold a header of 5 to 8 words; the reserved low half of the byte does not matter."""
    before = bench.counters()
    assert redirected(bench, p.segment(bytes(14)), 46, 256, "B") == list(range(0x50, 0x90))
    assert bench.changed(before) == {"redirect": 64, "pass_tcp_malformed": 192}


def test_all_icmp_types(bench: Bench) -> None:
    packet = p.eth(p.ip4(p.icmp(0, p.quote()), p.ICMP, src=p.OTHER))
    assert redirected(bench, packet, 34, 256, "B") == [3, 4, 11, 12]


def test_all_ports(one_bench: Bench) -> None:
    """The exact 4-tuple: of all source ports and of all destination ports one each."""
    assert redirected(one_bench, p.segment(), 34, 65536, ">H") == [p.EXCHANGE_PORT]
    before = one_bench.counters()
    assert redirected(one_bench, p.segment(), 36, 65536, ">H") == [p.OUR_PORT]
    assert one_bench.changed(before) == {"redirect": 1, "pass_inactive": 1, "pass_no_flow": 65534}
