"""Recorded WebSocket connections (ws_*.pcap of $XDPWS_PCAPS, default ../shared/data/pcaps): each direction is given to
csrc/ws, to `websockets` and to `wsproto` in the role of who received it; all three must have got the same.

In a server's answer two things are changed before a client sees it: Sec-WebSocket-Accept, which belongs to the recorded
client's key, and Sec-WebSocket-Protocol, which we did not ask for.
"""
from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from scapy.all import IP, TCP, rdpcap
from websockets.utils import accept_key
from ws_peers import CLIENT, PEERS, SERVER, Deflate, Ours, Wsproto

FOLDER = Path(os.environ.get("XDPWS_PCAPS", Path(__file__).resolve().parents[3] / "shared" / "data" / "pcaps"))
FILES = sorted(FOLDER.glob("ws_*.pcap"))
UNMASKED = ("ws_suricata_ping", "ws_zeek_wstunnel-http")
"""Whose clients do not mask: every server must refuse that."""
pytestmark = pytest.mark.skipif(not FILES, reason=f"no WebSocket captures (ws_*.pcap) in {FOLDER}")


def streams(path: Path) -> tuple[bytes, bytes]:
    """What client and server sent on the connection that begins with a GET; retransmissions count once."""
    first: dict[Any, int] = {}
    pieces: dict[Any, dict[int, bytes]] = {}
    for packet in rdpcap(str(path)):
        if TCP not in packet or IP not in packet:
            continue
        tcp = packet[TCP]
        flow = (packet[IP].src, tcp.sport, packet[IP].dst, tcp.dport)
        size = packet[IP].len - packet[IP].ihl * 4 - tcp.dataofs * 4
        if tcp.flags.S:
            first[flow] = tcp.seq + 1
        if size > 0:
            first.setdefault(flow, tcp.seq)
            pieces.setdefault(flow, {})[(tcp.seq - first[flow]) % 2**32] = bytes(tcp.payload)[:size]
    whole = {}
    for flow, parts in pieces.items():
        data = b""
        for at, part in sorted(parts.items()):
            assert at <= len(data), "a hole in the capture"
            data += part[len(data) - at:]
        whole[flow] = data
    [client] = [flow for flow, data in whole.items() if data.startswith(b"GET ")]
    return whole[client], whole[(client[2], client[3], client[0], client[1])]


def head_len(stream: bytes) -> int:
    return stream.index(b"\r\n\r\n") + 4


def for_client(answer: bytes, request: bytes) -> bytes:
    """The recorded answer as one to this request."""
    found = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", request)
    assert found is not None
    head, rest = answer[:head_len(answer)], answer[head_len(answer):]
    accept = accept_key(found[1].decode()).encode()
    head = re.sub(rb"(?i)(\r\nsec-websocket-accept: *)\S+", lambda m: m[1] + accept, head)
    return re.sub(rb"(?i)\r\nsec-websocket-protocol:[^\r]*", b"", head) + rest


def record(end: Any, role: int, stream: bytes, cuts: Iterable[int]) -> tuple[Any, ...]:
    """What the end got of the stream, cut at these offsets; always behind the head, so that answers can be made."""
    if role == CLIENT:
        stream = for_client(stream, end.out())
    places = sorted({0, head_len(stream), len(stream), *(cut for cut in cuts if cut < len(stream))})
    for a, b in itertools.pairwise(places):
        end.feed(stream[a:b])
        end.out()
    if isinstance(end, Ours):
        end.eof()  # a fault is told with the end of the stream
    return end.messages, end.pings, end.pongs, end.closed, end.failed


@pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["to-client", "to-server"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_capture(path: Path, role: int) -> None:
    said, answered = streams(path)
    stream = answered if role == CLIENT else said
    packed = b"permessage-deflate" in answered[:head_len(answered)]
    deflate = Deflate(client_bits=1 if role == CLIENT else 0) if packed else None
    want = record(PEERS["websockets"](role, deflate), role, stream, ())
    assert record(PEERS["wsproto"](role, deflate), role, stream, ()) == want
    assert any(want), "nothing in it"
    if path.stem in UNMASKED and role == SERVER:
        assert want == ([], [], [], None, 1002)
    us = Ours(role, deflate)
    assert record(us, role, stream, ()) == want
    assert us.opened
    assert record(Ours(role, deflate), role, stream, range(len(stream))) == want
    assert record(Ours(role, deflate, straight=True), role, stream, ()) == want
    step = max(1, len(stream) // 1500)
    for cut in range(head_len(stream), len(stream), step):
        assert record(Ours(role, deflate, max_events=1), role, stream, (cut,)) == want


def test_every_capture_is_a_websocket() -> None:
    """None was passed over: a dozen files, compressed and fragmented messages among them."""
    assert len(FILES) >= 12
    assert any(b"permessage-deflate" in streams(path)[1] for path in FILES)
    assert Wsproto.feed is not Ours.feed
