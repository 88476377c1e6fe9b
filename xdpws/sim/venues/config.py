"""What a played venue does beyond its rules: one frozen value, checked when it is made."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xdpws.errors import UsageError
from xdpws.sim.config import DROPS, KEY_TYPES
from xdpws.sim.venues import VENUES
from xdpws.sim.venues.rules import Rules, with_limits

__all__ = ["VenueConfig"]


@dataclass(frozen=True, slots=True)
class VenueConfig:
    """Settings of `xdpws.sim.venues.server.VenueExchange`.

    venue           which one, a name of `VENUES`
    limits          rules that differ from the venue's, "NAME=VALUE" as `rules.with_limits` takes them
    rate            book changes a second, over all books that are in use
    seed            decides the books
    time_scale      the venue's clock runs so many times as fast: with 86400 its day takes a second; but it does not
                    ping more often than each 50 ms and waits at least 250 ms for what it demands
    host, port, plain, cert_dir, key_type   as in `ExchangeConfig`

    Faults, on each of the first `faulty` connections, counted in messages of market data:
        cut_after       end the connection after so many; cut: "rst", "fin", or "close" with code 1001
        gap_after       leave `gap` of them out after so many
        mute_after      say nothing more after so many, but go on answering
        restart_after   announce a restart after so many, as the venue does, and close when its notice is over
    """

    venue: str
    limits: tuple[str, ...] = ()
    rate: float = 200.0
    seed: int = 1
    time_scale: float = 1.0
    host: str = "127.0.0.1"
    port: int = 9443
    plain: bool = False
    cert_dir: Path | None = None
    key_type: str = "ecdsa"
    faulty: int = 1
    cut_after: int | None = None
    cut: str = "rst"
    gap_after: int | None = None
    gap: int = 1
    mute_after: int | None = None
    restart_after: int | None = None
    close_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        """Raises `UsageError` for what is no venue, no limit, or out of range."""
        if self.venue not in VENUES:
            raise UsageError(f"venue: {self.venue!r} is none of {', '.join(sorted(VENUES))}")
        if self.cut not in (*DROPS, "close"):
            raise UsageError(f"cut: {self.cut!r} is none of {', '.join(DROPS)}, close")
        if self.key_type not in KEY_TYPES:
            raise UsageError(f"key_type: {self.key_type!r} is none of {', '.join(KEY_TYPES)}")
        if not 0.01 <= self.rate <= 1e5:
            raise UsageError(f"rate: {self.rate} is not within 0.01 and 100,000 changes a second")
        if not 1e-3 <= self.time_scale <= 1e7:
            raise UsageError(f"time_scale: {self.time_scale} is not within 0.001 and 10,000,000")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"listen: port {self.port} is not within 0 and 65535")
        for name in ("cut_after", "gap_after", "mute_after", "restart_after"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"{name}: {getattr(self, name)} is negative")
        if self.faulty < 0 or self.gap < 1 or self.close_timeout_s <= 0:
            raise UsageError("faulty must not be negative, gap and close_timeout_s must be positive")
        with_limits(Rules(), self.limits)

    @property
    def rules(self) -> Rules:
        """The venue's rules with the limits that differ."""
        return with_limits(VENUES[self.venue].rules, self.limits)
