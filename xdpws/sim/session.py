"""One client of the exchange: handshake, the feed from its start, pings, and the end that the settings ask for.

Three tasks run over one link: the player sends the feed and decides the end, the reader answers what the client
sends, the pinger cuts a client that does not answer. The first of them to finish ends the session.
"""
from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from OpenSSL import SSL
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from xdpws.sim.acks import reply
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.frames import PING, encode_frame
from xdpws.sim.link import Link, prepare_cut
from xdpws.sim.records import Records, parse_records
from xdpws.sim.script import Script
from xdpws.sim.stamp import DIGITS
from xdpws.sim.timer import PreciseTimer

__all__ = ["Session", "SessionResult"]

_BURST_BYTES = 1 << 16
_BURST_MESSAGES = 512
_MAX_CLIENT_MESSAGE = 1 << 20
_OPEN_ENDED = 1 << 62
_REFUSAL = "HTTP/1.1 {} {}\r\nContent-Type: text/plain\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n{}"


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What became of a client.

    `peer` its address; `link` "plain" or TLS version, cipher and group; `path` the request target, "" if it never
    asked; `messages` data messages sent, acks not counted; `reason` how it ended; `close_code` the WebSocket close
    code that the client sent, None if it sent none; `received` data messages from the client.
    """

    peer: str
    link: str
    path: str
    messages: int
    reason: str
    close_code: int | None
    received: int


class Session:
    """Serves one accepted socket to its end."""

    def __init__(
        self, config: ExchangeConfig, script: Script, venue: str, acks: bool, sock: socket.socket, link: Link
    ) -> None:
        """`venue` chooses the shape of acks, `acks` whether there are any. The socket is closed by `run`."""
        self._config = config
        self._script = script
        self._venue = venue
        self._acks = acks
        self._sock = sock
        self._link = link
        self._records = Records(parse_records(config.records), config.seed)
        self._ws = WSConnection(ConnectionType.SERVER)
        self._sent = 0
        self._received = 0
        self._text = ""
        self._message_bytes = 0
        self._path = ""
        self._close_code: int | None = None
        self._ending = False
        self._subscribed = asyncio.Event()
        self._closed = asyncio.Event()
        self._pong = asyncio.Event()
        self._ping_payload = b""
        host, port = sock.getpeername()[:2]
        self._peer = f"{host}:{port}"

    async def run(self) -> SessionResult:
        """Serve until the end. What the client does wrong ends up in the result's reason, never in an exception."""
        try:
            reason = await self._serve()
        except (OSError, SSL.Error) as exc:
            reason = f"connection lost: {_explain(exc)}"
        except (LocalProtocolError, RemoteProtocolError) as exc:
            reason = f"client broke the protocol: {exc}"
        finally:
            self._sock.close()
        return SessionResult(self._peer, self._link.description, self._path, self._sent, reason, self._close_code,
                             self._received)

    async def _serve(self) -> str:
        try:
            async with asyncio.timeout(self._config.handshake_timeout_s):
                await self._link.handshake()
        except TimeoutError:
            return "no TLS handshake in time"
        except SSL.Error as exc:
            return f"TLS handshake failed: {_explain(exc)}"
        try:
            async with asyncio.timeout(self._config.handshake_timeout_s):
                refusal = await self._upgrade()
        except TimeoutError:
            return "no upgrade request in time"
        if refusal:
            return refusal
        tasks = [asyncio.create_task(work()) for work in (self._play, self._read, self._keep_alive)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._ending and not tasks[0].done():
                await asyncio.wait(tasks[:1])
            return next(task.result() for task in tasks if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _upgrade(self) -> str:
        """The HTTP exchange. Returns why there is no WebSocket, "" if there is one."""
        while True:
            data = await self._link.recv()
            if not data:
                return "client left before the upgrade"
            try:
                self._ws.receive_data(data)
            except RemoteProtocolError as exc:
                await self._refuse(exc.event_hint)
                return f"no WebSocket upgrade request: {exc}"
            except UnicodeDecodeError as exc:  # wsproto decodes some header values without a guard
                await self._refuse(None)
                return f"no WebSocket upgrade request: {exc}"
            for event in self._ws.events():
                if isinstance(event, Request):
                    self._path = event.target
                    await self._link.send([self._ws.send(AcceptConnection())])
                    return ""

    async def _refuse(self, hint: Event | None) -> None:
        status = HTTPStatus(hint.status_code) if isinstance(hint, RejectConnection) else HTTPStatus.BAD_REQUEST
        version = "Sec-WebSocket-Version: 13\r\n" if status is HTTPStatus.UPGRADE_REQUIRED else ""
        body = "This is a WebSocket exchange.\r\n"
        text = _REFUSAL.format(status.value, status.phrase, version, len(body), body)
        await self._link.send([text.encode("ascii")])
        await self._goodbye()

    # -- player ------------------------------------------------------------------------------------------------------

    async def _play(self) -> str:
        if self._config.start == "subscribe":
            await self._subscribed.wait()
        total = _OPEN_ENDED if self._config.loop == 0 else self._config.loop * len(self._script.wire)
        if self._config.drop_after is not None:
            total = min(total, self._config.drop_after)
        timer = PreciseTimer()
        try:
            await self._send_messages(total, timer)
        finally:
            timer.close()
        return await self._finish()

    async def _send_messages(self, total: int, timer: PreciseTimer) -> None:
        script, speed = self._script, self._config.speed
        size = len(script.wire)
        round_start = float(time.monotonic_ns())
        first = 0
        while self._sent < total:
            if self._closed.is_set():
                await asyncio.Event().wait()  # the reader ends the session; nothing may follow a close frame
            if first == size:
                first = 0
                round_start += script.round_ns / speed if speed else 0
            end = min(size, first + total - self._sent, first + _BURST_MESSAGES)
            if speed:
                await timer.until(int(round_start + script.due_ns[first] / speed))
                end = self._due_until(first, end, (time.monotonic_ns() - round_start) * speed)
            last = self._within_burst(first, end)
            if script.stamp_at:
                await self._send_stamped(first, last)
            else:
                await self._link.send(self._records.units(script.wire[first:last]))
                self._sent += last - first
            await asyncio.sleep(0)
            first = last

    def _due_until(self, first: int, end: int, recorded_ns: float) -> int:
        """The index after the last message of [first, end) that is due; at least one."""
        last = first + 1
        while last < end and self._script.due_ns[last] <= recorded_ns:
            last += 1
        return last

    def _within_burst(self, first: int, end: int) -> int:
        """Shorten [first, end) so that it is not much more than a burst's bytes; at least one message."""
        size, last = 0, first
        while last < end and size < _BURST_BYTES:
            size += len(self._script.wire[last])
            last += 1
        return last

    async def _send_stamped(self, first: int, end: int) -> None:
        """Each message by itself: the stamp is the last thing before its encryption, and it is not held back."""
        for i in range(first, end):
            await self._link.send(_stamped(self._script.wire[i], self._script.stamp_at[i]))
            self._sent += 1

    async def _finish(self) -> str:
        config = self._config
        self._ending = True
        if config.reset_mid_frame:
            wire = self._script.wire[self._sent % len(self._script.wire)]
            await self._link.send([wire[: max(1, len(wire) // 2)]])
            await prepare_cut(self._sock, "rst")
            return "reset inside a frame, as asked"
        if config.half_close:
            await self._link.half_close()
            return await self._client_leaves("half-closed, as asked")
        if config.drop_after is not None and self._sent == config.drop_after:
            await prepare_cut(self._sock, config.drop)
            return f"cut by {config.drop} after {self._sent} messages, as asked"
        await self._link.send([self._ws.send(CloseConnection(code=1000, reason="end of feed"))])
        return await self._client_leaves("closed with 1000 at the end of the feed")

    async def _client_leaves(self, reason: str) -> str:
        try:
            async with asyncio.timeout(self._config.close_timeout_s):
                await self._closed.wait()
        except TimeoutError:
            return f"{reason}; the client did not close in time"
        await self._goodbye()
        return reason

    async def _goodbye(self) -> None:
        """TLS and TCP close of our direction, then wait for the client's, so that nothing in flight is reset.

        To be called where nobody else receives: by the reader, or once it is done.
        """
        try:
            async with asyncio.timeout(self._config.close_timeout_s):
                await self._link.half_close()
                while await self._link.recv():
                    pass
        except (TimeoutError, OSError, SSL.Error):
            pass

    # -- reader ------------------------------------------------------------------------------------------------------

    async def _read(self) -> str:
        while True:
            for event in self._ws.events():
                if isinstance(event, Ping):
                    if self._ws.state is ConnectionState.OPEN:
                        await self._link.send([self._ws.send(event.response())])
                elif isinstance(event, Pong):
                    if bytes(event.payload) == self._ping_payload:
                        self._pong.set()
                elif isinstance(event, CloseConnection):
                    return await self._client_closed(event)
                elif isinstance(event, TextMessage | BytesMessage):
                    self._message_bytes += len(event.data)
                    if self._message_bytes > _MAX_CLIENT_MESSAGE:
                        return await self._client_closed(CloseConnection(code=1009, reason="message too big"))
                    await self._message(event)
            data = await self._link.recv()
            if not data:
                self._closed.set()
                return "client ended the connection without a close frame"
            self._ws.receive_data(data)

    async def _client_closed(self, event: CloseConnection) -> str:
        """The client's close frame, its reply to ours, or what it did against the protocol."""
        self._closed.set()
        state = self._ws.state
        if state is not ConnectionState.OPEN:
            self._close_code = int(event.code)
        if state is ConnectionState.CLOSED:
            return "closed"
        if state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            await self._link.send([self._ws.send(event.response())])
        await self._goodbye()
        if state is ConnectionState.REMOTE_CLOSING:
            return f"client closed with {int(event.code)}"
        return f"client broke the protocol: {event.reason} ({int(event.code)})"

    async def _message(self, event: TextMessage | BytesMessage) -> None:
        if isinstance(event, TextMessage):
            self._text += event.data
        if not event.message_finished:
            return
        text, self._text, self._message_bytes = self._text, "", 0
        self._received += 1
        self._subscribed.set()
        if self._acks and isinstance(event, TextMessage) and self._ws.state is ConnectionState.OPEN:
            for answer in reply(self._venue, text):
                await self._link.send([encode_frame(1, answer.encode())])

    # -- pinger ------------------------------------------------------------------------------------------------------

    async def _keep_alive(self) -> str:
        config, number = self._config, 0
        if not config.ping_interval_s:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(config.ping_interval_s)
            number += 1
            self._pong.clear()
            self._ping_payload = f"xdpws {number}".encode()
            try:
                async with asyncio.timeout(config.ping_timeout_s):
                    await self._link.send([encode_frame(PING, self._ping_payload)])
                    await self._pong.wait()
            except TimeoutError:
                await prepare_cut(self._sock, "rst", timeout_s=0)
                return f"cut: no pong within {config.ping_timeout_s:g} s"


def _stamped(wire: bytes, at: int) -> Iterator[bytes]:
    """The message with its send time filled in at the moment the link takes it."""
    yield b"%b%019d%b" % (wire[:at], time.monotonic_ns(), wire[at + DIGITS :])


def _explain(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return exc.strerror or str(exc) or type(exc).__name__
    queue = exc.args[0] if exc.args else None
    if isinstance(queue, list):
        return "; ".join(str(entry[-1]) for entry in queue if entry) or type(exc).__name__
    return " ".join(str(arg) for arg in exc.args) or type(exc).__name__
