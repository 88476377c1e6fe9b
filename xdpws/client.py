"""`Client`: the lowest latency. Callbacks from one polling thread, messages where they lie in the receive buffer.

    def on_message(msg: xdpws.Message) -> None:
        book.apply(msg.data)                       # memoryview, valid in here only
        lag = msg.stamps.user - msg.stamps.ring    # ns

    xdpws.Client("wss://stream.example/ws", on_message=on_message, transport="xdp", interface="eth0").run()
"""
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdpws._hot import Binding
from xdpws.compiled import CompiledHandler
from xdpws.config import Compression, EngineConfig, TlsOptions, TransportName, XdpOptions, deflate_options
from xdpws.errors import UsageError
from xdpws.headers import header_lines
from xdpws.http import Response, parse_response
from xdpws.messages import Message
from xdpws.resolve import resolve_host
from xdpws.stack.closing import open_error
from xdpws.stack.connection import Closed, Connection
from xdpws.stack.recording import with_secrets
from xdpws.stack.runtime import Runtime, Target, WsRequest
from xdpws.stack.stages import StageReport
from xdpws.stack.tls import TlsContext
from xdpws.uri import WebSocketURI, parse_uri

_NEVER = (1 << 64) - 1


@dataclass(slots=True)
class Session:
    """One connection of a client. `closed` and `error` are set when it ended; `error` says why it never opened."""

    uri: WebSocketURI
    connection: Connection | None = None
    response: Response | None = None
    rejected: Response | None = None
    opened: bool = False
    closed: Closed | None = None
    error: Exception | None = None
    info: dict[str, int | str] = field(default_factory=dict)
    _rest: memoryview = field(default=memoryview(b""), repr=False)
    _binding: Binding | None = field(default=None, repr=False)

    @property
    def messages(self) -> int:
        """Data messages that were handed over."""
        return self._binding.messages if self._binding is not None else 0

    def send(self, data: str | bytes | bytearray | memoryview) -> bool:
        """Send one message, text for str; False when there is no room for it now (nothing was sent).

        Of a message longer than the room there is, the rest is kept and follows while `run` runs; until then there is
        no room for another one. UsageError when the session is not open.
        """
        if self._binding is None or not self.opened or self.closed is not None:
            raise UsageError(f"the session with {self.uri.url} is not open")
        if self._rest:
            return False
        rest = self._binding.send(data)
        if isinstance(rest, bool):
            return rest
        self._rest = memoryview(rest)
        return True

    def ping(self, payload: bytes = b"") -> bool:
        """Send a ping; False when there is no room for it now. UsageError when the session is not open."""
        return self._usable().send(9, payload) >= 0

    def _usable(self) -> Connection:
        if self.connection is None or not self.opened or self.closed is not None:
            raise UsageError(f"the session with {self.uri.url} is not open")
        return self.connection

    def _send_rest(self) -> None:
        if self._rest and self.connection is not None:
            self._rest = self._rest[self.connection.send_more(self._rest):]

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the close handshake."""
        if self.connection is not None and self.closed is None:
            self.connection.close(code, reason)


class _Handler:
    """Events of one session to the client's callbacks."""

    __slots__ = ("client", "session")

    def __init__(self, client: Client, session: Session) -> None:
        self.client = client
        self.session = session

    def on_message(self, event: Any) -> None:
        """Messages go to the loop's binding; here arrive those that nobody wants any more, while the client closes."""

    def on_open(self, head: bytes) -> None:
        self.session.opened = True
        self.session.response = parse_response(head)
        if self.client.on_open is not None:
            self.client.on_open(self.session)

    def on_ping(self, payload: bytes) -> None:
        if self.client.on_ping is not None:
            self.client.on_ping(self.session, payload)

    def on_pong(self, payload: bytes) -> None:
        if self.client.on_pong is not None:
            self.client.on_pong(self.session, payload)

    def on_closing(self, code: int, reason: str) -> None:
        """The answer was sent already; on_closed follows."""

    def on_rejected(self, answer: bytes) -> None:
        self.session.rejected = parse_response(answer)

    def on_request(self, head: bytes, status: int) -> None:
        """Clients get none."""

    def on_readable(self) -> None:
        """WebSocket connections have none."""

    def on_writable(self) -> None:
        self.session._send_rest()

    def on_closed(self, closed: Closed) -> None:
        session = self.session
        session.closed = closed
        if session.connection is not None:
            session.info = session.connection.info()
        if not session.opened:
            session.error = open_error(closed, session.rejected, session.uri.url)
        if self.client.on_close is not None:
            self.client.on_close(session)


class Client:
    """Connections to one or more URLs, served by the thread that calls `run`.

    on_message(msg) is called for every data message; or on_batch(messages) with all that one poll gave, of whichever
    session; or on_message is a `xdpws.CompiledHandler`, a C function that runs without the interpreter.
    on_open(session), on_close(session), on_ping(session, payload), on_pong(session, payload) when given. An exception
    in a callback ends `run` with it; calling `run` again goes on with the next message (the next batch). Parameters as
    in `xdpws.connect`; busy_poll=False waits in poll() instead of spinning.
    """

    def __init__(self, url: str | Sequence[str],
                 on_message: Callable[[Message], object] | CompiledHandler | None = None, *,
                 on_batch: Callable[[list[Message]], object] | None = None,
                 on_open: Callable[[Session], object] | None = None,
                 on_close: Callable[[Session], object] | None = None,
                 on_ping: Callable[[Session, bytes], object] | None = None,
                 on_pong: Callable[[Session, bytes], object] | None = None,
                 transport: TransportName = "auto", interface: str | None = None, xdp: XdpOptions | None = None,
                 tls: TlsOptions | None = None, busy_poll: bool = True,
                 additional_headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
                 subprotocols: Sequence[str] = (), max_size: int = 1 << 24, open_timeout: float = 10.0,
                 close_timeout: float = 10.0, check_utf8: bool = True, compression: Compression = None,
                 config: EngineConfig | None = None) -> None:
        urls = [url] if isinstance(url, str) else list(url)
        if not urls:
            raise UsageError("no URL was given")
        if (on_message is None) == (on_batch is None):
            raise UsageError("give one of on_message (message by message) and on_batch (a list of messages)")
        self._on_message = on_message
        self._on_batch = on_batch
        self.on_open = on_open
        self.on_close = on_close
        self.on_ping = on_ping
        self.on_pong = on_pong
        self.transport = transport
        self.xdp = xdp or (XdpOptions(interface) if interface else None)
        self._keep = contextlib.ExitStack()
        self.xdp, self.tls = with_secrets(self.xdp, tls or TlsOptions(), self._keep)
        self.busy_poll = busy_poll
        self.sessions = [Session(parse_uri(each)) for each in urls]
        self._headers = header_lines(additional_headers)
        self._subprotocols = tuple(subprotocols)
        self._max_size = max_size
        self._timeouts = (open_timeout, close_timeout)
        self._check_utf8 = check_utf8
        self._deflate = deflate_options(compression)
        self._config = config or EngineConfig(max_conns=max(16, len(urls)))
        self._runtime: Runtime | None = None
        self._stop = False
        self._running = False

    @property
    def runtime(self) -> Runtime:
        """The engine and its attachment; made when `open` or `run` is first called, by that thread."""
        if self._runtime is None:
            self._runtime = Runtime(self._config, self.xdp, self._on_batch)
        return self._runtime

    def stages(self) -> list[StageReport]:
        """How long messages took from stage to stage, by connection; needs EngineConfig(stamps="histogram"). Also after
        `close`."""
        return self.runtime.engine.stage_reports()

    def open(self) -> None:
        """Start connecting everything that was not started yet. `run` does it too."""
        context = TlsContext(self.tls) if any(s.uri.secure for s in self.sessions) else None
        for session in self.sessions:
            if session.connection is None:
                uri = session.uri
                ws = WsRequest(uri.resource, uri.host_header, self._headers, self._subprotocols, self._max_size,
                               self._check_utf8, self._deflate)
                target = Target(resolve_host(uri.host)[0], uri.port, context if uri.secure else None,
                                uri.host if uri.secure else "", ws, open_timeout_s=self._timeouts[0],
                                close_timeout_s=self._timeouts[1])
                session.connection = self.runtime.open(target, _Handler(self, session), self.transport)
                session._binding = self.runtime.loop.bind(session.connection, self._on_message, session)

    def stop(self) -> None:
        """Make `run` return behind the message that is being handled (with on_batch, the batch); may be called from a
        callback, a signal handler or another thread."""
        self._stop = True
        if self._runtime is not None:
            self._runtime.loop.stop()

    def run(self, seconds: float | None = None) -> None:
        """Open, and serve until every connection has ended, `stop` was called, or `seconds` have passed."""
        self.runtime.engine.adopt()
        self._not_in_a_callback("run")
        self._stop = False
        self.open()
        self._running = True
        try:
            self._serve(seconds)
        finally:
            self._running = False

    def _not_in_a_callback(self, name: str) -> None:
        if self._running:
            raise UsageError(f"{name}() was called from a callback; call stop() there, and {name}() when run() is over")

    def _serve(self, seconds: float | None) -> None:
        runtime, busy = self.runtime, self.busy_poll
        deadline = _NEVER if seconds is None else time.monotonic_ns() + int(seconds * 1e9)
        while not self._stop and any(s.closed is None for s in self.sessions):
            runtime.run(busy, deadline)
            if runtime.loop.stopped or time.monotonic_ns() >= deadline:
                return

    def close(self, code: int = 1000, timeout: float = 5.0) -> None:
        """Close every connection in order, waiting at most `timeout` seconds, then free everything.

        Raises UsageError while another thread is in `run`: `stop` it, and close when it has ended.
        """
        if self._runtime is None or self._runtime.engine.closed:
            return
        self._runtime.engine.adopt()
        self._not_in_a_callback("close")
        try:
            for session in self.sessions:
                if session.connection is not None:
                    self._runtime.loop.unbind(session.connection)
                if session.opened:
                    session.close(code)
            deadline = time.monotonic() + timeout
            while any(s.opened and s.closed is None for s in self.sessions) and time.monotonic() < deadline:
                if not self._runtime.step():
                    self._runtime.wait(0.05)
        finally:
            self._runtime.close()
            self._keep.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
