"""The exchange: listens, and plays its feed to every client from the start.

Use it in tests and programs as an asynchronous context manager::

    async with Exchange(ExchangeConfig(feed="synthetic", port=0, speed=None)) as exchange:
        ...  # connect to exchange.url, trusting exchange.ca_file
"""
from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from xdpws.sim.cert import CertificateFiles, default_names, make_certificate
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.feed import Feed
from xdpws.sim.frames import Framer
from xdpws.sim.link import Link, PlainLink, TlsLink
from xdpws.sim.listener import listen, url_of
from xdpws.sim.script import Script, expected_digest
from xdpws.sim.session import Session, SessionResult
from xdpws.sim.synthetic import Synthetic
from xdpws.sim.tls import TlsContext

__all__ = ["Exchange"]


class Exchange:
    """A running exchange. All clients share one thread and one encoded copy of the feed."""

    def __init__(self, config: ExchangeConfig, on_session: Callable[[SessionResult], None] | None = None) -> None:
        """Open and check the feed's header; nothing listens before the `async with`.

        `on_session` is called when a client is done. Raises `FeedError`.
        """
        self.config = config
        self.results: list[SessionResult] = []
        """What became of each client, in the order they ended."""
        synthetic = str(config.feed) == "synthetic"
        self._source: Synthetic | Feed = (
            Synthetic(config.count, config.seed, config.rate, config.stamp) if synthetic else Feed(config.feed))
        self._venue = self._source.venue if isinstance(self._source, Synthetic) else self._source.header.venue
        self._acks = config.ack == "always" or (config.ack == "auto" and synthetic)
        self._on_session = on_session
        self._served = asyncio.Event()
        self._clients: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None
        self._made_dir: Path | None = None
        self._files: CertificateFiles | None = None
        self._tls: TlsContext | None = None
        self._script: Script | None = None

    # -- what a client needs to know ---------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port that is listened on, also if 0 was asked for."""
        assert self._listener is not None, "only while the exchange runs"
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Where to connect to. A wildcard address is given as 127.0.0.1."""
        return url_of(self.config.host, self.port, self.config.plain) + "/"

    @property
    def ca_file(self) -> Path | None:
        """The CA that signed the made certificate; None without TLS or with a given certificate."""
        return self._files.ca if self._files is not None and self.config.cert is None else None

    @property
    def messages(self) -> int | None:
        """How many data messages a client that stays gets; None if the feed is played for ever."""
        if self._script is None or (self.config.loop == 0 and self.config.drop_after is None):
            return None
        total = self.config.loop * len(self._script.wire) if self.config.loop else 1 << 62
        return total if self.config.drop_after is None else min(total, self.config.drop_after)

    def expected_sha256(self) -> str | None:
        """The digest of these messages; None if played for ever or stamped. Reads the feed again: some time for long
        ones."""
        if self.messages is None or self.config.stamp:
            return None
        return expected_digest(self._source, self.messages).hexdigest()

    async def first_client_done(self) -> None:
        """Wait until a client that had its WebSocket is done."""
        await self._served.wait()

    # -- life --------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Exchange:
        """Encode the feed, make the certificate, listen. Raises `SetupError` (what it wraps undone) or `UsageError`."""
        config = self.config
        framer = Framer(config.fragment, config.seed)
        self._script = Script.build(self._source, framer, config.stamp)
        try:
            if not config.plain:
                self._files = self._certificate()
                self._tls = TlsContext(self._files, config.tls, config.ciphers, config.groups)
            self._listener = listen(config.host, config.port)
        except BaseException:
            self._remove_made_files()
            raise
        self._accepting = asyncio.create_task(self._accept(self._listener))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, cut the clients that are left, remove a temporary certificate."""
        assert self._accepting is not None
        assert self._listener is not None
        tasks = [self._accepting, *self._clients]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        self._remove_made_files()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._serve(sock))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _serve(self, sock: socket.socket) -> None:
        assert self._script is not None
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link: Link = PlainLink(sock) if self._tls is None else TlsLink(sock, self._tls.accept())
        try:
            session = Session(self.config, self._script, self._venue, self._acks, sock, link)
        except OSError:
            sock.close()  # gone between accept and here
            return
        result = await session.run()
        self.results.append(result)
        if self._on_session is not None:
            self._on_session(result)
        if result.path:
            self._served.set()

    def _certificate(self) -> CertificateFiles:
        config = self.config
        if config.cert is not None and config.key is not None:
            return CertificateFiles(config.cert, config.cert, config.key)
        if config.cert_dir is None:
            self._made_dir = Path(tempfile.mkdtemp(prefix="xdpws-sim-"))
        directory = self._made_dir or config.cert_dir
        assert directory is not None
        return make_certificate(directory, config.names or default_names(config.host), config.key_type)

    def _remove_made_files(self) -> None:
        if self._made_dir is not None:
            shutil.rmtree(self._made_dir, ignore_errors=True)
            self._made_dir = None
