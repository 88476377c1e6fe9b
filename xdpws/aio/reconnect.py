"""Reconnecting: `async for ws in connect(...)` gives a new connection whenever the last one has ended.

    async for ws in xdpws.connect(url, on_connect=subscribe):
        try:
            async for message in ws:
                ...
        except xdpws.errors.ConnectionClosed:
            continue

While it iterates the interface stays attached, so that a reconnect does not take the steering program off and on.
"""
from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass

from xdpws.aio.connection import ClientConnection, LoggerLike
from xdpws.aio.driver import Driver
from xdpws.config import XdpOptions
from xdpws.errors import ConnectionClosed, InvalidStatus, SetupError, UsageError

_RETRY_STATUS = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt: exponential with full jitter.

    first_s: upper bound before the first retry; factor: growth of the bound; cap_s: its maximum; stable_s: a connection
    that lived so long starts the series anew. Full jitter (uniform from 0 to the bound) keeps many clients of one venue
    from coming back at the same moment.
    """

    first_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 30.0
    stable_s: float = 30.0

    def __post_init__(self) -> None:
        if self.first_s <= 0 or self.factor < 1 or self.cap_s < self.first_s or self.stable_s < 0:
            raise UsageError("backoff needs first_s > 0, factor >= 1, cap_s >= first_s and stable_s >= 0")

    def bound(self, failures: int) -> float:
        """Seconds that the wait after so many failures in a row (1, 2, …) may be at most."""
        if failures < 1:
            return 0.0
        exponent = min(failures - 1, 1000)
        try:
            return min(self.cap_s, self.first_s * self.factor**exponent)
        except OverflowError:
            return self.cap_s

    def delay(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after so many failures in a row."""
        return rng.uniform(0.0, self.bound(failures))


def process_exception(error: Exception) -> Exception | None:
    """The default of connect(process_exception=...): None to try again, or the exception to end with.

    Tried again: no connection (refused, unreachable, reset, timed out), a name that does not resolve now, a
    connection that ended while on_connect subscribed, and the answers 429, 500, 502, 503 and 504. Everything else
    does not get better by itself: a certificate that does not verify, another HTTP status, a wrong answer to the
    upgrade, the caller's own mistakes.
    """
    if isinstance(error, OSError | TimeoutError | ConnectionClosed):
        return None
    if isinstance(error, InvalidStatus) and error.response.status_code in _RETRY_STATUS:
        return None
    if isinstance(error, SetupError) and error.step.startswith("resolve "):
        return None
    return error


async def reconnecting(open_one: Callable[[], Awaitable[ClientConnection]], xdp: XdpOptions | None, backoff: Backoff,
                       delays: Callable[[], Generator[float]] | None,
                       judge: Callable[[Exception], Exception | None],
                       on_connect: Callable[[ClientConnection], Awaitable[object]] | None,
                       logger: LoggerLike) -> AsyncIterator[ClientConnection]:
    """Connections one after another, for ever; see the module. `judge` as `process_exception`, `delays` as connect's
    reconnect_delays, which then counts instead of `backoff`."""
    driver = Driver.acquire(xdp)
    rng = random.SystemRandom()
    failures = 0
    series: Generator[float] | None = None
    try:
        while True:
            delay = backoff.delay(failures, rng)
            if delays is not None:
                series = None if failures == 0 else series or delays()
                delay = 0.0 if series is None else next(series)
            if failures:
                logger.info("reconnecting in %.1f seconds", delay)
            await asyncio.sleep(delay)
            try:
                connection = await open_one()
                opened = time.monotonic()
                if on_connect is not None:
                    await _prepare(connection, on_connect)
            except Exception as error:
                _judge(error, judge)
                logger.info("connect failed: %s", traceback.format_exception_only(error)[0].strip())
                failures += 1
                continue
            try:
                yield connection
            finally:
                await connection.close()
            stable = time.monotonic() - opened >= backoff.stable_s
            failures = 1 if stable else failures + 1
            series = None if stable else series
    finally:
        driver.release()


async def _prepare(connection: ClientConnection, on_connect: Callable[[ClientConnection], Awaitable[object]]) -> None:
    try:
        await on_connect(connection)
    except BaseException:
        connection.begin_close(1011)
        raise


def _judge(error: Exception, judge: Callable[[Exception], Exception | None]) -> None:
    """Raise what ends it, if anything does."""
    fatal = judge(error)
    if fatal is error:
        raise error
    if fatal is not None:
        raise fatal from error
