"""`Driver`: lets one runtime progress inside an asyncio loop, by its descriptors and its deadline.

Connections of one loop that name the same interface share a driver, since an interface takes one program. The drivers
of a loop hang from the loop's entry in `_drivers` and end with their last connection, or with the loop: asyncio.run
cancels every task at its end, so a task of the driver's is told.
"""
from __future__ import annotations

import asyncio
import time
import weakref

from xdpws.config import EngineConfig, XdpOptions
from xdpws.stack.engine import NEVER
from xdpws.stack.runtime import Runtime

_ROUNDS = 32  # polls in a row before other tasks of the loop get their turn

CLIENT = EngineConfig(max_conns=256)
"""The engine of a loop's clients."""
SERVER = EngineConfig(max_conns=4096, rcvbuf_len=1 << 16, plain_len=1 << 16)
"""The engine of a loop's servers: many connections, none of them a flood."""

_Key = tuple[XdpOptions | None, EngineConfig]
_Drivers = dict[_Key, "Driver"]
_drivers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Drivers] = weakref.WeakKeyDictionary()


class Driver:
    """One runtime in one loop; `acquire` and `release` count its users."""

    def __init__(self, loop: asyncio.AbstractEventLoop, key: _Key) -> None:
        self._key = key
        self.runtime = Runtime(key[1], key[0])
        self._loop = loop
        self._users = 0
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._watched = -1
        loop.add_reader(self.runtime.engine.fileno(), self._progress)
        self._guard = loop.create_task(self._until_the_loop_ends(), name="xdpws driver")

    @classmethod
    def acquire(cls, xdp: XdpOptions | None, config: EngineConfig = CLIENT) -> Driver:
        """The running loop's driver for these options."""
        loop = asyncio.get_running_loop()
        mine = _drivers.setdefault(loop, {})
        key = (xdp, config)
        if key not in mine:
            mine[key] = cls(loop, key)
        driver = mine[key]
        driver._users += 1
        return driver

    async def _until_the_loop_ends(self) -> None:
        try:
            await self._loop.create_future()
        except asyncio.CancelledError:
            # Other tasks were cancelled too, and may be closing their connections in order: they need this driver.
            while self._users and any(not task.get_name().startswith("xdpws") for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)
            if self._users:
                _drivers.get(self._loop, {}).pop(self._key, None)
                self._close()
            raise

    def release(self) -> None:
        """One user less; the runtime closes soon after the last one, unless somebody has acquired it by then: two
        programs cannot be on one interface."""
        self._users -= 1
        if self._users == 0:
            self._loop.call_soon(self._retire)

    def _retire(self) -> None:
        if self._users == 0:
            if _drivers.get(self._loop, {}).get(self._key) is self:
                del _drivers[self._loop][self._key]
            self._close()

    def _close(self) -> None:
        if self.runtime.engine.closed:
            return
        self._guard.cancel()
        self._loop.remove_reader(self.runtime.engine.fileno())
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
        if self._timer is not None:
            self._timer.cancel()
        self.runtime.close()

    def kick(self) -> None:
        """Something was asked of the engine outside of its own events: progress soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._progress)

    def _progress(self) -> None:
        self._scheduled = False
        runtime = self.runtime
        if runtime.engine.closed:
            return
        for _ in range(_ROUNDS):
            if not runtime.step():
                break
        else:
            self.kick()
            return
        self._watch()
        self._arm()

    def _watch(self) -> None:
        """Netlink news of the attachment wake the loop too."""
        fd = self.runtime.attachment.watch_fd if self.runtime.attachment is not None else -1
        if fd != self._watched:
            if self._watched >= 0:
                self._loop.remove_reader(self._watched)
            if fd >= 0:
                self._loop.add_reader(fd, self._news)
            self._watched = fd

    def _news(self) -> None:
        self.runtime.service()
        self.kick()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.runtime.engine.deadline
        delay = 1.0 if self.runtime.attachment is not None else None
        if deadline != NEVER:
            left = max(0.0, (deadline - time.monotonic_ns()) / 1e9)
            delay = left if delay is None else min(left, delay)
        if delay is not None:
            self._timer = self._loop.call_later(delay, self._progress)
