"""A client's connection as a WebSocket server needs it: TLS, the HTTP request, messages both ways, and three ways out.

`Peer` adds wsproto to a `Link`. It decides nothing: who may connect, what is sent and when it ends is its user's.
"""
from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from OpenSSL import SSL
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from xdpws.sim.link import Link, prepare_cut

__all__ = ["HttpRequest", "Kind", "Peer", "PeerGone"]

_HEAD_MAX = 16_384
_MESSAGE_MAX = 1 << 20
Kind = Literal["message", "ping", "pong"]


class PeerGone(Exception):
    """The client has ended, or broken the protocol. The text says how; `code` is its close code, if it sent one."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The request line, and whether it asks for a WebSocket."""

    method: str
    target: str
    upgrade: bool


class Peer:
    """Every method raises `PeerGone`, OSError or SSL.Error when the client is not there any more."""

    def __init__(self, sock: socket.socket, link: Link, timeout_s: float) -> None:
        """`timeout_s` bounds TLS, the request, and the closing handshake, each."""
        self._sock, self._link, self._timeout_s = sock, link, timeout_s
        self._ws = WSConnection(ConnectionType.SERVER)
        self._head = b""
        self.closed = False
        """Whether a close frame has been sent or the end prepared: nothing may follow."""

    async def request(self) -> HttpRequest:
        """TLS and the head of the first request."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._link.handshake()
                while b"\r\n\r\n" not in self._head:
                    data = await self._link.recv()
                    if not data:
                        raise PeerGone("left before the request")
                    self._head += data
                    if len(self._head) > _HEAD_MAX:
                        raise PeerGone("sent too long a request")
        except TimeoutError:
            raise PeerGone("sent no request in time") from None
        head = self._head.partition(b"\r\n\r\n")[0].decode("latin-1")
        words = head.partition("\r\n")[0].split(" ")
        if len(words) != 3:
            raise PeerGone("sent no HTTP request")
        return HttpRequest(words[0], words[1], "\nupgrade:" in head.lower())

    async def accept(self, extensions: Sequence[Extension] = ()) -> None:
        """Answer the upgrade request with 101; a wrong one with 400."""
        try:
            self._ws.receive_data(self._head)
            event = next(self._ws.events())
        except (RemoteProtocolError, UnicodeDecodeError, StopIteration) as exc:
            await self.answer(HTTPStatus.BAD_REQUEST, "no WebSocket upgrade request\n")
            raise PeerGone(f"no WebSocket upgrade request: {exc}") from None
        assert isinstance(event, Request)
        await self._link.send([self._ws.send(AcceptConnection(extensions=list(extensions)))])

    async def answer(self, status: HTTPStatus, body: str, content_type: str = "text/plain") -> None:
        """A plain HTTP answer, and the end of the connection."""
        raw = body.encode()
        head = (f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
                f"Content-Length: {len(raw)}\r\nConnection: close\r\n\r\n")
        await self._link.send([head.encode() + raw])
        await self._goodbye()

    async def receive(self) -> AsyncIterator[tuple[Kind, str | bytes]]:
        """What the client sends, pings answered; ends with `PeerGone`."""
        text, parts, size = "", b"", 0
        while True:
            try:
                for event in self._ws.events():
                    if isinstance(event, Ping):
                        await self._send(self._ws.send(event.response()))
                        yield "ping", bytes(event.payload)
                    elif isinstance(event, Pong):
                        yield "pong", bytes(event.payload)
                    elif isinstance(event, CloseConnection):
                        await self._client_closes(event)
                    elif isinstance(event, TextMessage | BytesMessage):
                        size += len(event.data)
                        if size > _MESSAGE_MAX:
                            await self.close(CloseReason.MESSAGE_TOO_BIG, "message too big")
                            await self._goodbye()
                            raise PeerGone("sent a message that is too big")
                        if isinstance(event, TextMessage):
                            text += event.data
                        else:
                            parts += bytes(event.data)
                        if event.message_finished:
                            yield "message", text if isinstance(event, TextMessage) else parts
                            text, parts, size = "", b"", 0
                data = await self._link.recv()
                if not data:
                    raise PeerGone("ended the connection without a close frame")
                self._ws.receive_data(data)
            except (RemoteProtocolError, LocalProtocolError) as exc:
                raise PeerGone(f"broke the protocol: {exc}") from None

    async def send(self, message: str | bytes) -> None:
        """One message, compressed if that was agreed."""
        if not self.closed:
            event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
            await self._send(self._ws.send(event))

    async def ping(self, payload: bytes) -> None:
        """A WebSocket ping."""
        if not self.closed:
            await self._send(self._ws.send(Ping(payload=payload)))

    async def close(self, code: int, reason: str) -> None:
        """Our close frame; the client's answer ends `receive`."""
        if not self.closed:
            self.closed = True
            await self._send(self._ws.send(CloseConnection(code=code, reason=reason)))

    async def cut(self, how: str, patient: bool = True) -> None:
        """Prepare the end without a close frame, "rst" or "fin"; patient: the client first acknowledges what it is
        owed."""
        self.closed = True
        await prepare_cut(self._sock, how, self._timeout_s if patient else 0.0)

    @property
    def description(self) -> str:
        """What the link is: "plain", or TLS version, cipher and group."""
        return self._link.description

    async def _send(self, data: bytes) -> None:
        await self._link.send([data])

    async def _client_closes(self, event: CloseConnection) -> None:
        """Its close frame, its answer to ours, or (the connection is still open for wsproto) what it did wrong."""
        code, own, broken = int(event.code), self.closed, self._ws.state is ConnectionState.OPEN
        if self._ws.state is ConnectionState.REMOTE_CLOSING or (not own and broken):
            self.closed = True
            await self._send(self._ws.send(event.response()))
        await self._goodbye()
        if broken:
            raise PeerGone(f"broke the protocol: {event.reason} ({code})")
        raise PeerGone("answered our close" if own else f"closed with {code}", code)

    async def _goodbye(self) -> None:
        """End our direction and wait for the client's, so that nothing in flight is reset."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._link.half_close()
                while await self._link.recv():
                    pass
        except (TimeoutError, OSError, SSL.Error):
            pass
