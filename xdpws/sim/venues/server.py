"""A played venue: listens, keeps its rules about addresses, and moves one market for all its clients.

Use it in tests and programs as an asynchronous context manager::

    async with VenueExchange(VenueConfig("okx", port=0)) as venue:
        ...  # connect to venue.url, trusting venue.ca_file
"""
from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from types import TracebackType

from OpenSSL import SSL

from xdpws.sim.cert import default_names, make_certificate
from xdpws.sim.link import Link, PlainLink, TlsLink
from xdpws.sim.listener import listen, url_of
from xdpws.sim.peer import HttpRequest, Peer, PeerGone
from xdpws.sim.session import SessionResult
from xdpws.sim.tls import TlsContext
from xdpws.sim.venues import VENUES
from xdpws.sim.venues.config import VenueConfig
from xdpws.sim.venues.dialogue import Setting
from xdpws.sim.venues.market import Market
from xdpws.sim.venues.session import VenueSession

__all__ = ["VenueExchange"]

_TICK_S = 0.001
_MOST_STEPS = 200


class VenueExchange:
    """A running venue. All clients see one market; what they missed while away is gone."""

    def __init__(self, config: VenueConfig, on_session: Callable[[SessionResult], None] | None = None) -> None:
        """Nothing listens before the `async with`. `on_session` is called when a client is done."""
        self.config = config
        self.venue = VENUES[config.venue]
        self.market = Market(config.seed)
        self.results: list[SessionResult] = []
        """What became of each client, in the order they ended."""
        self._on_session = on_session
        self._served = asyncio.Event()
        self._sessions: set[VenueSession] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: Counter[str] = Counter()
        self._attempts: defaultdict[str, list[float]] = defaultdict(list)
        self._upgrades = 0
        self._listener: socket.socket | None = None
        self._directory: Path | None = None
        self._tls: TlsContext | None = None
        self.ca_file: Path | None = None
        """The CA to trust; None without TLS."""

    @property
    def port(self) -> int:
        """The port that is listened on, also if 0 was asked for."""
        assert self._listener is not None, "only while the venue runs"
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Where to connect to, with the venue's path."""
        return url_of(self.config.host, self.port, self.config.plain) + self.venue.path

    async def first_client_done(self) -> None:
        """Wait until a client that had its WebSocket is done."""
        await self._served.wait()

    async def __aenter__(self) -> VenueExchange:
        """Make the certificate and listen. Raises `SetupError`, what it wraps undone."""
        config = self.config
        try:
            if not config.plain:
                if config.cert_dir is None:
                    self._directory = Path(tempfile.mkdtemp(prefix="xdpws-sim-"))
                directory = config.cert_dir or self._directory
                assert directory is not None
                files = make_certificate(directory, default_names(config.host), config.key_type)
                self._tls, self.ca_file = TlsContext(files, None, "", ""), files.ca
            self._listener = listen(config.host, config.port)
        except BaseException:
            self._remove_directory()
            raise
        self._start(self._accept(self._listener))
        self._start(self._move())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, cut the clients that are left, remove a temporary certificate."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._listener is not None
        self._listener.close()
        self._remove_directory()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _move(self) -> None:
        """Move the market at its rate. What a busy host has made it late by is caught up in bounded bursts."""
        begin, steps = time.monotonic(), 0
        while True:
            await asyncio.sleep(max(_TICK_S, 1 / self.config.rate / 2))
            due = int((time.monotonic() - begin) * self.config.rate)
            for _ in range(min(due - steps, _MOST_STEPS)):
                change = self.market.step(time.time_ns() // 1_000_000)
                if change is not None:
                    for session in self._sessions:
                        session.move(change)
            steps = due

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, address = await loop.sock_accept(listener)
            self._start(self._serve(sock, address[0], f"{address[0]}:{address[1]}"))

    async def _serve(self, sock: socket.socket, address: str, peer_name: str) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link: Link = PlainLink(sock) if self._tls is None else TlsLink(sock, self._tls.accept())
        peer = Peer(sock, link, self.config.close_timeout_s)
        session, target, counted = None, "", False
        try:
            request = await peer.request()
            target = request.target
            counted = request.upgrade
            refusal = await self._other_than_upgrade(peer, request) or await self._refused(peer, address)
            if refusal:
                counted, reason = False, refusal
            else:
                self._open[address] += 1
                session = self._session(peer, target)
                self._sessions.add(session)
                reason = await session.run()
        except PeerGone as gone:
            reason = f"client {gone}"
        except (OSError, SSL.Error) as exc:
            reason = f"connection lost: {exc or type(exc).__name__}"
        finally:
            sock.close()
            if session is not None:
                self._sessions.discard(session)
                self._open[address] -= 1
        moved, received, code = (session.moved, session.received, session.close_code) if session else (0, 0, None)
        result = SessionResult(peer_name, peer.description, target, moved, reason, code, received)
        self.results.append(result)
        if self._on_session is not None:
            self._on_session(result)
        if counted:
            self._served.set()

    def _session(self, peer: Peer, target: str) -> VenueSession:
        setting = Setting(self.market, self.config.rules, target, f"xdpws-sim-{self._upgrades}")
        self._upgrades += 1
        return VenueSession(self.config, self.venue, self.venue.begin(setting), peer,
                            self._upgrades <= self.config.faulty)

    async def _other_than_upgrade(self, peer: Peer, request: HttpRequest) -> str:
        """Answer what is no upgrade, or asks for another path. The reason, "" if it is neither."""
        path = request.target.partition("?")[0]
        if request.upgrade and self._is_path(path):
            return ""
        body = None if request.upgrade else self.venue.rest(self.market, request.method, request.target)
        if body is None:
            await peer.answer(HTTPStatus.NOT_FOUND, f"{self.venue.name} has no {request.target}\n")
            return f"answered 404 to {request.method} {request.target}"
        await peer.answer(HTTPStatus.OK, body, "application/json")
        return f"answered {request.method} {request.target}"

    def _is_path(self, path: str) -> bool:
        own = self.venue.path
        return path == own or (own == "/ws" and (path == "/stream" or path.startswith("/ws/"))) or path == own + "/"

    async def _refused(self, peer: Peer, address: str) -> str:
        """Refuse what is more than the venue's rules allow an address. The reason, "" if it is not."""
        rules, now = self.config.rules, time.monotonic()
        attempts = self._attempts[address]
        attempts.append(now)
        if rules.connects is not None:
            window = rules.connects.seconds / self.config.time_scale
            attempts[:] = [at for at in attempts if now - at < window]
        many = rules.connects is not None and len(attempts) > rules.connects.count
        if many or (rules.connections is not None and self._open[address] >= rules.connections):
            reason = "too many attempts" if many else "too many connections"
            await peer.answer(HTTPStatus.TOO_MANY_REQUESTS, f"{reason}\n")
            return f"refused with 429: {reason}"
        return ""

    def _remove_directory(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
