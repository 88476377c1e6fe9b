"""A server that nobody here wrote: the `websockets` library with Python's ssl, playing a feed as fast as it can.

As a process: ``python -m peers.websockets_peer FEED --listen HOST:PORT --cert FILE --key FILE``.
"""
from __future__ import annotations

import argparse
import json
import signal
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from xdpws.sim.feed import TEXT, Feed
from xdpws.sim.script import Source
from xdpws.sim.synthetic import Synthetic

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class WebsocketsServer:
    """Plays `source` to every client and closes with 1000. Runs in threads; a context manager."""

    def __init__(
        self, source: Source, *, host: str = "127.0.0.1", port: int = 0, cert: Path | None = None,
        key: Path | None = None, tls: str | None = None,
    ) -> None:
        context = None
        if cert is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            if tls is not None:
                context.minimum_version = context.maximum_version = _VERSIONS[tls]
        self._source = source
        self._server = serve(self._play, host, port, ssl=context, compression=None)
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"{'wss' if context else 'ws'}://{host}:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="websockets-peer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and wait for the thread."""
        self._server.shutdown()
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _play(self, client: ServerConnection) -> None:
        try:
            for record in self._source.messages():
                client.send(record.payload.decode() if record.opcode == TEXT else record.payload)
        except ConnectionClosed:
            pass


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("feed")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--cert", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--tls", choices=list(_VERSIONS))
    parser.add_argument("--count", type=int, default=10_000)
    args = parser.parse_args(argv)
    host, _, port = args.listen.rpartition(":")
    source: Any = Synthetic(args.count) if args.feed == "synthetic" else Feed(args.feed)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with WebsocketsServer(source, host=host, port=int(port), cert=args.cert, key=args.key, tls=args.tls) as server:
        print(json.dumps({"url": server.url, "port": server.port}), flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
