"""One client of a played venue: its dialogue, and the rules it must keep.

Three tasks run over one `Peer`: the writer sends what the dialogue and the market put into a bounded queue, the
reader hands messages to the dialogue and counts them, the warden watches the clock. The first of them to end
ends the session.
"""
from __future__ import annotations

import asyncio
import time
from collections import deque

from OpenSSL import SSL

from xdpws.sim.peer import Peer, PeerGone
from xdpws.sim.venues.coding import coded, extensions
from xdpws.sim.venues.config import VenueConfig
from xdpws.sim.venues.dialogue import Cut, Dialogue, Out, Venue
from xdpws.sim.venues.market import Change
from xdpws.sim.venues.rules import Rate

__all__ = ["VenueSession"]

_QUEUE = 4096
"""A client that lets so many messages wait is cut, as slow consumers are."""
_GOING_AWAY, _RESTART, _POLICY = 1001, 1012, 1008
_TURN_S = 0.005
_LEAST_EVERY_S, _LEAST_PATIENCE_S = 0.05, 0.25
"""However fast the venue's clock runs, it does not ping more often than this, and waits at least so long."""


class _Counter:
    """How many within the rate's window; `full` says whether one more is too many."""

    def __init__(self, rate: Rate | None, scale: float) -> None:
        self._rate, self._scale = rate, scale
        self._times: deque[float] = deque()

    def full(self, now: float, count: int = 1) -> bool:
        if self._rate is None:
            return False
        window = self._rate.seconds / self._scale
        while self._times and now - self._times[0] >= window:
            self._times.popleft()
        self._times.extend([now] * count)
        return len(self._times) > self._rate.count


class VenueSession:
    """Serves one client whose upgrade has been answered for, to its end. `faulty` is whether faults are due."""

    def __init__(self, config: VenueConfig, venue: Venue, dialogue: Dialogue, peer: Peer, faulty: bool) -> None:
        self._config, self._venue, self._dialogue, self._peer = config, venue, dialogue, peer
        self._rules, self._scale, self._faulty = config.rules, config.time_scale, faulty
        self._queue: asyncio.Queue[tuple[Out, bool]] = asyncio.Queue()
        self._messages = _Counter(self._rules.messages, self._scale)
        self._subscribes = _Counter(self._rules.subscribes, self._scale)
        self._pong = asyncio.Event()
        self._heard_at = self._pushed_at = 0.0
        self._restart = asyncio.Event()
        self._full = asyncio.Event()
        self._ending = ""
        self.moved = 0
        """Messages of market data sent, the one left out counted."""
        self.received = 0
        self.close_code: int | None = None

    async def run(self) -> str:
        """Serve to the end; how it ended."""
        try:
            await self._peer.accept(extensions(self._rules))
            self._heard_at = self._pushed_at = time.monotonic()
            self._say(self._dialogue.opened(_now_ms()))
            tasks = [asyncio.create_task(work()) for work in (self._write, self._read, self._watch, self._beat,
                                                              self._ping, self._announce, self._overflow)]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                return next(task.result() for task in tasks if task.done())
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except PeerGone as gone:
            self.close_code = gone.code
            return self._ending or f"client {gone}"
        except (OSError, SSL.Error) as exc:
            return self._ending or f"connection lost: {exc or type(exc).__name__}"

    def move(self, change: Change) -> None:
        """The market has moved; never waits."""
        if self._queue.qsize() >= _QUEUE:
            self._full.set()
            return
        for out in self._dialogue.moved(change):
            self._queue.put_nowait((out, True))

    def _say(self, outs: list[Out]) -> None:
        for out in outs:
            self._queue.put_nowait((out, False))

    # -- writer ------------------------------------------------------------------------------------------------------

    async def _write(self) -> str:
        config = self._config
        while True:
            out, is_data = await self._queue.get()
            if isinstance(out, Cut):
                return await self._end(out)
            if is_data and self._faulty and self.moved == config.mute_after:
                continue
            self.moved += is_data
            if is_data and self._faulty and self._left_out():
                continue
            await self._peer.send(coded(out, self._rules))
            self._pushed_at = time.monotonic()
            if is_data and self._faulty:
                if self.moved == config.restart_after:
                    self._restart.set()
                if self.moved == config.cut_after:
                    code = _GOING_AWAY if config.cut == "close" else 0
                    return await self._end(Cut(f"cut after {self.moved} messages, as asked", code), config.cut)

    def _left_out(self) -> bool:
        after, count = self._config.gap_after, self._config.gap
        return after is not None and after < self.moved <= after + count

    async def _overflow(self) -> str:
        await self._full.wait()
        await self._peer.cut("rst", patient=False)
        return "slow consumer"

    async def _end(self, cut: Cut, how: str = "fin") -> str:
        self._ending = cut.reason
        if not cut.code:
            await self._peer.cut(how)
            return cut.reason
        await self._peer.close(cut.code, cut.reason[:100])
        try:
            async with asyncio.timeout(self._config.close_timeout_s):
                await asyncio.Event().wait()  # the reader sees the client's answer and ends the session
        except TimeoutError:
            pass
        return f"{cut.reason}; the client did not close in time"

    # -- reader ------------------------------------------------------------------------------------------------------

    async def _read(self) -> str:
        async for kind, data in self._peer.receive():
            now = self._heard_at = time.monotonic()
            if kind == "pong":
                self._pong.set()
            if (kind == "message" or self._rules.pings_count) and self._messages.full(now):
                return await self._end(Cut("too many messages", _POLICY))
            if kind != "message":
                continue
            self.received += 1
            text = data if isinstance(data, str) else data.decode(errors="replace")
            heard = self._dialogue.heard(text, _now_ms())
            if heard.changes and self._subscribes.full(now, heard.changes):
                return await self._end(Cut("too many subscriptions", _POLICY))
            self._say(heard.answers)
        raise AssertionError("receiving ends with PeerGone")

    # -- the clock ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> str:
        """Ends the client that is silent, has no subscription, or is too old."""
        rules, began = self._rules, time.monotonic()
        while True:
            await asyncio.sleep(_TURN_S)
            now = time.monotonic()
            age, heard = now - began, self._heard_at
            if rules.push_counts:
                heard = max(heard, self._pushed_at)
            if rules.life_s is not None and age * self._scale > rules.life_s:
                return await self._end(Cut("the connection is too old", _GOING_AWAY))
            if rules.idle_s is not None and now - heard > self._patience(rules.idle_s):
                return await self._end(Cut(f"silent for {rules.idle_s:g} s"))
            if rules.subscribe_s is not None and age > self._patience(rules.subscribe_s) and (
                    not self._dialogue.subscriptions()):
                return await self._end(Cut(f"no subscription within {rules.subscribe_s:g} s", _POLICY))

    async def _beat(self) -> str:
        while True:
            await asyncio.sleep(self._every(self._rules.beat_s))
            self._say(self._dialogue.beat(_now_ms()))

    async def _ping(self) -> str:
        number = 0
        while True:
            await asyncio.sleep(self._every(self._rules.ping_s))
            number += 1
            self._pong.clear()
            await self._peer.ping(str(_now_ms()).encode())
            try:
                async with asyncio.timeout(self._patience(self._rules.pong_s)):
                    await self._pong.wait()
            except TimeoutError:
                return await self._end(Cut(f"no pong within {self._rules.pong_s:g} s"))

    def _every(self, seconds: float | None) -> float:
        return max(seconds / self._scale, _LEAST_EVERY_S) if seconds else 1e9

    def _patience(self, seconds: float) -> float:
        return max(seconds / self._scale, _LEAST_PATIENCE_S)

    async def _announce(self) -> str:
        await self._restart.wait()
        self._say(self._dialogue.notice(_now_ms()))
        await asyncio.sleep(self._rules.notice_s / self._scale)
        return await self._end(Cut("restart, as asked", _RESTART))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
