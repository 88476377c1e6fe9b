"""csrc/ws against `websockets` and `wsproto`, both roles, without I/O: generated conversations, fragments, compression
and chunks; every split; and what each says to streams that break the rules.

The same examples each time; XDPWS_EXAMPLES=5000 (`make differential`) tries so many new ones a test.
"""
from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ws_peers import BINARY, CLIENT, PEERS, SERVER, TEXT, Deflate, Ours, Peer, Websockets, Wsproto, pump

BOTH = pytest.mark.parametrize("name", PEERS)
ROLES = pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])
MANY = int(os.environ.get("XDPWS_EXAMPLES", "0"))
QUICK = settings(max_examples=MANY or 150, derandomize=not MANY, deadline=None,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

# ---- generated conversations ----

SIZES = st.sampled_from([0, 1, 2, 63, 125, 126, 127, 500, 4096, 65535, 65536, 70000])
LETTERS = st.text("aé€💩 {}\":0123456789", max_size=30)


@st.composite
def _texts(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    """A text in parts, cut between characters, for wsproto sends only such ones."""
    unit, size = draw(LETTERS), draw(SIZES)
    text = (unit * (size // max(1, len(unit)) + 1))[:size]
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return TEXT, [text[a:b].encode() for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def _binaries(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    unit, size = draw(st.binary(min_size=1, max_size=60)), draw(SIZES)
    data = (unit * (size // len(unit) + 1))[:size]
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=4)))
    return BINARY, [data[a:b] for a, b in zip([0, *cuts], [*cuts, size], strict=True)]


MESSAGES = _texts() | _binaries()
CONTROLS = st.tuples(st.sampled_from([9, 10]), st.binary(max_size=125))
STEPS = st.lists(st.tuples(st.sampled_from(["us", "peer"]), MESSAGES | CONTROLS, st.booleans()), max_size=8)
CHUNKS = st.just([]) | st.just([1]) | st.lists(st.integers(1, 60), min_size=1, max_size=5)
CODES = st.sampled_from([0, 1000, 1001, 1003, 1007, 1008, 1011, 1012, 1013, 3000, 4000, 4999])
REASONS = st.text("ab é€", max_size=40).filter(lambda text: len(text.encode()) <= 123)
CLOSES = st.tuples(st.sampled_from(["us", "peer", "both", "none"]), CODES, REASONS, CODES, REASONS)


def _deflates(least: int) -> st.SearchStrategy[Deflate | None]:
    """Parameters whose windows zlib can deflate with where the other library does it: 9 and more."""
    bits = st.sampled_from([0, *range(least, 16)])
    return st.none() | st.builds(Deflate, st.booleans(), st.booleans(), bits, bits | st.just(1))


def say(end: Ours | Peer, what: tuple[int, Any]) -> None:
    opcode, payload = what
    if opcode < 8:
        end.send(opcode, payload)
    elif opcode == 9:
        end.ping(payload)
    else:
        end.pong(payload)


def check(got: Ours | Peer, other: str, steps: Sequence[tuple[str, tuple[int, Any], bool]]) -> None:
    """What `got` received is what the other end said, messages in order; pongs answer its own pings too."""
    said = [what for who, what, _ in steps if who == other]
    own = [what for who, what, _ in steps if who != other]
    assert got.messages == [(opcode, b"".join(parts)) for opcode, parts in said if opcode < 8]
    assert got.pings == [data for opcode, data in said if opcode == 9]
    assert sorted(got.pongs) == sorted([data for opcode, data in said if opcode == 10] +
                                       [data for opcode, data in own if opcode == 9])
    assert got.failed is None


def talk(us: Ours, peer: Peer, steps: Sequence[tuple[str, tuple[int, Any], bool]], to_us: Sequence[int],
         to_peer: Sequence[int]) -> None:
    pump(us, peer, to_us, to_peer)
    assert us.opened
    for who, what, at_once in steps:
        say(us if who == "us" else peer, what)
        if at_once:
            pump(us, peer, to_us, to_peer)
    pump(us, peer, to_us, to_peer)
    check(us, "peer", steps)
    check(peer, "us", steps)


def end(us: Ours, peer: Peer, close: tuple[str, int, str, int, str],
        chunks: tuple[Sequence[int], Sequence[int]]) -> None:
    """The close handshake in the order given; both ends must have seen the other's close frame, and no fault."""
    who, code, reason, code2, reason2 = close
    code2 = code2 or (1000 if isinstance(peer, Wsproto) else 0)  # it always gives a code
    reason, reason2 = reason if code else "", reason2 if code2 else ""
    if who == "none":
        return
    if who in ("us", "both"):
        us.close(code, reason)
    if who in ("peer", "both"):
        peer.close(code2, reason2)
    pump(us, peer, *chunks)
    assert us.ended is not None
    assert us.ended[0] == 0
    assert us.failed is None
    assert peer.failed is None
    assert peer.closed is not None
    if who in ("us", "both"):
        assert peer.closed == (code or 1005, reason)
        assert us.ended[2:] == (code or 1005, False)
    if who in ("peer", "both"):
        assert us.closed == (code2 or 1005, reason2)
        assert us.ended[1] == (code2 or 1005)
    else:
        assert us.ended[1] == (code or 1005)  # the code comes back
    if who == "peer":
        assert us.ended[2:] == (code2 or 1005, True)
        assert peer.closed[0] == (code2 or 1005)


@BOTH
@QUICK
@given(data=st.data())
def test_conversations_as_client(name: str, data: st.DataObject) -> None:
    """We offer: any windows for ourselves, for the server those that zlib can deflate with."""
    draw = data.draw
    offer, wants = draw(_deflates(9)), draw(_deflates(9))
    if offer is not None and draw(st.booleans()) and name == "websockets":  # wsproto knows no 8 bits
        offer = Deflate(offer.server_reset, offer.client_reset, offer.server_bits, 8)
    if name == "wsproto" and wants is not None:
        wants = Deflate()  # it answers with all of its own parameters, asked for or not
    us = Ours(CLIENT, offer, max_events=draw(st.sampled_from([1, 8])), chunk=draw(st.sampled_from([0, 0, 1, 7])),
              deflate_min=draw(st.sampled_from([0, 100])), straight=draw(st.booleans()))
    peer = PEERS[name](SERVER, wants)
    chunks = draw(CHUNKS), draw(CHUNKS)
    talk(us, peer, draw(STEPS), *chunks)
    end(us, peer, draw(CLOSES), chunks)


@BOTH
@QUICK
@given(data=st.data())
def test_conversations_as_server(name: str, data: st.DataObject) -> None:
    draw = data.draw
    wants, offer = draw(_deflates(8 if name == "websockets" else 9)), draw(_deflates(9))
    if wants is not None and wants.client_bits < 9:
        wants = Deflate(wants.server_reset, wants.client_reset, wants.server_bits, 0)  # what the other deflates with
    us = Ours(SERVER, wants, max_events=draw(st.sampled_from([1, 8])), chunk=draw(st.sampled_from([0, 0, 1, 7])),
              deflate_min=draw(st.sampled_from([0, 100])))
    peer = PEERS[name](CLIENT, offer)
    chunks = draw(CHUNKS), draw(CHUNKS)
    talk(us, peer, draw(STEPS), *chunks)
    end(us, peer, draw(CLOSES), chunks)


# ---- every split ----

FIXED: list[tuple[str, tuple[int, Any], bool]] = [
    ("peer", (TEXT, ["Hé".encode(), "ll€".encode(), b"", "o💩".encode()]), False), ("peer", (9, b"ping"), False),
    ("peer", (BINARY, [bytes(range(200))]), False), ("peer", (TEXT, [b""]), False), ("peer", (10, b"pong"), False),
    ("peer", (BINARY, [b"twice " * 30]), False), ("peer", (TEXT, [b"twice " * 30]), False),
]


@BOTH
@ROLES
@pytest.mark.parametrize("deflate", [None, Deflate(), Deflate(True, True)], ids=["plain", "takeover", "reset"])
def test_messages_to_us_however_cut(name: str, role: int, deflate: Deflate | None) -> None:
    """What the peer said, recorded, then given to a fresh connection of ours in two pieces, cut at every byte."""
    peer = PEERS[name](CLIENT if role == SERVER else SERVER, deflate)
    us = Ours(role, deflate)
    said = b""
    for turn in range(4):
        peer.feed(us.out())
        if turn == 2:
            for _, what, _ in FIXED:
                say(peer, what)
            peer.close(1001, "bye")
        piece = peer.out()
        said += piece
        us.feed(piece)
    want = (us.messages, us.pings, us.pongs, us.closed)
    assert len(us.messages) == 5
    assert us.closed == (1001, "bye")
    for cut in range(len(said) + 1):
        again = Ours(role, deflate, max_events=1 + cut % 2, straight=cut % 3 == 0)
        again.feed(said[:cut])
        again.feed(said[cut:])
        assert (again.messages, again.pings, again.pongs, again.closed) == want
    again = Ours(role, deflate)
    for i in range(len(said)):
        again.feed(said[i:i + 1])
    assert (again.messages, again.pings, again.pongs, again.closed) == want


@pytest.mark.parametrize(("name", "role"), [("websockets", CLIENT), ("websockets", SERVER), ("wsproto", CLIENT)])
@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "takeover"])
def test_messages_from_us_however_cut(name: str, role: int, deflate: Deflate | None) -> None:
    """The same the other way; wsproto as client has a key of its own each time, so its splits are not repeated."""
    def fresh() -> Peer:
        return PEERS[name](CLIENT if role == SERVER else SERVER, deflate)

    us, peer = Ours(role, deflate), fresh()
    said = b""
    for turn in range(4):
        us.feed(peer.out())
        if turn == 2:
            for _, what, _ in FIXED:
                say(us, what)
            us.close(1001, "bye")
        piece = us.out()
        said += piece
        peer.feed(piece)
    want = (peer.messages, peer.pings, peer.closed)
    assert len(peer.messages) == 5
    frames = said.index(b"\r\n\r\n") + 4  # before these the other must have said what it agrees to
    for cut in range(len(said) + 1):
        again = fresh()
        again.out()
        for piece in (said[:min(cut, frames)], said[min(cut, frames):frames], said[frames:max(cut, frames)],
                      said[max(cut, frames):]):
            again.feed(piece)
        assert (again.messages, again.pings, again.closed) == want


# ---- streams that break the rules ----

def frame(first: int, payload: bytes, masked: bool, *, form: int = 0) -> bytes:
    """One frame; form 2 or 8: that many length bytes, whether they are needed or not."""
    form = form or (8 if len(payload) > 65535 else 2 if len(payload) > 125 else 0)
    length = {0: lambda n: bytes([n]), 2: lambda n: b"\x7e" + struct.pack(">H", n),
              8: lambda n: b"\x7f" + struct.pack(">Q", n)}[form](len(payload))
    length = bytes([length[0] | (0x80 if masked else 0)]) + length[1:]
    key = b"\x11\x22\x33\x44" if masked else b""
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)) if masked else payload
    return bytes([first]) + length + key + body


def opened(kind: type[Peer] | None, role: int, straight: bool = False) -> Any:
    """An end of ours (None) or theirs behind its handshake with an end of the other kind, which is then forgotten."""
    us = Ours(role, straight=straight) if kind is None else None
    one: Any = us if us is not None else kind(role)  # type: ignore[misc]
    other: Any = Websockets(SERVER if role == CLIENT else CLIENT) if us is not None else Ours(
        SERVER if role == CLIENT else CLIENT)
    for _ in range(3):
        other.feed(one.out())
        one.feed(other.out())
    return one


GOOD = [(0x81, b"text"), (0x82, b"\xff"), (0x01, b"frag"), (0x00, b"ment"), (0x80, b"ed"), (0x89, b"p"), (0x8a, b""),
        (0x02, b""), (0x81, "é".encode()), (0x80, b"")]
# codes 3072 and 872, whose bytes are UTF-8 too: `websockets` leaves the check of texts to its users
ODD = st.tuples(st.integers(0, 255), st.sampled_from([b"", b"x", b"\x0c\0", b"\x0c\0ok", b"\x03\x68", b"x" * 126]))
STREAMS = st.lists(st.sampled_from(GOOD) | ODD, min_size=1, max_size=6)


def verdict(end: Any, stream: Sequence[bytes]) -> tuple[Any, ...]:
    """Messages before the fault, and its code; None: no fault."""
    for piece in stream:
        end.feed(piece)
    end.out()
    if isinstance(end, Ours):
        end.eof()  # ENDED comes with the end of the stream
    return end.messages, end.failed


def in_a_message(frames: Sequence[tuple[int, bytes]]) -> bool:
    """A close frame comes while a fragmented message is open; `websockets` calls that a fault, RFC 6455 does not."""
    inside = False
    for first, _ in frames:
        if first == 0x88:
            return inside
        if not first & 8:
            inside = not first & 0x80
    return False


@ROLES
@settings(QUICK, max_examples=MANY or 400)
@given(frames=STREAMS, wrong_mask=st.booleans())
def test_faults_as_websockets_sees_them(role: int, frames: list[tuple[int, bytes]], wrong_mask: bool) -> None:
    """Any opcodes, reserved bits, FIN and order: the same messages before the fault, the same code."""
    masked = role == SERVER
    stream = [frame(first, payload, masked) for first, payload in frames]
    if wrong_mask:
        stream.append(frame(0x81, b"x", not masked))
    if in_a_message(frames):
        return
    want = verdict(opened(Websockets, role), stream)
    assert verdict(opened(None, role), stream) == want
    assert verdict(opened(None, role, True), [b"".join(stream)]) == want


@ROLES
@settings(QUICK, max_examples=MANY or 300)
@given(text=st.lists(st.binary(max_size=6) | st.text("é€💩", max_size=3).map(str.encode), min_size=1, max_size=5),
       form=st.sampled_from([0, 0, 0, 2, 8]))
def test_texts_and_lengths_as_wsproto_sees_them(role: int, text: list[bytes], form: int) -> None:
    """Fragments of text, valid or not, cut anywhere; lengths in forms longer than they need be."""
    stream = [frame((0 if i else 1) | (0x80 if i == len(text) - 1 else 0), part, role == SERVER,
                    form=0 if i else form) for i, part in enumerate(text)]
    want = verdict(opened(Wsproto, role), stream)
    assert verdict(opened(None, role), stream) == want
    assert verdict(opened(None, role, True), [b"".join(stream)]) == want


@ROLES
def test_every_close_code(role: int) -> None:
    """0 … 5099: taken or refused as `websockets` does."""
    for code in range(5100):
        stream = [frame(0x88, struct.pack(">H", code), role == SERVER)]
        us, them = opened(None, role) if code % 50 in (0, 12, 13) or 995 < code < 1020 else None, None
        if us is None:
            continue
        them = opened(Websockets, role)
        assert verdict(us, stream) == verdict(them, stream), code
        assert us.closed == them.closed
