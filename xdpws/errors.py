"""Exceptions of xdpws, by who erred.

* the caller: `UsageError`; raised at once, nothing was changed.
* the environment (driver, privileges, memory, routes): `SetupError`; it names the step that failed, the cause and,
  where one is known, a command that can be typed.
* a peer's connection: `WebSocketException` and below.
* us: `InternalError`.
"""
from __future__ import annotations

import os

from xdpws.http import Close, Response

__all__ = [
    "Close", "ConcurrencyError", "ConnectError", "ConnectionClosed", "ConnectionClosedError", "ConnectionClosedOK",
    "InternalError", "InvalidHandshake", "InvalidMessage", "InvalidProxy", "InvalidProxyMessage", "InvalidProxyStatus",
    "InvalidStatus", "InvalidURI", "NegotiationError", "OpenTimeout", "PayloadTooBig", "ProtocolError", "ProxyError",
    "Response", "SecurityError", "SetupError", "TlsError", "UsageError", "WebSocketException", "XdpwsError",
]


class XdpwsError(Exception):
    """Base of every exception that xdpws raises on purpose."""


class UsageError(XdpwsError, ValueError):
    """The caller's mistake: an argument that is out of range, malformed or contradicts another one."""


class SetupError(XdpwsError):
    """The environment does not allow a step of the set-up.

    `step`   what was being done ("attach to eth0", "resolve the gateway")
    `cause`  why it failed, for people
    `hint`   what to type or to change; "" if nothing is known to help
    `errno`  the system's error number, None if no system call failed
    """

    def __init__(self, step: str, cause: str, hint: str = "", errno: int | None = None) -> None:
        super().__init__(step, cause, hint, errno)
        self.step = step
        self.cause = cause
        self.hint = hint
        self.errno = errno

    def __str__(self) -> str:
        text = f"{self.step}: {self.cause}"
        return f"{text}; try: {self.hint}" if self.hint else text

    @classmethod
    def from_errno(cls, step: str, errno: int, hint: str = "") -> SetupError:
        """A `SetupError` whose cause is the system's text for `errno`."""
        return cls(step, os.strerror(errno), hint, errno)


class InternalError(XdpwsError):
    """An invariant of ours is broken. The connection is lost, the engine lives on. Please report it."""


class WebSocketException(XdpwsError):
    """Base of what a peer or the network does to a connection; the names below are those of the `websockets`
    library."""


class InvalidURI(WebSocketException, UsageError):
    """`uri` is not a WebSocket URI; `msg` says why."""

    def __init__(self, uri: str, msg: str) -> None:
        super().__init__(uri, msg)
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.uri} is not a valid WebSocket URI: {self.msg}"


class InvalidProxy(WebSocketException, UsageError):
    """`proxy` is not the address of a proxy; `msg` says why."""

    def __init__(self, proxy: str, msg: str) -> None:
        super().__init__(proxy, msg)
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.proxy} isn't a valid proxy: {self.msg}"


class InvalidHandshake(WebSocketException):
    """The connection was not established: refused, TLS failure, or an answer that is no upgrade."""


class TlsError(InvalidHandshake):
    """TLS failed; the text is OpenSSL's, with what to do about a certificate that does not verify."""


class ConnectError(InvalidHandshake, OSError):
    """TCP could not connect: refused, unreachable, reset, timed out."""


class OpenTimeout(InvalidHandshake, TimeoutError):
    """The connection was not open within open_timeout."""


class InvalidStatus(InvalidHandshake):
    """The server answered the upgrade with another HTTP status than 101; `response` is its answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.response.status_code} {self.response.reason_phrase}"


class InvalidMessage(InvalidHandshake):
    """The answer to the upgrade is not acceptable: no HTTP, a wrong accept key, something that was not offered."""


class SecurityError(InvalidHandshake):
    """A redirect that is not followed: to an address without TLS, or one of too many."""


class NegotiationError(InvalidHandshake):
    """Raised by a server's select_subprotocol: no subprotocol suits; the client gets 400."""


class ProxyError(InvalidHandshake):
    """The proxy did not connect us; below it, why."""


class InvalidProxyMessage(ProxyError):
    """The proxy's answer to CONNECT is no HTTP."""


class InvalidProxyStatus(ProxyError):
    """The proxy refused CONNECT; `response` is its answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code}"


class ProtocolError(WebSocketException):
    """What the peer sent breaks the protocol. It is the `__cause__` of a ConnectionClosedError, never raised alone."""


class PayloadTooBig(WebSocketException):
    """A message is longer than max_size. It is the `__cause__` of a ConnectionClosedError, never raised alone."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two tasks receive from one connection at a time, or a ping repeats the data of one that is under way."""


class ConnectionClosed(WebSocketException):
    """The connection ended.

    `rcvd` and `sent` are the close frames, None when there was none; `rcvd_then_sent` tells their order, None unless
    there were both. `closed_text` says more for people, and `__cause__` is what went wrong: ProtocolError,
    PayloadTooBig, TlsError, ConnectError, or nothing.
    """

    def __init__(self, rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None = None,
                 closed_text: str = "") -> None:
        super().__init__(rcvd, sent, rcvd_then_sent, closed_text)
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent
        self.closed_text = closed_text

    @property
    def code(self) -> int:
        """Close code of the peer; 1006 when it sent no close frame."""
        return self.rcvd.code if self.rcvd else 1006

    @property
    def reason(self) -> str:
        """Reason of the peer's close frame, "" without one."""
        return self.rcvd.reason if self.rcvd else ""

    def __str__(self) -> str:
        if self.rcvd and self.sent:
            first, second = f"received {self.rcvd}", f"sent {self.sent}"
            return f"{first}; then {second}" if self.rcvd_then_sent is not False else f"{second}; then {first}"
        if self.rcvd:
            return f"received {self.rcvd}; no close frame sent"
        text = f"sent {self.sent}; no close frame received" if self.sent else "no close frame received or sent"
        return f"{text} ({self.closed_text})" if self.closed_text else text


class ConnectionClosedOK(ConnectionClosed):
    """It ended in order: close code 1000 or 1001."""


class ConnectionClosedError(ConnectionClosed):
    """It ended otherwise: another close code, a broken protocol, or the network."""
