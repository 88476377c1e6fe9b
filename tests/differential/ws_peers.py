"""Ends of a WebSocket without I/O, all with one face: ours (csrc/ws by ws_peer.c), `websockets`, `wsproto`.

An end has `feed(bytes)`, `out() -> bytes`, `eof()`, `send(opcode, parts)`, `ping`, `pong`, `close`, and a record of
what it got: `messages` [(opcode, bytes)], `pings`, `pongs`, `closed` (code, reason) of the other side's close frame,
`failed` the code that it failed the connection with. `shut` says that it ended its direction.
"""
from __future__ import annotations

import ctypes
import functools
import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as TheirRequest
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from wsproto import ConnectionType, WSConnection, events
from wsproto.connection import ConnectionState
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

ROOT = Path(__file__).resolve().parents[2]
CLIENT, SERVER = 1, 2
TEXT, BINARY = 1, 2
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@dataclass(frozen=True)
class Deflate:
    """Parameters of permessage-deflate that one end offers or wants; bits 0: none, 1: client_max_window_bits bare."""

    server_reset: bool = False
    client_reset: bool = False
    server_bits: int = 0
    client_bits: int = 0


@dataclass
class Record:
    """What an end got."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    closed: tuple[int, str] | None = None
    failed: int | None = None
    shut: bool = False


class _Cfg(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in (
        "role", "max_events", "seed", "chunk", "max_message", "deflate_min", "on", "server_reset", "client_reset",
        "server_bits", "client_bits", "straight"))


@functools.cache
def library() -> ctypes.CDLL:
    """ws_peer.c, built when it is not."""
    subprocess.run(["make", "-s", "ws-peer"], cwd=ROOT, check=True, timeout=600, stdout=subprocess.DEVNULL)
    c = ctypes.CDLL(str(ROOT / "build" / "checked" / "ws_peer.so"))
    c.peer_new.restype = ctypes.c_void_p
    for name in ("peer_feed", "peer_take", "peer_events"):
        getattr(c, name).restype = ctypes.c_size_t
    return c


class Ours(Record):
    """csrc/ws. `ended` is the ENDED event: (error, code, sent, by_peer)."""

    def __init__(self, role: int, deflate: Deflate | None = None, *, max_events: int = 8, chunk: int = 0, seed: int = 1,
                 max_message: int = 1 << 20, deflate_min: int = 0, straight: bool = False) -> None:
        super().__init__()
        self.c = library()
        d = deflate or Deflate()
        self.cfg = _Cfg(role, max_events, seed, chunk, max_message, deflate_min, deflate is not None, d.server_reset,
                        d.client_reset, d.server_bits, d.client_bits, straight)
        self.p = ctypes.c_void_p(self.c.peer_new(ctypes.byref(self.cfg)))
        self.opened = False
        self.head = b""
        self.ended: tuple[int, int, int, bool] | None = None
        self._buffer = ctypes.create_string_buffer(1 << 21)

    def __del__(self) -> None:
        self.c.peer_free(self.p)

    def feed(self, data: bytes) -> None:
        assert self.c.peer_feed(self.p, data, ctypes.c_size_t(len(data))) == len(data)
        self._events()

    def eof(self) -> None:
        self.c.peer_eof(self.p)
        self._events()

    def out(self) -> bytes:
        self._events()
        n = self.c.peer_take(self.p, self._buffer, ctypes.c_size_t(len(self._buffer)))
        return ctypes.string_at(self._buffer, n)

    def send(self, opcode: int, parts: Sequence[bytes]) -> None:
        for i, part in enumerate(parts):
            rc = self.c.peer_send(self.p, 0 if i else opcode, i == len(parts) - 1, part, ctypes.c_size_t(len(part)))
            assert rc == 0, rc
        self._events()

    def ping(self, data: bytes) -> None:
        self.send(9, [data])

    def pong(self, data: bytes) -> None:
        self.send(10, [data])

    def close(self, code: int, reason: str = "") -> None:
        raw = reason.encode()
        assert self.c.peer_close(self.p, code, raw, ctypes.c_size_t(len(raw))) == 0
        self._events()

    def _events(self) -> None:
        self.shut = bool(self.c.peer_shut(self.p))
        n = self.c.peer_events(self.p, self._buffer, ctypes.c_size_t(len(self._buffer)))
        raw = ctypes.string_at(self._buffer, n)
        at = 0
        while at < len(raw):
            kind, opcode, by_peer, error, code, sent, size = struct.unpack_from("<cBBiIII", raw, at)
            at += 19
            self._event(kind, opcode, raw[at:at + size], (error, code, sent, bool(by_peer)))
            at += size

    def _event(self, kind: bytes, opcode: int, data: bytes, numbers: tuple[int, int, int, bool]) -> None:
        match kind:
            case b"O":
                self.opened, self.head = True, data
            case b"M":
                self.messages.append((opcode, data))
            case b"I":
                self.pings.append(data)
            case b"N":
                self.pongs.append(data)
            case b"C":
                self.closed = (numbers[1], data.decode())
            case b"R" | b"E":
                self.ended = numbers
                if numbers[0] and not numbers[3] and numbers[2]:
                    self.failed = numbers[2]


class Websockets(Record):
    """The Sans-I/O protocol of `websockets`."""

    def __init__(self, role: int, deflate: Deflate | None = None) -> None:
        super().__init__()
        self.role = role
        self._parts: list[bytes] | None = None
        self._opcode = 0
        self.p: ClientProtocol | ServerProtocol
        d = deflate
        if role == CLIENT:
            extension = [] if d is None else [ClientPerMessageDeflateFactory(
                d.server_reset, d.client_reset, d.server_bits or None,
                True if d.client_bits == 1 else d.client_bits or None)]
            client = ClientProtocol(parse_uri("ws://h/"), extensions=extension, max_size=None)
            client.key = KEY
            client.send_request(client.connect())
            self.p = client
        else:
            extension = [] if d is None else [ServerPerMessageDeflateFactory(
                d.server_reset, d.client_reset, d.server_bits or None,
                d.client_bits if d.client_bits > 1 else None)]
            self.p = ServerProtocol(extensions=extension, max_size=None)

    def feed(self, data: bytes) -> None:
        if data:
            self.p.receive_data(data)
        self._events()

    def eof(self) -> None:
        self.p.receive_eof()
        self._events()

    def out(self) -> bytes:
        writes = self.p.data_to_send()
        self.shut |= b"" in writes
        return b"".join(writes)

    def send(self, opcode: int, parts: Sequence[bytes]) -> None:
        for i, part in enumerate(parts):
            fin = i == len(parts) - 1
            if i:
                self.p.send_continuation(part, fin)
            else:
                (self.p.send_text if opcode == TEXT else self.p.send_binary)(part, fin)

    def ping(self, data: bytes) -> None:
        self.p.send_ping(data)

    def pong(self, data: bytes) -> None:
        self.p.send_pong(data)

    def close(self, code: int, reason: str = "") -> None:
        self.p.send_close(code or None, reason)

    def _events(self) -> None:
        for event in self.p.events_received():
            if isinstance(event, TheirRequest):
                assert isinstance(self.p, ServerProtocol)
                self.p.send_response(self.p.accept(event))
            elif isinstance(event, Frame):
                self._frame(event)
        if self.p.parser_exc is not None and self.p.state is not State.CONNECTING and self.p.close_sent is not None:
            self.failed = int(self.p.close_sent.code)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._opcode, self._parts = int(frame.opcode), []
            assert self._parts is not None
            self._parts.append(bytes(frame.data))
            if frame.fin:
                self.messages.append((self._opcode, b"".join(self._parts)))
                self._parts = None
        elif frame.opcode is Opcode.PING:
            self.pings.append(bytes(frame.data))
        elif frame.opcode is Opcode.PONG:
            self.pongs.append(bytes(frame.data))
        else:
            close = self.p.close_rcvd
            assert close is not None
            self.closed = (int(close.code), close.reason)


class Wsproto(Record):
    """`wsproto`."""

    def __init__(self, role: int, deflate: Deflate | None = None) -> None:
        super().__init__()
        self.role = role
        self._parts: list[bytes] = []
        self._out = b""
        self.extensions = [] if deflate is None else [PerMessageDeflate(
            deflate.client_reset, None if deflate.client_bits < 8 else deflate.client_bits, deflate.server_reset,
            None if deflate.server_bits < 8 else deflate.server_bits)]
        self.ws = WSConnection(ConnectionType.CLIENT if role == CLIENT else ConnectionType.SERVER)
        if role == CLIENT:
            self._out = self.ws.send(events.Request(host="h", target="/", extensions=list(self.extensions)))

    def feed(self, data: bytes) -> None:
        if self.failed is not None or self.shut or not data:
            return
        try:
            self.ws.receive_data(data)
            for event in self.ws.events():
                self._event(event)
        except RemoteProtocolError as fault:
            self.failed = getattr(fault.event_hint, "code", None) or 1002
            self._hint(fault.event_hint)
            self.shut = self.role == SERVER

    def _hint(self, hint: Any) -> None:
        try:
            self._out += self.ws.send(hint) if hint is not None else b""
        except LocalProtocolError:
            pass  # its close frame is out already

    def eof(self) -> None:
        self.shut = True

    def out(self) -> bytes:
        data, self._out = self._out, b""
        return data

    def send(self, opcode: int, parts: Sequence[bytes]) -> None:
        for i, part in enumerate(parts):
            fin = i == len(parts) - 1
            self._out += self.ws.send(
                events.TextMessage(data=part.decode(), message_finished=fin) if opcode == TEXT else
                events.BytesMessage(data=part, message_finished=fin))

    def ping(self, data: bytes) -> None:
        self._out += self.ws.send(events.Ping(payload=data))

    def pong(self, data: bytes) -> None:
        self._out += self.ws.send(events.Pong(payload=data))

    def close(self, code: int, reason: str = "") -> None:
        self._out += self.ws.send(events.CloseConnection(code=code or 1005, reason=reason or None))

    def _event(self, event: events.Event) -> None:
        match event:
            case events.Request():
                self._out += self.ws.send(events.AcceptConnection(extensions=list(self.extensions)))
            case events.TextMessage() | events.BytesMessage():
                data = event.data
                self._parts.append(data.encode() if isinstance(data, str) else bytes(data))
                if event.message_finished:
                    self.messages.append((TEXT if isinstance(data, str) else BINARY, b"".join(self._parts)))
                    self._parts = []
            case events.Ping():
                self.pings.append(bytes(event.payload))
                self._out += self.ws.send(event.response())
            case events.Pong():
                self.pongs.append(bytes(event.payload))
            case events.CloseConnection() if self.ws.state is ConnectionState.OPEN:
                self.failed = event.code  # a fault that it found itself
                self._out += self.ws.send(event)
                self.shut = self.role == SERVER
            case events.CloseConnection():
                self.closed = (event.code, event.reason or "")
                if self.ws.state is ConnectionState.REMOTE_CLOSING:
                    self._out += self.ws.send(event.response())
                self.shut = self.role == SERVER


Peer = Websockets | Wsproto
PEERS: dict[str, type[Peer]] = {"websockets": Websockets, "wsproto": Wsproto}


def pieces(data: bytes, sizes: Sequence[int]) -> Iterable[bytes]:
    """`data` in pieces of these sizes, over and over; no sizes: whole. Much data is cut less finely."""
    scale = 1 if len(data) <= 3000 else 1 + len(data) // 700
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)] * scale if sizes else len(data)
        yield data[at:at + size]
        at, turn = at + size, turn + 1


def pump(us: Ours, peer: Peer, to_us: Sequence[int] = (), to_peer: Sequence[int] = ()) -> None:
    """Carry bytes and ends both ways until nothing moves."""
    told_us = told_peer = False
    for _ in range(1000):
        a, b = us.out(), peer.out()
        for piece in pieces(b, to_us):
            us.feed(piece)
        for piece in pieces(a, to_peer):
            peer.feed(piece)
        if a or b:
            continue
        if peer.shut and not told_us:
            told_us = True
            us.eof()
        elif us.shut and not told_peer:
            told_peer = True
            peer.eof()
        else:
            return
    raise AssertionError("the two never came to rest")
