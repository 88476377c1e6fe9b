"""`Watch`: finds out that an open connection is dead, and keeps a living one from being taken for dead.

Three clocks, each optional: ping frames and their pongs, messages of the application and their answers (`Keepalive`),
and silence (no data for idle_timeout; pings, pongs and answers are no data). None of them blames the peer for what
our own full queue holds back: while the connection is paused, no time counts.
"""
from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from xdpws.config import Keepalive
from xdpws.errors import ConnectionClosed

if TYPE_CHECKING:
    from xdpws.aio.connection import Connection


class Watch:
    """Belongs to one connection and its loop. Times in seconds, None: off."""

    def __init__(self, connection: Connection, ping_interval: float | None, ping_timeout: float | None,
                 keepalive: Keepalive | None = None, idle_timeout: float | None = None) -> None:
        self._connection = connection
        self._ping = (ping_interval, ping_timeout)
        self._application = keepalive
        self._idle = idle_timeout
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._answered = asyncio.Event()
        self._data_at = time.monotonic()
        self._resumed_at = 0.0
        answer = keepalive.answer if keepalive else None
        self._answer = answer.encode() if isinstance(answer, str) else answer
        self.looks = idle_timeout is not None or self._answer is not None
        """Whether `swallows` must be asked about every message."""

    def start(self) -> None:
        """The connection is open."""
        self._data_at = time.monotonic()
        if self._ping[0] is not None:
            self._tasks.append(asyncio.create_task(self._keep_alive(*self._ping), name="xdpws keepalive"))
        if self._application is not None:
            self._tasks.append(asyncio.create_task(self._ask(self._application), name="xdpws application keepalive"))
        if self._idle is not None:
            self._look()

    def stop(self) -> None:
        """The connection is gone."""
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def resumed(self) -> None:
        """Messages flow again; what was held back needs time to come."""
        self._resumed_at = self._data_at = time.monotonic()

    def swallows(self, data: bytes) -> bool:
        """A message came; True if it only answers the application's ping."""
        if self._answer is not None and (self._answer(data) if callable(self._answer) else self._answer == data):
            self._answered.set()
            assert self._application is not None
            return not self._application.deliver
        self._data_at = time.monotonic()
        return False

    def _look(self) -> None:
        assert self._idle is not None
        now = time.monotonic()
        if self._connection.paused:
            self._data_at = now
        left = self._data_at + self._idle - now
        if left <= 0:
            self._connection.begin_close(1011, f"no data for {self._idle:g} s")
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)

    async def _keep_alive(self, interval: float | None, limit: float | None) -> None:
        try:
            while True:
                await asyncio.sleep(interval or 0)
                await self._alive(limit)
        except TimeoutError:
            self._connection.begin_close(1011, "keepalive ping timeout")
        except ConnectionClosed:
            return

    async def _alive(self, limit: float | None) -> None:
        """One ping and its pong; TimeoutError when it does not come. While the queue is full a pong may wait behind
        what the peer cannot send, and that is not the peer's fault."""
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(limit):
                    await (await self._connection.ping())
                return
            except TimeoutError:
                if self._fair(began):
                    raise

    def _fair(self, began: float) -> bool:
        """Whether messages have flowed all the time since."""
        return not self._connection.paused and self._resumed_at < began

    async def _ask(self, keepalive: Keepalive) -> None:
        try:
            while True:
                await asyncio.sleep(keepalive.interval_s)
                message = keepalive.message() if callable(keepalive.message) else keepalive.message
                self._answered.clear()
                await self._connection.send(message)
                if keepalive.answer is not None:
                    await self._wait_for_answer(keepalive.timeout_s)
        except TimeoutError:
            self._connection.begin_close(1011, "application keepalive timeout")
        except ConnectionClosed:
            return
        except Exception:
            self._connection.logger.exception("the application's keepalive failed")
            self._connection.begin_close(1011, "application keepalive failed")

    async def _wait_for_answer(self, limit: float | None) -> None:
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(limit):
                    await self._answered.wait()
                return
            except TimeoutError:
                if self._fair(began):
                    raise
