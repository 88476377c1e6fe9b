"""`ServerConnection`: a connection that a server accepted, and its part of the handshake."""
from __future__ import annotations

import asyncio
import base64
import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from xdpws.aio.connection import Connection, Limits, LoggerLike
from xdpws.aio.driver import Driver
from xdpws.aio.state import State
from xdpws.errors import NegotiationError, UsageError
from xdpws.http import Headers, Request, Response, parse_request, parse_response

if TYPE_CHECKING:
    from xdpws.aio.server import Server

ProcessRequest = Callable[["ServerConnection", Request], Awaitable[Response | None] | Response | None]
ProcessResponse = Callable[["ServerConnection", Request, Response], Awaitable[Response | None] | Response | None]
SelectSubprotocol = Callable[["ServerConnection", Sequence[str]], str | None]
Origins = Sequence[str | re.Pattern[str] | None]

_FAILED = "Failed to open a WebSocket connection.\nSee server log for more information.\n"
_WHY = {400: "the request is malformed", 405: "the method is not GET", 426: "the request is no upgrade to WebSocket 13",
        505: "the version of HTTP is not 1.1"}


@dataclass(frozen=True, slots=True)
class Manners:
    """How a server answers requests; as the parameters of `serve`."""

    origins: Origins | None
    subprotocols: tuple[str, ...]
    select_subprotocol: SelectSubprotocol | None
    process_request: ProcessRequest | None
    process_response: ProcessResponse | None
    server_header: str | None


class ServerConnection(Connection):
    """Made by `xdpws.serve`, given to its handler."""

    username: str
    """Set by `basic_auth`."""

    def __init__(self, driver: Driver, limits: Limits, logger: LoggerLike, server: Server) -> None:
        super().__init__(driver, limits, logger)
        self.server: Server = server
        """Who accepted it."""
        self._draft_status = 0
        self._asked: asyncio.Future[None] = self._loop.create_future()

    async def __aenter__(self) -> ServerConnection:
        return self

    def respond(self, status: int | HTTPStatus, text: str) -> Response:
        """A plain-text answer for process_request and process_response to return, perhaps with more header fields."""
        body = text.encode()
        status = HTTPStatus(status)
        return Response(status.value, status.phrase, Headers([
            ("Date", formatdate(usegmt=True)), ("Connection", "close"), ("Content-Length", str(len(body))),
            ("Content-Type", "text/plain; charset=utf-8")]), body)

    def on_request(self, head: bytes, status: int) -> None:
        self.request = parse_request(head)
        self._draft_status = status
        if not self._asked.done():
            self._asked.set_result(None)

    async def _handshake(self, manners: Manners) -> bool:
        """Answer the request; whether the connection is open then."""
        self._driver.kick()
        await asyncio.wait([self._asked, self._closed], return_when=asyncio.FIRST_COMPLETED)
        if not self._asked.done() or self.request is None or self._connection is None:
            return False
        response = await self._call("process_request", manners.process_request, self.request)
        response = response or self._decide(manners, self.request)
        if manners.server_header is not None and "Server" not in response.headers:
            response.headers["Server"] = manners.server_header
        response = await self._call("process_response", manners.process_response, self.request, response) or response
        if response.status_code == 101 and not self.server.is_serving():
            response = self.respond(503, "Server is shutting down.\n")
        self.response = response
        try:
            self._connection.answer(response.serialize())
        except UsageError:
            self.logger.exception("the answer to the request cannot be sent")
            self.response = self.respond(500, _FAILED)
            self._connection.answer(self.response.serialize())
        self._driver.kick()
        await asyncio.wait([self._opening, self._closed], return_when=asyncio.FIRST_COMPLETED)
        if self.state is not State.OPEN:
            return False
        self._watch.start()
        return True

    async def _call(self, name: str, hook: Callable[..., Any] | None, *arguments: Any) -> Response | None:
        if hook is None:
            return None
        try:
            result = hook(self, *arguments)
            if isinstance(result, Awaitable):
                result = await result
        except Exception:
            self.logger.exception("%s failed", name)
            return self.respond(500, _FAILED)
        if result is not None and not isinstance(result, Response):
            self.logger.error("%s gave %r; it must be a Response or None", name, result)
            return self.respond(500, _FAILED)
        return result

    def _decide(self, manners: Manners, request: Request) -> Response:
        """Our own answer: the draft of the core, unless origin or subprotocol forbid it."""
        draft = parse_response(self._connection.hello() if self._connection else b"")
        if self._draft_status != 101:
            why = _WHY.get(self._draft_status, "the request cannot be answered")
            response = self.respond(self._draft_status, f"Failed to open a WebSocket connection: {why}.\n")
            for name in ("Upgrade", "Allow", "Sec-WebSocket-Version"):
                if name in draft.headers:
                    response.headers[name] = draft.headers[name]
            return response
        if manners.origins is not None and not _origin_ok(manners.origins, request.headers.get_all("Origin")):
            self.logger.info("refused the origin %s", request.headers.get("Origin"))
            return self.respond(403, "Failed to open a WebSocket connection: invalid Origin header.\n")
        try:
            chosen = self._choose(manners, request.headers.tokens("Sec-WebSocket-Protocol"))
        except NegotiationError as error:
            return self.respond(400, f"Failed to open a WebSocket connection: {error}.\n")
        except Exception:
            self.logger.exception("select_subprotocol failed")
            return self.respond(500, _FAILED)
        if chosen is not None:
            draft.headers["Sec-WebSocket-Protocol"] = chosen
        draft.headers["Date"] = formatdate(usegmt=True)
        return draft

    def _choose(self, manners: Manners, offered: Sequence[str]) -> str | None:
        """By the server's preference; a client that must speak one of ours and offers none of them is refused."""
        if manners.select_subprotocol is not None:
            chosen = manners.select_subprotocol(self, offered)
            if chosen is not None and chosen not in offered:
                raise NegotiationError(f"the subprotocol {chosen} was not offered")
            return chosen
        if not manners.subprotocols or not offered:
            return None
        return next((name for name in manners.subprotocols if name in offered), None)


def _origin_ok(allowed: Origins, given: Sequence[str]) -> bool:
    """RFC 6454: none, or one that is in the list."""
    if len(given) > 1:
        return False
    origin = given[0] if given else None
    for each in allowed:
        if each is None or isinstance(each, str):
            if each == origin:
                return True
        elif origin is not None and each.fullmatch(origin):
            return True
    return False


def basic_auth(realm: str = "", credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
               check_credentials: Callable[[str, str], Awaitable[bool] | bool] | None = None) -> ProcessRequest:
    """A process_request that demands HTTP basic authentication (RFC 7617), as in `websockets`.

    credentials: a (user, password), or several; or check_credentials(user, password), which may be a coroutine
    function. The connection's `username` is set; others get 401. Raises TypeError unless one of the two is given.
    """
    if (credentials is None) == (check_credentials is None):
        raise TypeError("provide either credentials or check_credentials")
    known = _pairs(credentials)

    async def allowed(user: str, password: str) -> bool:
        if check_credentials is None:
            given = f"{user}:{password}".encode()
            return sum(hmac.compare_digest(f"{each}:{secret}".encode(), given) for each, secret in known) > 0
        result = check_credentials(user, password)
        return await result if isinstance(result, Awaitable) else result

    async def process_request(connection: ServerConnection, request: Request) -> Response | None:
        user, password = _basic(request.headers.get("Authorization", ""))
        if user is not None and await allowed(user, password):
            connection.username = user
            return None
        response = connection.respond(401, "Missing or invalid credentials\n")
        response.headers["WWW-Authenticate"] = f'Basic realm="{realm}", charset="UTF-8"'
        return response

    return process_request


def _pairs(credentials: tuple[str, str] | Iterable[tuple[str, str]] | None) -> list[tuple[str, str]]:
    match credentials:
        case None:
            return []
        case (str() as user, str() as password):
            return [(user, password)]
    return [(str(each[0]), str(each[1])) for each in credentials]


def _basic(value: str) -> tuple[str | None, str]:
    """User and password of an Authorization header; None if it has none."""
    scheme, _, token = value.partition(" ")
    try:
        text = base64.b64decode(token.strip(), validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return None, ""
    user, colon, password = text.partition(":")
    return (user, password) if colon and scheme.lower() == "basic" else (None, "")
