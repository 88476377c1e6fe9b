"""What `attach` and `connect` share: receiving one or several feeds and the report about it."""
from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xdpws._ffi import lib
from xdpws.client import Client, Session
from xdpws.config import EngineConfig, TlsOptions, TransportName, XdpOptions
from xdpws.digest import FeedDigest
from xdpws.messages import Message
from xdpws.sim.stamp import sent_ns
from xdpws.timestamps import Histogram, Stamps

_TCP_FIELDS = ("tcp_state", "mss", "srtt_us", "rttvar_us", "rto_us", "cwnd", "bytes_in", "bytes_out", "segs_in",
               "segs_out", "retransmits", "fast_retransmits", "timeouts", "dup_acks", "ooo_segs", "dup_segs",
               "zero_windows", "probes")
# name of the stage: the stamps between which it lies
_STAGES = {"kernel_to_ring": ("kernel", "ring"), "ring_to_decrypt": ("ring", "decrypt_begin"),
           "decrypt": ("decrypt_begin", "decrypt_end"), "parse": ("decrypt_end", "parsed"),
           "parsed_to_user": ("parsed", "user"), "first_to_user": ("first", "user")}


@dataclass
class Tally:
    """What one connection received."""

    url: str
    digest: FeedDigest = field(default_factory=FeedDigest)
    latency: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in _STAGES})
    oneway: Histogram = field(default_factory=Histogram)
    started_ns: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def take(self, data: memoryview, stamps: Stamps) -> None:
        """Count one message."""
        self.digest.update(data)
        user = stamps.user or 0
        self.first_ns = self.first_ns or user
        self.last_ns = user
        if stamps.ring is not None:
            self.latency.record(user - stamps.ring)
        for name, (begin, end) in _STAGES.items():
            a, b = getattr(stamps, begin), getattr(stamps, end)
            if a is not None and b is not None:
                self.stages[name].record(b - a)
        sent = sent_ns(data)
        if sent is not None:
            self.oneway.record(user - sent)


class Receiver:
    """Runs a client over the URLs until they end, `count` messages came, `seconds` passed or a signal said stop."""

    def __init__(self, urls: tuple[str, ...], *, transport: TransportName, xdp: XdpOptions | None, tls: TlsOptions,
                 count: int | None = None, busy_poll: bool = True,
                 on_data: Callable[[Message], None] | None = None) -> None:
        self.tallies = [Tally(url) for url in urls]
        self._count = count
        self._on_data = on_data
        self._left = count if count is not None else -1
        self.client = Client(list(urls), self._on_message, transport=transport, xdp=xdp, tls=tls, busy_poll=busy_poll,
                             config=EngineConfig(max_conns=max(16, len(urls)), stamps="histogram"))
        self._by_session = {id(s): t for s, t in zip(self.client.sessions, self.tallies, strict=True)}
        self.drops: dict[str, int] = {}
        self.capture_lost: int | None = None
        self.stats: dict[str, int] = {}
        self.steering: dict[str, int] = {}
        self.modes: dict[str, str] = {"loader": "", "xdp_mode": ""}

    def _on_message(self, message: Message) -> None:
        if self._left == 0:
            return
        self._by_session[id(message.session)].take(message.data, message.stamps)
        if self._on_data is not None:
            self._on_data(message)
        if self._left > 0:
            self._left -= 1
            if self._left == 0:
                self.client.stop()

    @property
    def messages(self) -> int:
        """Messages so far, of all connections."""
        return sum(t.digest.messages for t in self.tallies)

    def run(self, seconds: float | None, tick: Callable[[], None] | None = None) -> None:
        """Receive. `tick` is called some times a second. SIGINT and SIGTERM end it in order."""
        started = time.monotonic()
        for tally in self.tallies:
            tally.started_ns = time.monotonic_ns()
        stopped = False

        def stop(*_: object) -> None:
            nonlocal stopped
            stopped = True
            self.client.stop()

        previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not stopped and self._left != 0 and any(s.closed is None for s in self.client.sessions):
                left = None if seconds is None else seconds - (time.monotonic() - started)
                if left is not None and left <= 0:
                    break
                self.client.run(0.25 if left is None else min(0.25, left))
                if tick is not None:
                    tick()
            self._collect()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.client.close()

    def _collect(self) -> None:
        """Figures that are gone when the client is closed."""
        runtime = self.client.runtime
        for session in self.client.sessions:
            if session.connection is not None and session.closed is None:
                session.info = session.connection.info()
        self.drops = runtime.engine.drops()
        self.stats = runtime.engine.stats()
        if runtime.attachment is not None:
            steering = runtime.attachment.steering
            self.capture_lost = runtime.attachment.recording_lost
            self.steering = steering.counters()
            self.modes = {"loader": steering.loader_name, "xdp_mode": steering.mode}

    def error(self) -> Exception | None:
        """Why the first connection that did not open did not."""
        return next((s.error for s in self.client.sessions if s.error is not None), None)

    def report(self) -> dict[str, Any]:
        """The object that --json prints: of the only connection, or with `connections`."""
        each = [self._connection(s, t) for s, t in zip(self.client.sessions, self.tallies, strict=True)]
        return each[0] if len(each) == 1 else {"connections": each, "messages": sum(c["messages"] for c in each)}

    def _connection(self, session: Session, tally: Tally) -> dict[str, Any]:
        over_xdp = session.connection is not None and session.connection.transport == "xdp"
        info = session.info
        return {
            "url": tally.url,
            "transport": session.connection.transport if session.connection else "",
            "transport_reason": session.connection.transport_reason if session.connection else "",
            "loader": self.modes["loader"] if over_xdp else None,
            "xdp_mode": self.modes["xdp_mode"] if over_xdp else None,
            "zero_copy": bool(self.stats.get("zero_copy")) if over_xdp else None,
            "messages": tally.digest.messages,
            "bytes": tally.digest.payload_bytes,
            "rx_sha256": tally.digest.hexdigest(),
            "seconds": round(max(0, tally.last_ns - tally.started_ns) / 1e9, 6),
            "close_code": session.closed.code if session.closed else None,
            "error": str(session.error) if session.error else None,
            "tls": {"version": info.get("tls_version", 0), "cipher": info.get("cipher", ""),
                    "engine": info.get("tls_engine", ""), "library": info.get("tls_library", "")},
            "latency_ns": tally.latency.summary(),
            "oneway_ns": tally.oneway.summary() if tally.oneway.count else None,
            "stages_ns": {name: h.summary() for name, h in tally.stages.items() if h.count},
            "tcp": {name: info[name] for name in _TCP_FIELDS if name in info},
            "capture_lost": self.capture_lost,
            "drops": self.drops if over_xdp else {},
            "steering": self.steering if over_xdp else {},
            "kernel": {k: v for k, v in self.stats.items() if k.startswith("k_")} if over_xdp else {},
            "openssl": _openssl(),
        }


def _openssl() -> str:
    from xdpws._ffi import text

    return text(lib.xw_openssl_version())
