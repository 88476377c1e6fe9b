"""`Engine`: the typed face of `struct xw_engine` (csrc/xw_api.h). It knows handles, not callbacks.

An engine belongs to the thread that makes it; a call from another one raises UsageError and changes nothing (the core
looks at every call). When that thread has ended, `adopt` hands the engine over. Times are ns of CLOCK_MONOTONIC
(`time.monotonic_ns()`).
"""
from __future__ import annotations

import ipaddress
import os
import select
import threading
from dataclasses import dataclass
from typing import Any

from xdpws._ffi import check, ffi, lib, text
from xdpws.config import EngineConfig
from xdpws.errors import UsageError
from xdpws.stack.stages import StageArea, StageReport
from xdpws.timestamps import Stamps

NEVER = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class NetConfig:
    """The interface as the stack sees it: mac 6 bytes, address "IP/LEN" of the stack, mtu in bytes, VLAN ids outer
    first."""

    mac: bytes
    address: ipaddress.IPv4Interface
    mtu: int
    dedicated: bool = False
    vlans: tuple[int, ...] = ()


def stamps_of(event: Any, user_ns: int) -> Stamps:
    """The stamps of a message event (`struct xw_event`), with the time of its hand-over."""
    s = event.stamps
    valid = s.valid
    return Stamps(
        nic=s.nic_ns if valid & lib.XW_ST_NIC else None,
        kernel=s.kernel_ns if valid & lib.XW_ST_KERNEL else None,
        ring=s.ring_ns if valid & lib.XW_ST_RING else None,
        decrypt_begin=s.decrypt_begin_ns if valid & lib.XW_ST_DECRYPT_BEGIN else None,
        decrypt_end=s.decrypt_end_ns if valid & lib.XW_ST_DECRYPT_END else None,
        parsed=s.parsed_ns if valid & lib.XW_ST_PARSED else None,
        first=s.first_ns if valid & lib.XW_ST_FIRST else None,
        user=user_ns,
    )


class Engine:
    """One engine; `close()` (or the end of a `with`) aborts what is open and frees all."""

    def __init__(self, config: EngineConfig | None = None, seed: bytes | None = None,
                 replay_isn: int | None = None) -> None:
        """seed: 32 bytes that decide every random choice; None takes them from the system. replay_isn: connections are
        captured ones, of clients with this initial sequence number (docs/replay.md)."""
        self.config = config or EngineConfig()
        cfg = ffi.new("struct xw_engine_cfg *", {
            "max_conns": self.config.max_conns, "rcvbuf_len": self.config.rcvbuf_len,
            "sndbuf_len": self.config.sndbuf_len, "plain_len": self.config.plain_len,
            "stamps": int(bool(self.config.stamps)), "seed": seed or os.urandom(32),
            "replay": int(replay_isn is not None), "replay_isn": replay_isn or 0})
        out = ffi.new("struct xw_engine **")
        check(lib.xw_engine_new(cfg, out), "create the engine", "choose smaller buffers or fewer connections")
        self.handle = out[0]
        self._owner = threading.current_thread()
        self.batch = self.config.batch
        self.events = ffi.new("struct xw_event[]", self.batch)
        self.views = [self.events[i] for i in range(self.batch)]
        """The same, as objects made once; they live as long as `events`."""
        self.stages = self._record_stages() if self.config.stamps == "histogram" else None
        """Where the histograms are; None: not recorded, or the engine is closed."""
        self._stage_reports: list[StageReport] | None = None

    def _record_stages(self) -> StageArea:
        area = None
        try:
            area = StageArea.create(self.config.max_conns)
            check(lib.xw_engine_stages(self.handle, area.pointer, len(area)), "record histograms")
        except BaseException:
            if area is not None:
                area.close()
            lib.xw_engine_free(self.handle)
            raise
        return area

    def stage_reports(self) -> list[StageReport]:
        """What was recorded so far, by connection; the last of it when the engine is closed. UsageError when it is not
        recorded."""
        if self.stages is None and self._stage_reports is None:
            raise UsageError('histograms are not recorded; EngineConfig(stamps="histogram") does')
        return self.stages.read() if self.stages is not None else self._stage_reports or []

    def clock(self) -> dict[str, int]:
        """What the stamps are read from, and how well it agrees with CLOCK_MONOTONIC (`struct xw_clock_info`)."""
        out = ffi.new("struct xw_clock_info *")
        check(lib.xw_engine_clock(self.handle, out), "ask for the clock")
        return {name: int(getattr(out, name)) for name, _ in ffi.typeof("struct xw_clock_info").fields if name != "pad"}

    @property
    def closed(self) -> bool:
        """True after close()."""
        return bool(self.handle == ffi.NULL)

    def check_thread(self) -> None:
        """Raise UsageError when this is not the engine's thread."""
        if self._owner is not threading.current_thread():
            raise UsageError(f"an engine and all that hangs from it belong to its thread ({self._owner.name}); this is "
                             "another")

    def adopt(self) -> None:
        """Make the calling thread the owner; UsageError while the thread that owns the engine is alive."""
        if self._owner is threading.current_thread():
            return
        if self._owner.is_alive():
            self.check_thread()
        self._owner = threading.current_thread()
        if self.handle != ffi.NULL:
            lib.xw_engine_adopt(self.handle)

    def close(self) -> None:
        """Abort every connection, close the device, free the memory. May be called again. Adopts the engine."""
        if self.handle != ffi.NULL:
            self.adopt()
            lib.xw_engine_free(self.handle)
            self.handle = ffi.NULL
            if self.stages is not None:
                self._stage_reports = self.stages.read()
                self.stages.close()
                self.stages = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attach(self, device: Any, net: NetConfig) -> None:
        """Take over `device` (`struct xw_dev *`) as the way to the network."""
        cfg = ffi.new("struct xw_net_cfg *", {
            "mac": net.mac, "dedicated": int(net.dedicated), "vlan_cnt": len(net.vlans),
            "vlan_id": list(net.vlans) + [0] * (2 - len(net.vlans)), "ip": int(net.address.ip),
            "mask": int(net.address.netmask), "mtu": net.mtu})
        check(lib.xw_engine_attach(self.handle, device, cfg), "attach the device to the engine")

    def route(self, network: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address | None, mtu: int = 0) -> None:
        """Reach `network` by `gateway` (None: on link); mtu 0 is the interface's."""
        check(lib.xw_engine_route(self.handle, int(network.network_address), int(network.netmask),
                                  int(gateway) if gateway else 0, mtu), f"route {network}")

    def neighbour(self, address: ipaddress.IPv4Address, mac: bytes) -> None:
        """The MAC (6 bytes) of a neighbour; takes effect with the next packet."""
        check(lib.xw_engine_neigh(self.handle, int(address), ffi.new("uint8_t[6]", mac)), f"set neighbour {address}")

    def poll(self, now_ns: int) -> int:
        """Do all that can be done now; fills `events` and returns how many there are."""
        rc: int = lib.xw_poll(self.handle, now_ns, self.events, self.batch)
        return rc if rc >= 0 else check(rc, "poll the engine")

    def spin(self, spin_ns: int) -> int:
        """As poll, again and again in C until there is an event or spin_ns have passed; signals wait for its end."""
        rc: int = lib.xw_poll_spin(self.handle, spin_ns, self.events, self.batch)
        return rc if rc >= 0 else check(rc, "poll the engine")

    @property
    def deadline(self) -> int:
        """When poll must be called even if nothing arrives; NEVER if not."""
        return int(lib.xw_engine_deadline(self.handle))

    def fileno(self) -> int:
        """An epoll descriptor that is readable when there is something to poll."""
        return int(lib.xw_engine_fd(self.handle))

    def watch(self, fd: int, on: bool) -> None:
        """Let a wait of the engine end when `fd`, which stays the caller's, becomes readable (or no longer)."""
        check(lib.xw_engine_watch(self.handle, fd, int(on)), f"watch descriptor {fd}")

    def wait(self, timeout_s: float | None, extra_fds: tuple[int, ...] = ()) -> bool:
        """Block until there is something to poll, the engine's deadline, one of `extra_fds` is readable, or
        timeout_s. True if one of `extra_fds` was."""
        now = int(lib.xw_monotonic_ns())
        deadline = self.deadline
        limit = NEVER if timeout_s is None else now + int(timeout_s * 1e9)
        until = min(deadline, limit)
        if until <= now:
            return False
        poller = select.poll()
        for fd in (self.fileno(), *extra_fds):
            poller.register(fd, select.POLLIN)
        ready = poller.poll(None if until == NEVER else (until - now) / 1e6)
        return any(fd in extra_fds for fd, _ in ready)

    def stats(self) -> dict[str, int]:
        """Counters of the engine and of its device (XDP_STATISTICS with the prefix k_)."""
        out = ffi.new("struct xw_engine_stats *")
        check(lib.xw_engine_stats(self.handle, out), "read the engine's statistics")
        fields = ffi.typeof("struct xw_engine_stats").fields
        return {name: int(getattr(out, name)) for name, _ in fields if name != "pad"}

    def suspects(self) -> int:
        """How often nothing that a connection sent seemed to arrive; when it grows, verify the next hops."""
        return int(lib.xw_engine_suspects(self.handle))

    def drops(self) -> dict[str, int]:
        """Packets that were not used, by reason (csrc/base/drop.def, lower case); only reasons that occurred."""
        count = check(lib.xw_engine_drops(self.handle, ffi.NULL, 0), "count the drop reasons")
        out = ffi.new("uint64_t[]", count)
        lib.xw_engine_drops(self.handle, out, count)
        return {text(lib.xw_drop_name(i)).lower(): int(out[i]) for i in range(1, count) if out[i]}
