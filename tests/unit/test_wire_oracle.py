"""Wire formats against an independent oracle: what scapy builds we read, what we write scapy reads."""

from __future__ import annotations

import ctypes
import ipaddress
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wirelib import MAC, Arp, Eth, Icmp4, Ip4, Layer, MutableSpan, Quote, Span, Tcp, drop_name, emit, library

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
scapy = pytest.importorskip("scapy.all")

U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
PAYLOAD = st.binary(max_size=200)
OURS, PEER, GATEWAY = (int(ipaddress.IPv4Address(a)) for a in ("10.0.0.2", "10.0.0.9", "10.0.0.1"))
OUR_MAC, PEER_MAC = "02:00:00:00:00:02", "02:00:00:00:00:09"

quick = settings(max_examples=150, deadline=None)


def ip(address: int) -> str:
    return str(ipaddress.IPv4Address(address))


def parse(function: str, data: bytes, header: Any, *argv: Any) -> Any:
    """Call a parse function, expect success, return the header."""
    reason = getattr(library(), function)(Span(data, len(data)), *argv, ctypes.byref(header))
    assert drop_name(reason) == "NONE"
    return header


VERIFY = ctypes.c_bool(True)


@quick
@given(st.binary(min_size=6, max_size=6), st.binary(min_size=6, max_size=6),
       st.lists(st.tuples(st.sampled_from([0x8100, 0x88A8]), U16), max_size=2), PAYLOAD)
def test_ethernet(dst: bytes, src: bytes, tags: list[tuple[int, int]], payload: bytes) -> None:
    packet = scapy.Ether(dst=dst.hex(":"), src=src.hex(":"), type=tags[0][0] if tags else 0x0800)
    for place, (_, tci) in enumerate(tags):
        following = tags[place + 1][0] if place + 1 < len(tags) else 0x0800
        packet /= scapy.Dot1Q(prio=tci >> 13, dei=tci >> 12 & 1, vlan=tci & 0xFFF, type=following)
    raw = bytes(packet / scapy.Raw(payload))
    eth = parse("xw_eth_parse", raw, Eth())
    assert (bytes(eth.dst), bytes(eth.src), eth.type, eth.vlan_cnt) == (dst, src, 0x0800, len(tags))
    assert list(zip(eth.vlan_tpid, eth.vlan_tci, strict=True))[:len(tags)] == tags
    written = emit("xw_eth_emit", eth)
    assert written + payload == raw


@quick
@given(st.sampled_from([1, 2]), st.binary(min_size=6, max_size=6), st.binary(min_size=6, max_size=6), U32, U32)
def test_arp(op: int, sha: bytes, tha: bytes, spa: int, tpa: int) -> None:
    sha = bytes([sha[0] & 0xFE | 2]) + sha[1:]
    raw = bytes(scapy.ARP(op=op, hwsrc=sha.hex(":"), hwdst=tha.hex(":"), psrc=ip(spa), pdst=ip(tpa)))
    arp = parse("xw_arp_parse", raw, Arp())
    assert (arp.op, bytes(arp.sha), bytes(arp.tha), arp.spa, arp.tpa) == (op, sha, tha, spa, tpa)
    assert emit("xw_arp_emit", Arp(op, MAC(*sha), MAC(*tha), spa, tpa)) == raw


@quick
@given(U32, U32, U16, U8, U8, U8, st.integers(0, 0x1FFF), st.booleans(), st.booleans(), PAYLOAD)
def test_ip4(src: int, dst: int, ident: int, tos: int, ttl: int, proto: int, frag: int, df: bool, mf: bool,
             payload: bytes) -> None:
    flags = ("DF+" if df else "") + ("MF" if mf else "")
    packet = scapy.IP(src=ip(src), dst=ip(dst), id=ident, tos=tos, ttl=ttl, proto=proto, frag=frag,
                      flags=flags.strip("+"))
    raw = bytes(packet / scapy.Raw(payload))
    header = parse("xw_ip4_parse", raw, Ip4(), VERIFY)
    expected = Ip4(src, dst, len(raw), ident, frag, 20, tos, ttl, proto, df, mf, False)
    for field, *_ in Ip4._fields_:
        assert getattr(header, field) == getattr(expected, field), field
    assert emit("xw_ip4_emit", expected) == raw[:20]


@pytest.mark.parametrize(("option", "routed"), [
    (lambda: scapy.IPOption_RR(routers=["1.2.3.4", "0.0.0.0"]), False),
    (lambda: scapy.IPOption_Router_Alert(), False),
    (lambda: scapy.IPOption_Timestamp(flg=0, timestamp=0), False),
    (lambda: scapy.IPOption_LSRR(routers=["1.2.3.4", "5.6.7.8"]), True),
    (lambda: scapy.IPOption_SSRR(routers=["1.2.3.4"]), True),
    (lambda: [scapy.IPOption_NOP(), scapy.IPOption_RR(routers=["1.2.3.4"]),
              scapy.IPOption_LSRR(routers=["1.2.3.4"])], True),
])
def test_ip4_options(option: Callable[[], Any], routed: bool) -> None:
    raw = bytes(scapy.IP(src="1.2.3.4", dst="10.0.0.2", proto=6, options=option()) / scapy.Raw(b"abc"))
    header = parse("xw_ip4_parse", raw, Ip4(), VERIFY)
    assert header.hdr_len == (raw[0] & 15) * 4 > 20
    assert header.source_route is routed
    assert header.total_len == len(raw)


@quick
@given(U8, U8, U32, PAYLOAD)
def test_icmp(kind: int, code: int, rest: int, body: bytes) -> None:
    # scapy lays out the second word by the type; the type is put in afterwards, so that any word can stand there
    raw = bytearray(bytes(scapy.ICMP(type=8, code=code, id=rest >> 16, seq=rest & 0xFFFF) / scapy.Raw(body)))
    raw[0], raw[2:4] = kind, b"\0\0"
    raw[2:4] = scapy.checksum(bytes(raw)).to_bytes(2, "big")
    header = parse("xw_icmp4_parse", bytes(raw), Icmp4(), VERIFY)
    assert (header.type, header.code, header.rest) == (kind, code, rest)
    assert emit("xw_icmp4_emit", Icmp4(kind, code, rest), body) == bytes(raw)


@quick
@given(U32, U32, U16, U16, U32, PAYLOAD)
def test_icmp_quote(src: int, dst: int, sport: int, dport: int, seq: int, data: bytes) -> None:
    inner = bytes(scapy.IP(src=ip(src), dst=ip(dst)) / scapy.TCP(sport=sport, dport=dport, seq=seq) / scapy.Raw(data))
    for quoted in (inner, inner[:28]):
        found = parse("xw_icmp4_quote_parse", quoted, Quote())
        assert (found.src, found.dst, found.sport, found.dport, found.seq, found.total_len, found.proto) == (
            src, dst, sport, dport, seq, len(inner), 6)


FLAGS = "FSRPAUEC"
SACK = st.lists(st.tuples(U32, U32), min_size=1, max_size=4)


@st.composite
def tcp_options(draw: st.DrawFn) -> dict[str, Any]:
    """Options that fit into 40 bytes together."""
    chosen: dict[str, Any] = {}
    for name, strategy in (("MSS", st.integers(1, 65535)), ("WScale", U8), ("SAckOK", st.just(b"")),
                           ("Timestamp", st.tuples(U32, U32))):
        if draw(st.booleans()):
            chosen[name] = draw(strategy)
    if not chosen.keys() - {"Timestamp"} and draw(st.booleans()):
        chosen["SAck"] = tuple(word for block in draw(SACK)[:3 if chosen else 4] for word in block)
    return chosen


def header_of(options: dict[str, Any], **fields: int) -> Tcp:
    """The structure that says the same as scapy's options."""
    header = Tcp(**fields)
    for bit, name in ((1, "MSS"), (2, "WScale"), (4, "SAckOK"), (8, "Timestamp"), (16, "SAck")):
        header.opts |= bit if name in options else 0
    header.mss, header.wscale = options.get("MSS", 0), options.get("WScale", 0)
    header.ts_val, header.ts_ecr = options.get("Timestamp", (0, 0))
    edges = options.get("SAck", ())
    header.sack_cnt = len(edges) // 2
    for place, edge in enumerate(edges):
        header.sack[place // 2][place % 2] = edge
    return header


def says(header: Tcp) -> tuple[Any, ...]:
    """Every field of a header that counts."""
    return (header.src_port, header.dst_port, header.seq, header.ack, header.window, header.urgent, header.flags,
            header.opts, header.mss if header.opts & 1 else None, header.wscale if header.opts & 2 else None,
            (header.ts_val, header.ts_ecr) if header.opts & 8 else None,
            [tuple(block) for block in header.sack[:header.sack_cnt]] if header.opts & 16 else None)


@quick
@given(st.integers(1, 65535), st.integers(1, 65535), U32, U32, U16, U16, U8, tcp_options(), PAYLOAD)
def test_tcp(sport: int, dport: int, seq: int, ack: int, window: int, urgent: int, flags: int, options: dict[str, Any],
             data: bytes) -> None:
    text = "".join(letter for bit, letter in enumerate(FLAGS) if flags >> bit & 1)
    src, dst = 0xCB007107, OURS
    packet = scapy.IP(src=ip(src), dst=ip(dst)) / scapy.TCP(
        sport=sport, dport=dport, seq=seq, ack=ack, window=window, urgptr=urgent, flags=text,
        options=list(options.items())) / scapy.Raw(data)
    raw = bytes(packet)[20:]
    expected = header_of(options, src_port=sport, dst_port=dport, seq=seq, ack=ack, window=window, urgent=urgent,
                         flags=flags)
    header = parse("xw_tcp_parse", raw, Tcp(), ctypes.c_uint32(src), ctypes.c_uint32(dst), VERIFY)
    assert says(header) == says(expected)
    assert raw[header.hdr_len:] == data
    # and back: ours, read by scapy
    buf = ctypes.create_string_buffer(60 + len(data))
    length = library().xw_tcp_emit(ctypes.byref(expected), MutableSpan(ctypes.addressof(buf), 60))
    assert length == library().xw_tcp_hdr_len(ctypes.byref(expected))
    ctypes.memmove(ctypes.addressof(buf) + length, data, len(data))
    library().xw_tcp_set_checksum(MutableSpan(ctypes.addressof(buf), length + len(data)), ctypes.c_uint32(src),
                                  ctypes.c_uint32(dst))
    read = scapy.TCP(buf.raw[:length + len(data)])
    assert (read.sport, read.dport, read.seq, read.ack, read.window, read.urgptr, str(read.flags)) == (
        sport, dport, seq, ack, window, urgent, text)
    assert dict(option for option in read.options if option[0] not in ("NOP", "EOL")) == options
    assert bytes(read.payload) == data
    assert scapy.in4_chksum(6, scapy.IP(src=ip(src), dst=ip(dst)), buf.raw[:length + len(data)]) == 0


def layer(**cfg: Any) -> Layer:
    """A layer whose announcements were sent."""
    made = Layer(OURS, OUR_MAC, **cfg)
    for _ in range(2):
        announcement = scapy.Ether(made.output())
        assert (announcement[scapy.ARP].psrc, announcement[scapy.ARP].pdst) == ("10.0.0.2", "10.0.0.2")
        made.tick(2_000_000_000)
    assert made.output() == b""
    return made


def test_layer_answers_arp() -> None:
    net = layer()
    question = scapy.Ether(dst="ff:ff:ff:ff:ff:ff", src=PEER_MAC) / scapy.ARP(
        op="who-has", hwsrc=PEER_MAC, psrc=ip(PEER), pdst=ip(OURS))
    assert net.input(bytes(question))[0] == Layer.CONSUMED
    answer = scapy.Ether(net.output())
    assert answer[scapy.ARP].answers(question[scapy.ARP])
    assert (answer.dst, answer.src, answer[scapy.ARP].hwsrc) == (PEER_MAC, OUR_MAC, OUR_MAC)


def test_layer_resolves_and_sends() -> None:
    net = layer()
    segment = bytes(scapy.TCP(sport=1, dport=2, flags="S"))
    assert net.send(PEER, segment) == -2
    question = scapy.Ether(net.output())
    assert (question.dst, question[scapy.ARP].op, question[scapy.ARP].pdst) == ("ff:ff:ff:ff:ff:ff", 1, ip(PEER))
    answer = scapy.Ether(dst=OUR_MAC, src=PEER_MAC) / scapy.ARP(op="is-at", hwsrc=PEER_MAC, psrc=ip(PEER),
                                                               hwdst=OUR_MAC, pdst=ip(OURS))
    assert net.input(bytes(answer))[0] == Layer.CONSUMED
    frame = net.send(PEER, segment, tos=0xB8, ttl=31)
    assert isinstance(frame, bytes)
    packet = scapy.Ether(frame)
    assert (packet.dst, packet.src) == (PEER_MAC, OUR_MAC)
    assert (packet[scapy.IP].tos, packet[scapy.IP].ttl, str(packet[scapy.IP].flags), packet[scapy.IP].len) == (
        0xB8, 31, "DF", 40)
    read = packet[scapy.IP].chksum
    del packet[scapy.IP].chksum
    assert scapy.IP(bytes(packet[scapy.IP])).chksum == read


@quick
@given(PAYLOAD, st.integers(0, 2))
def test_layer_answers_echo(data: bytes, tags: int) -> None:
    net = layer(vlan_cnt=tags, vlan_id=(ctypes.c_uint16 * 2)(10, 20))
    link = scapy.Ether(dst=OUR_MAC, src=PEER_MAC)
    for vlan in (10, 20)[:tags]:
        link /= scapy.Dot1Q(vlan=vlan)
    arp = link / scapy.ARP(op="who-has", hwsrc=PEER_MAC, psrc=ip(PEER), pdst=ip(OURS))
    request = link / scapy.IP(src=ip(PEER), dst=ip(OURS)) / scapy.ICMP(id=7, seq=9) / scapy.Raw(data)
    verdict, _ = net.input(bytes(request))
    assert verdict == Layer.CONSUMED
    assert scapy.Ether(net.output())[scapy.ARP].pdst == ip(PEER)
    arp[scapy.ARP].op, arp[scapy.ARP].hwdst = 2, OUR_MAC
    assert net.input(bytes(arp))[0] == Layer.CONSUMED
    reply = scapy.Ether(net.output())
    assert [tag.vlan for tag in reply.iterpayloads() if isinstance(tag, scapy.Dot1Q)] == [10, 20][:tags]
    assert reply[scapy.ICMP].answers(request[scapy.ICMP])
    assert (reply[scapy.ICMP].type, reply[scapy.IP].dst) == (0, ip(PEER))
    body = bytes(reply[scapy.IP])[28:reply[scapy.IP].len]
    assert body == data
    assert scapy.checksum(bytes(reply[scapy.IP])[20:reply[scapy.IP].len]) == 0


@quick
@given(st.integers(68, 1499), U32, st.integers(1, 65535), st.integers(1, 65535))
def test_layer_reports_fragmentation_needed(mtu: int, seq: int, sport: int, dport: int) -> None:
    inner = scapy.IP(src=ip(OURS), dst="203.0.113.7", flags="DF") / scapy.TCP(sport=sport, dport=dport, seq=seq) / (
        b"x" * 1460)
    error = scapy.Ether(dst=OUR_MAC, src=PEER_MAC) / scapy.IP(src="198.51.100.1", dst=ip(OURS)) / scapy.ICMP(
        type=3, code=4, nexthopmtu=mtu) / bytes(inner)[:28]
    verdict, rx = layer().input(bytes(error))
    assert verdict == Layer.ICMP_ERROR
    assert (rx.icmp.mtu, rx.icmp.local_port, rx.icmp.remote_port, rx.icmp.seq) == (mtu, sport, dport, seq)
    assert (ip(rx.icmp.remote_ip), ip(rx.icmp.origin)) == ("203.0.113.7", "198.51.100.1")


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=120), st.sampled_from(["", "ip", "icmp", "arp"]))
def test_layer_takes_anything(data: bytes, prefix: str) -> None:
    """Random bytes behind a plausible beginning: a verdict, never more than a bounded answer."""
    eth = bytes.fromhex((OUR_MAC + PEER_MAC).replace(":", ""))
    frame = {"": b"", "ip": eth + b"\x08\x00", "arp": eth + b"\x08\x06",
             "icmp": bytes(scapy.Ether(dst=OUR_MAC, src=PEER_MAC) / scapy.IP(
                 src=ip(PEER), dst=ip(OURS), proto=1, len=20 + len(data)))}[prefix] + data
    net = layer()
    assert net.input(frame)[0] in range(4)
    assert sum(bool(net.output()) for _ in range(10)) <= 2
