"""`Stream`: a raw TCP (or TLS) stream over either transport, blocking, with receive stamps. For FIX and its like.

    with Stream.connect("10.0.0.1", 9876, transport="xdp", interface="eth0") as stream:
        stream.send_all(logon)
        count = stream.recv_into(buffer)      # 0: the peer has ended its direction
        stream.stamps.kernel                  # when the packet with the last byte passed the XDP program, ns

A stream without a `runtime` makes its own; streams that share one belong to one thread and progress together.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from xdpws.config import EngineConfig, TlsOptions, TransportName, XdpOptions
from xdpws.errors import ConnectionClosedError, UsageError
from xdpws.resolve import resolve_host
from xdpws.stack.closing import open_error
from xdpws.stack.connection import Closed, Connection
from xdpws.stack.runtime import Runtime, Target
from xdpws.stack.tls import TlsContext
from xdpws.timestamps import Stamps


class _State:
    """What the events of one stream have told."""

    def __init__(self) -> None:
        self.open = False
        self.closed: Closed | None = None

    def on_open(self, head: bytes) -> None:
        self.open = True

    def on_message(self, event: Any) -> None:
        """Raw streams have none."""

    def on_ping(self, payload: bytes) -> None:
        """Raw streams have none."""

    def on_pong(self, payload: bytes) -> None:
        """Raw streams have none."""

    def on_closing(self, code: int, reason: str) -> None:
        """Raw streams have none."""

    def on_rejected(self, answer: bytes) -> None:
        """Raw streams have none."""

    def on_request(self, head: bytes, status: int) -> None:
        """Raw streams have none."""

    def on_readable(self) -> None:
        """Readers look by themselves."""

    def on_writable(self) -> None:
        """Writers look by themselves."""

    def on_closed(self, closed: Closed) -> None:
        self.closed = closed


class Stream:
    """Made by `Stream.connect`. Timeouts are in seconds, None waits for ever; a timeout raises TimeoutError."""

    def __init__(self, runtime: Runtime, owned: bool, connection: Connection, state: _State, target: str) -> None:
        self._runtime = runtime
        self._owned = owned
        self._connection = connection
        self._state = state
        self._target = target
        self.stamps = Stamps()
        """Of the packet that brought the last byte of the last recv."""

    @classmethod
    def connect(cls, host: str, port: int, *, transport: TransportName = "auto", interface: str | None = None,
                xdp: XdpOptions | None = None, tls: TlsOptions | None = None, server_name: str | None = None,
                timeout: float = 10.0, busy_poll: bool = False, config: EngineConfig | None = None,
                runtime: Runtime | None = None) -> Stream:
        """Connect and wait until the stream is usable.

        interface (or xdp, with all its options) names where AF_XDP is to be attached. tls: TLS below the stream.
        busy_poll: spin instead of waiting in poll(). Raises SetupError, ConnectError, TlsError, OpenTimeout.
        """
        if interface is not None and xdp is None:
            xdp = XdpOptions(interface)
        owned = runtime is None
        run = runtime or Runtime(config, xdp)
        try:
            address: IPv4Address = resolve_host(host)[0]
            state = _State()
            target = Target(address, port, TlsContext(tls) if tls else None, server_name or (host if tls else ""),
                            open_timeout_s=timeout)
            connection = run.open(target, state, transport)
            stream = cls(run, owned, connection, state, f"{host}:{port}")
            stream.busy_poll = busy_poll
            stream._until(lambda: state.open or state.closed is not None, None)
            if state.closed is not None:
                raise open_error(state.closed, None, f"{host}:{port}")
            return stream
        except BaseException:
            if owned:
                run.close()
            raise

    busy_poll: bool = False
    """Spin instead of waiting in poll()."""

    @property
    def transport(self) -> str:
        """ "xdp" or "socket"."""
        return self._connection.transport

    @property
    def transport_reason(self) -> str:
        """Why this transport runs, for people."""
        return self._connection.transport_reason

    @property
    def closed(self) -> Closed | None:
        """How it ended; None while it lives."""
        return self._state.closed

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _until(self, done: Callable[[], bool], timeout: float | None) -> None:
        self._runtime.engine.check_thread()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not done():
            if self._runtime.step() == 0 and not done():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"nothing happened on {self._target} for {timeout} s")
                if not self.busy_poll:
                    self._runtime.wait(left)

    def recv_into(self, buffer: bytearray | memoryview, timeout: float | None = None) -> int:
        """Take what was received, at least one byte, into `buffer`; 0 when the peer has ended its direction.

        Raises ConnectionClosedError when the stream failed (what came before the failure is delivered first).
        """
        if not len(buffer):
            raise UsageError("recv_into needs a buffer that is not empty")
        got: int | None = None

        def attempt() -> bool:
            nonlocal got
            if self._state.closed is not None:
                return True
            got, stamps = self._connection.read_stamped(buffer)
            if got:
                self.stamps = stamps
            return got is not None

        self._until(attempt, timeout)
        if got is None:
            closed = self._state.closed
            if closed is not None and closed.error == 0:
                return 0
            raise ConnectionClosedError(None, None, None, closed.text if closed else "")
        return got

    def recv(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """As recv_into, into new bytes; b"" when the peer has ended its direction."""
        buffer = bytearray(limit)
        return bytes(buffer[:self.recv_into(buffer, timeout)])

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Give bytes to send, as many as there is room for now; returns how many. Does not wait."""
        if self._state.closed is not None:
            raise ConnectionClosedError(None, None, None, self._state.closed.text)
        return self._connection.write(data)

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> None:
        """Give all of `data` to send, waiting for room as often as needed."""
        view = memoryview(data)

        def attempt() -> bool:
            nonlocal view
            view = view[self.send(view):] if len(view) else view
            return not len(view)

        self._until(attempt, timeout)

    def shutdown_write(self) -> None:
        """End our direction (FIN; close_notify before it with TLS); receiving goes on."""
        self._connection.shutdown_write()

    def info(self) -> dict[str, int | str]:
        """State and figures of TCP and TLS."""
        return self._connection.info()

    def close(self, timeout: float = 5.0) -> None:
        """End both directions after what was sent, waiting at most `timeout`; cut what is left then."""
        try:
            if self._state.closed is None and not self._runtime.engine.closed:
                self._runtime.engine.adopt()
                self._connection.close()
                self._until(lambda: self._state.closed is not None, timeout)
        except TimeoutError:
            self._connection.abort()
        finally:
            if self._owned:
                self._runtime.close()
