"""What an exchange does: one frozen value, checked when it is made."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xdpws.errors import UsageError
from xdpws.sim.frames import FRAGMENTS
from xdpws.sim.records import parse_records

__all__ = ["ACKS", "DROPS", "KEY_TYPES", "TLS_VERSIONS", "ExchangeConfig"]

KEY_TYPES = ("rsa", "ecdsa")
TLS_VERSIONS = ("1.2", "1.3")
DROPS = ("rst", "fin")
ACKS = ("auto", "always", "never")


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """Settings of `xdpws.sim.server.Exchange`.

    What is played:
        feed            path of a feed file, or "synthetic"
        count, seed, rate, stamp  of the synthetic feed, see `Synthetic`; the seed also decides fragments and records
        speed           recorded time is divided by this; None plays as fast as the client takes it
        loop            plays this many times; 0 plays for ever
        start           "connect" plays at once, "subscribe" after the client's first message
        ack             "auto" answers control messages only where the feed holds no answers (synthetic), "always"
                        answers by the feed's venue, "never" does not answer

    Where and how:
        host, port      address to listen on; port 0 lets the system choose
        plain           ws:// without TLS
        cert, key       PEM files (certificate chain, private key); None makes a CA and a certificate at start
        cert_dir        where made certificates go; None is a temporary directory that goes with the exchange
        names           names and addresses in a made certificate; empty is the listen host, localhost and 127.0.0.1
        key_type        "rsa" (2048 bits) or "ecdsa" (P-256), for a made certificate
        tls             the only version offered, "1.2" or "1.3"; None offers both
        ciphers         OpenSSL names joined by ":", TLS 1.2 and 1.3 names may be mixed; "" is OpenSSL's default
        groups          key exchange groups joined by ":", e.g. "P-384" forces a HelloRetryRequest; "" is the default

    On the wire:
        records         "per-message", "random" or "coalesce:N": how messages become TLS records
        fragment        "none", "random" or "interleaved": how messages become frames
        ping_interval_s, ping_timeout_s  a WebSocket ping each interval (0: never), the client is cut if it does not
                        answer within the timeout

    Faults, all after `drop_after` messages (None: after the whole feed):
        drop            with drop_after: "rst" resets the connection, "fin" ends it, both without close frame or
                        close_notify
        reset_mid_frame sends half of the next frame, then resets
        half_close      ends the sending direction (close_notify, FIN) without close frame and waits for the client

        close_timeout_s how long the client may take to close
        handshake_timeout_s how long the client may take for TLS and for the HTTP upgrade, each
    """

    feed: str | Path = "synthetic"
    count: int = 10_000
    seed: int = 1
    rate: float = 250.0
    stamp: bool = False
    speed: float | None = 1.0
    loop: int = 1
    start: str = "connect"
    ack: str = "auto"

    host: str = "127.0.0.1"
    port: int = 9443
    plain: bool = False
    cert: Path | None = None
    key: Path | None = None
    cert_dir: Path | None = None
    names: tuple[str, ...] = ()
    key_type: str = "ecdsa"
    tls: str | None = None
    ciphers: str = ""
    groups: str = ""

    records: str = "per-message"
    fragment: str = "none"
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 60.0

    drop_after: int | None = None
    drop: str = "rst"
    reset_mid_frame: bool = False
    half_close: bool = False
    close_timeout_s: float = 5.0
    handshake_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Raises `UsageError` for a value out of range and for settings that contradict each other."""
        _among("fragment", self.fragment, FRAGMENTS)
        _among("key_type", self.key_type, KEY_TYPES)
        _among("drop", self.drop, DROPS)
        _among("ack", self.ack, ACKS)
        _among("start", self.start, ("connect", "subscribe"))
        if self.tls is not None:
            _among("tls", self.tls, TLS_VERSIONS)
        parse_records(self.records)
        if self.speed is not None and not 1e-3 <= self.speed <= 1e6:
            raise UsageError(f"speed: {self.speed} is not within 0.001 and 1000000; use max for no waiting at all")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"listen: port {self.port} is not within 0 and 65535")
        for name, value in (("loop", self.loop), ("drop_after", self.drop_after or 0),
                            ("ping_interval_s", self.ping_interval_s)):
            if value < 0:
                raise UsageError(f"{name}: {value} is negative")
        for name, seconds in (("ping_timeout_s", self.ping_timeout_s), ("close_timeout_s", self.close_timeout_s),
                              ("handshake_timeout_s", self.handshake_timeout_s)):
            if seconds <= 0:
                raise UsageError(f"{name}: {seconds} is not a positive number of seconds")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError("cert, key: give both or neither")
        if self.plain and (self.cert is not None or self.tls or self.ciphers or self.groups):
            raise UsageError("plain: there is no TLS, so cert, tls, ciphers and groups do not apply")
        if self.cert is not None and self.names:
            raise UsageError("names: they are for a certificate that is made, not for a given one")
        if self.stamp and str(self.feed) != "synthetic":
            raise UsageError("stamp: recorded payloads are never changed; only the synthetic feed can be stamped")
        if self.stamp and self.records != "per-message":
            raise UsageError("stamp, records: a stamped message is always a record of its own")
        if self.reset_mid_frame and self.half_close:
            raise UsageError("reset_mid_frame, half_close: choose one")


def _among(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name}: {value!r} is none of {', '.join(allowed)}")
