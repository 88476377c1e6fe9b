"""`Scenario`: what the sender does in one run, and how many messages count."""
from __future__ import annotations

from dataclasses import dataclass, replace

from xdpws.errors import UsageError

BLAST = "blast"
ECHO = "echo"
PACED = "paced"


@dataclass(frozen=True, slots=True)
class Scenario:
    """mode: paced, blast or echo. warm messages come before the `count` that count. rate: messages a second (paced), in
    bursts of `burst`. size: "trade" (about 200 B) or "depth" (1 to 4 KiB). ready: everything is encrypted beforehand.

    A run lasts less than 0.95 s, because the kernel takes a core from a real-time thread after that.
    """

    name: str
    title: str
    mode: str
    warm: int
    count: int
    rate: int = 0
    burst: int = 1
    size: str = "trade"
    ready: bool = False

    def sized(self, count: int) -> Scenario:
        """The same with another number of messages, whole bursts of them."""
        return replace(self, count=max(self.burst, count - count % self.burst))

    @property
    def target(self) -> str:
        """The request target that makes the sender do it."""
        query = f"mode={self.mode}&n={self.warm + self.count}&size={self.size}"
        query += "&ready=1" if self.ready else ""
        return f"/run?{query}" + (f"&rate={self.rate}&burst={self.burst}" if self.mode == PACED else "")


SCENARIOS: dict[str, Scenario] = {s.name: s for s in (
    Scenario("trade", "one-way, 200 B trades, 20,000/s", PACED, 1000, 14000, 20000),
    Scenario("burst", "one-way, bursts of 10 trades, 1,000 bursts/s", PACED, 500, 7000, 10000, 10),
    Scenario("echo", "echo round trip, 200 B", ECHO, 1000, 12000),
    Scenario("blast", "full blast, 200 B trades", BLAST, 2000, 300000),
    Scenario("flood", "full blast of 200 B trades that were encrypted beforehand", BLAST, 2000, 300000, ready=True),
    Scenario("depth", "one-way, book updates of 1 to 4 KiB, 5,000/s", PACED, 250, 3500, 5000, 1, "depth"),
)}
DEFAULT = ("trade", "burst", "echo", "blast")


def choose(names: str | None) -> list[Scenario]:
    """The scenarios of a comma-separated list; None: the default ones. UsageError for a name that there is not."""
    chosen = names.split(",") if names else list(DEFAULT)
    unknown = [name for name in chosen if name not in SCENARIOS]
    if unknown:
        raise UsageError(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return [SCENARIOS[name] for name in chosen]
