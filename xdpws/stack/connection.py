"""`Connection`: one connection of an engine, by its id. It knows its handle and its handler, nothing of polling."""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from xdpws._enums import Err
from xdpws._ffi import check, fail, ffi, lib, text
from xdpws.stack.engine import Engine, stamps_of
from xdpws.timestamps import Stamps

LAYERS = ("", "net", "tcp", "tls", "http", "websocket")
TRANSPORTS = {1: "xdp", 2: "socket"}
TEXTS = ("cipher", "tls_engine", "tls_library")
"""Fields of `struct xw_conn_info` that are text."""


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended.

    layer: "net", "tcp", "tls", "http" or "websocket". error: Err.OK for an orderly end. code: of the peer's close frame
    (1005: none in it, 1006: no close frame). sent: of ours (0: none was sent). text: for people.
    """

    layer: str
    error: Err
    code: int
    sent: int
    by_peer: bool
    text: str


class Handler(Protocol):
    """Who is told what happens on a connection. `event` is a `struct xw_event`, valid in the call only."""

    def on_open(self, head: bytes) -> None:
        """Usable now; head: of the HTTP answer, b"" for a raw stream."""

    def on_message(self, event: Any) -> None:
        """A whole data message."""

    def on_ping(self, payload: bytes) -> None:
        """A ping came and was answered."""

    def on_pong(self, payload: bytes) -> None:
        """A pong came."""

    def on_closing(self, code: int, reason: str) -> None:
        """The peer's close frame came and was answered."""

    def on_rejected(self, answer: bytes) -> None:
        """The upgrade was answered with something else: head and beginning of the body. on_closed follows."""

    def on_request(self, head: bytes, status: int) -> None:
        """Server: a client's request, to be answered by `Connection.answer`; status: what we would answer."""

    def on_readable(self) -> None:
        """Raw stream: there is something to read, or its end."""

    def on_writable(self) -> None:
        """There is room again."""

    def on_closed(self, closed: Closed) -> None:
        """The connection is gone; nothing more comes."""


def _check_living(rc: int, step: str) -> None:
    """As `check`; a connection whose end is among the events being handled needs nothing more."""
    if rc not in (Err.ENOCONN, Err.ECLOSED):
        check(rc, step)


class Connection:
    """Made by `Runtime.open`. Calls after `closed` is set raise UsageError or return nothing, as they say."""

    def __init__(self, engine: Engine, ident: int, user: int, transport: str, reason: str) -> None:
        self._engine = engine
        self.id = ident
        self.user = user
        """What its events bear."""
        self.transport = transport
        self.transport_reason = reason
        self.closed: Closed | None = None

    def _handle(self) -> Any:
        if self._engine.closed:
            fail(Err.ECLOSED, "use the connection")
        return self._engine.handle

    def send(self, opcode: int, data: bytes | bytearray | memoryview) -> int:
        """Send one message or control frame; returns how many bytes were taken, -1 when there was no room at all
        or the connection is ending (on_closed comes).

        The rest of a message that was taken in part goes by `send_more` when on_writable comes.
        """
        rc: int = lib.xw_conn_send(self._handle(), self.id, opcode, ffi.from_buffer(data), len(data),
                                   time.monotonic_ns())
        return -1 if rc in (Err.EAGAIN, Err.ECLOSED) else check(rc, "send")

    def send_more(self, data: bytes | bytearray | memoryview) -> int:
        """Continue a message that was taken in part; returns how many bytes were taken."""
        rc: int = lib.xw_conn_send_more(self._handle(), self.id, ffi.from_buffer(data), len(data), time.monotonic_ns())
        return 0 if rc in (Err.EAGAIN, Err.ECLOSED) else check(rc, "send")

    def send_frame(self, opcode: int, fin: bool, data: bytes | bytearray | memoryview) -> int:
        """As send, for one frame of a message that the caller cuts: opcode 0 behind the first."""
        rc: int = lib.xw_conn_send_frame(self._handle(), self.id, opcode, int(fin), ffi.from_buffer(data), len(data),
                                         time.monotonic_ns())
        return -1 if rc in (Err.EAGAIN, Err.ECLOSED) else check(rc, "send")

    def hello(self) -> bytes:
        """The head that we send in the handshake: the request (client, before it is answered), or the answer that we
        would give (server, between on_request and answer). b"" at other times."""
        out = ffi.new("char[]", 16384)
        rc: int = lib.xw_conn_hello(self._handle(), self.id, out, len(out))
        return b"" if rc == Err.ESTATE else bytes(ffi.buffer(out, check(rc, "read the handshake")))

    def answer(self, data: bytes) -> None:
        """Server: answer the request with a whole HTTP answer. 101 opens the connection, another status ends it."""
        if self.closed is None:
            rc: int = lib.xw_conn_answer(self._handle(), self.id, ffi.from_buffer(data), len(data),
                                         time.monotonic_ns())
            if rc != Err.ECLOSED:
                check(rc, "answer the request")

    def close(self, code: int = 0, reason: str = "") -> None:
        """Begin the close handshake (WebSocket) or end both directions after what was sent (raw)."""
        if self.closed is None:
            rc: int = lib.xw_conn_close(self._handle(), self.id, code, reason.encode(), time.monotonic_ns())
            _check_living(rc, "close")

    def abort(self) -> None:
        """Cut the connection at once (RST)."""
        if self.closed is None and not self._engine.closed:
            _check_living(lib.xw_conn_abort(self._handle(), self.id, time.monotonic_ns()), "abort")

    def pause(self, paused: bool) -> None:
        """Stop (or resume) delivery; the window closes and the peer has to wait."""
        if self.closed is None:
            _check_living(lib.xw_conn_pause(self._handle(), self.id, int(paused)), "pause")

    def read_into(self, buffer: bytearray | memoryview) -> int | None:
        """Raw: take received bytes; None when there is nothing now, 0 at the end of the stream."""
        rc: int = lib.xw_conn_read(self._handle(), self.id, ffi.from_buffer(buffer), len(buffer), ffi.NULL)
        if rc == Err.ECLOSED:
            return 0
        return check(rc, "read") or None

    def read_stamped(self, buffer: bytearray | memoryview) -> tuple[int | None, Stamps]:
        """As read_into, with the stamps of the packet that brought the last byte taken."""
        event = ffi.new("struct xw_event *")
        rc: int = lib.xw_conn_read(self._handle(), self.id, ffi.from_buffer(buffer), len(buffer),
                                   ffi.addressof(event, "stamps"))
        if rc == Err.ECLOSED:
            return 0, Stamps()
        return check(rc, "read") or None, stamps_of(event, time.monotonic_ns())

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Raw: give bytes to send; returns how many were taken (0: no room, on_writable comes)."""
        rc: int = lib.xw_conn_write(self._handle(), self.id, ffi.from_buffer(data), len(data), time.monotonic_ns())
        return 0 if rc == Err.EAGAIN else check(rc, "write")

    def shutdown_write(self) -> None:
        """Raw: end our direction after what was written (FIN); reading goes on."""
        check(lib.xw_conn_shutdown_wr(self._handle(), self.id, time.monotonic_ns()), "shut down writing")

    def info(self) -> dict[str, int | str]:
        """State and figures of TCP and TLS, by the names of `struct xw_conn_info`; the last known after the end."""
        out = ffi.new("struct xw_conn_info *")
        check(lib.xw_conn_info(self._handle(), self.id, out), "read the connection's figures")
        result: dict[str, int | str] = {}
        for name, _ in ffi.typeof("struct xw_conn_info").fields:
            value = getattr(out, name)
            result[name] = text(value) if name in TEXTS else int(value)
        result["transport"] = TRANSPORTS.get(out.transport, "")
        return result
