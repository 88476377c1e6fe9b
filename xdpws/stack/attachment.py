"""`Attachment`: an interface with the steering program on it and the AF_XDP device behind it, and the paths opened
over it.

It joins what control knows (links, routes, neighbours, ports, BPF maps) with the engine that owns the device.
Everything it sets up leaves with the process, however that ends; `close` takes it down in order.
"""
from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from xdpws._ffi import check, ffi, lib
from xdpws.config import XdpOptions
from xdpws.control.host import Decision, XdpPlan, XdpWish, gather, next_hop_mac, plan_xdp
from xdpws.control.neighbour import KEEPALIVE_S, NeighbourChange, NeighbourWatch, RouteChange, keepalive, verify
from xdpws.control.netlink import Netlink
from xdpws.control.netlink_pyroute2 import Pyroute2Netlink
from xdpws.control.phc import PhcFollower, open_phc
from xdpws.control.ports import DedicatedPorts, PortReservation, reserve_port
from xdpws.control.steering import Steering
from xdpws.errors import SetupError
from xdpws.stack.engine import Engine, NetConfig
from xdpws.stack.recording import Recording

# Ethernet header with two tags, and the headroom that the kernel keeps in front of a packet (XDP_PACKET_HEADROOM).
_FRAME_OVERHEAD = 22 + 256
_META_LEN = 32
_ZC = {"auto": 0, "on": 1, "off": 2}
# How long the flow of an ended connection stays steered: what is still under way must not reach the kernel.
_LINGER_S = 1.0
# How often the NIC's clock is compared with ours; the second time sooner, because one comparison makes no line.
_PHC_S, _PHC_FIRST_S = 1.0, 0.1


@dataclass(slots=True)
class Path:
    """The way of one connection: our address and port, the peer's, and the next hop that its packets go to."""

    local: IPv4Address
    local_port: int
    remote: IPv4Address
    remote_port: int
    next_hop: IPv4Address
    hop_index: int
    """Interface whose neighbour table holds the next hop (a VLAN's own, where there is one)."""
    reservation: PortReservation | None


def _open_device(options: XdpOptions, plan: XdpPlan, generic: bool) -> Any:
    cfg = ffi.new("struct xw_xsk_cfg *", {
        "ifindex": plan.ifindex, "queue_first": 0, "queue_cnt": plan.queue_cnt,
        "frame_len": 2048 if plan.mtu + _FRAME_OVERHEAD <= 2048 else 4096,
        "rx_len": options.rx_len, "tx_len": options.tx_len, "mtu": plan.mtu, "zero_copy": _ZC[options.zero_copy],
        "generic": int(generic), "huge_pages": int(options.huge_pages), "busy_poll": int(options.busy_poll),
        "meta_len": _META_LEN})
    out = ffi.new("struct xw_dev **")
    check(lib.xw_xsk_open(cfg, out), f"open AF_XDP on {plan.lower.name}", f"xdpws doctor {plan.lower.name}")
    return out[0]


class Attachment:
    """Made for the first destination; further paths over the same interface are opened by `path`."""

    def __init__(self, engine: Engine, options: XdpOptions, destination: IPv4Address) -> None:
        """Raises SetupError that names the step, the cause and what to type; nothing stays behind then."""
        self.options = options
        self._engine = engine
        self._nl: Netlink = Pyroute2Netlink()
        self._paths: list[Path] = []
        self._ending: list[tuple[float, Path]] = []
        self._keepalive_at = 0.0
        self._suspects = 0
        self._steering: Steering | None = None
        self._watch: NeighbourWatch | None = None
        self._recording: Recording | None = None
        self._xsk: Any = ffi.NULL  # the AF_XDP device itself; the engine's
        self._phc: PhcFollower | None = None
        self._phc_at = 0.0
        self.phc_reason = "the steering program does not ask for the NIC's time"
        """Why NIC times are not on our clock; "" if they are."""
        self._ports = DedicatedPorts()
        try:
            plan = self._plan(destination)
            self._attach(plan)
        except BaseException:
            self.close()
            raise
        self.plan = plan

    def _plan(self, destination: IPv4Address) -> XdpPlan:
        # Who else is on the interface is Steering's to tell: it knows the process. Later it is our own program.
        wish = XdpWish(self.options.mode, self.options.address, replace=True)
        decision: Decision = plan_xdp(gather(self.options.interface, destination, self._nl), wish)
        if decision.plan is None:
            raise decision.error()
        return decision.plan

    def _attach(self, plan: XdpPlan) -> None:
        o = self.options
        mode = o.mode if len(plan.modes) > 1 else plan.modes[0]
        self._steering = Steering.attach(plan.lower.name, mode, o.loader, o.replace, o.nic_time)
        device = _open_device(o, plan, self._steering.mode == "generic")
        try:
            for queue in range(plan.queue_cnt):
                self._steering.bind_socket(queue, lib.xw_xsk_fd(device, queue))
            self._xsk = device
            if o.record is not None:
                self._recording = Recording(o)
                device = self._recording.wrap(device)
            self._engine.attach(device, NetConfig(plan.mac, plan.local, plan.mtu, plan.dedicated, plan.vlan_ids))
        except BaseException:
            lib.xw_dev_close(device)
            self.close_recording()
            raise
        if self._steering.nic_time:
            self._phc, self.phc_reason = open_phc(plan.lower.name)
            self._follow_phc()
        if plan.dedicated:
            self._steering.set_dedicated(plan.local.ip)
        else:
            self._watch = NeighbourWatch(self._nl, plan.watch_indexes)

    @property
    def steering(self) -> Steering:
        """The program on the interface."""
        assert self._steering is not None
        return self._steering

    @property
    def recording_lost(self) -> int | None:
        """Frames missing from the capture; None: there is none."""
        return self._recording.lost() if self._recording else None

    @property
    def watch_fd(self) -> int:
        """Readable when `service` has something to do; -1 in dedicated mode."""
        return self._watch.fileno() if self._watch else -1

    def path(self, destination: IPv4Address, port: int) -> Path:
        """Routes, resolves, reserves a source port and steers: after it the engine can connect.

        May wait some seconds for the next hop to be resolved. Raises SetupError.
        """
        plan = self.plan if destination == self.plan.destination else self._plan(destination)
        if plan.ifindex != self.plan.ifindex:
            raise SetupError(f"route to {destination}", f"it leaves by {plan.lower.name}, not {self.plan.lower.name}")
        self._point(plan)
        reservation = None if plan.dedicated else reserve_port(plan.local.ip)
        local_port = reservation.port if reservation else self._ports.take()
        path = Path(plan.local.ip, local_port, destination, port, plan.next_hop, plan.top.index, reservation)
        try:
            self.steering.add_flow(destination, port, path.local, local_port)
        except BaseException:
            self._give_back(path)
            raise
        self._paths.append(path)
        return path

    def _point(self, plan: XdpPlan) -> None:
        """Tell the engine the way to the plan's destination."""
        mtu = plan.route_mtu or 0
        self._engine.route(IPv4Network(plan.destination), plan.gateway, mtu)
        if not plan.dedicated:
            self._engine.neighbour(plan.next_hop, next_hop_mac(self._nl, plan))

    def end(self, path: Path) -> None:
        """The connection is over: its flow leaves the card a little later, then its port is free."""
        if path in self._paths:
            self._paths.remove(path)
            self._ending.append((time.monotonic() + _LINGER_S, path))

    def _follow_phc(self) -> None:
        """Compare the NIC's clock with ours, once a second."""
        assert self._phc is not None or self.phc_reason
        if self._phc is None or time.monotonic() < self._phc_at:
            return
        first, self._phc_at = not self._phc_at, time.monotonic() + _PHC_S
        try:
            line = self._phc.sample()
        except OSError as error:
            self.phc_reason, line = f"the NIC's clock cannot be read: {error.strerror or error}", None
        if first:
            self._phc_at = time.monotonic() + _PHC_FIRST_S
        raw = ffi.new("struct xw_phc_line *")
        if line is not None:
            raw.phc_ns, raw.mono_ns, raw.rate, raw.span_ns = line.phc_ns, line.mono_ns, line.rate, line.span_ns
        check(lib.xw_xsk_phc(self._xsk, raw), "relate the NIC's clock to ours")

    def _give_back(self, path: Path) -> None:
        self.steering.remove_flow(path.remote, path.remote_port, path.local, path.local_port)
        if path.reservation:
            path.reservation.close()
        else:
            self._ports.give_back(path.local_port)

    def service(self) -> None:
        """What has to be done now and then: changed neighbours and routes, entries kept alive, ended flows. Never
        blocks."""
        now = time.monotonic()
        if self._phc is not None:
            self._follow_phc()
        while self._ending and self._ending[0][0] <= now:
            self._give_back(self._ending.pop(0)[1])
        if self._watch is None:
            return
        for change in self._watch.read():
            if isinstance(change, NeighbourChange):
                self._neighbour(change)
            elif isinstance(change, RouteChange):
                self._reroute()
        if (suspects := self._engine.suspects()) != self._suspects:
            self._suspects = suspects
            for index, hop in {(path.hop_index, path.next_hop) for path in self._paths}:
                verify(self._nl, index, hop)
        if now >= self._keepalive_at:
            self._keepalive_at = now + KEEPALIVE_S
            for index, hop in {(path.hop_index, path.next_hop) for path in self._paths}:
                keepalive(self._nl, index, hop)

    def _neighbour(self, change: NeighbourChange) -> None:
        """A next hop in use has another MAC, or the kernel no longer trusts it: then it is asked to verify at once."""
        if not any((path.hop_index, path.next_hop) == (change.index, change.ip) for path in self._paths):
            return
        if change.mac is not None:
            self._engine.neighbour(change.ip, change.mac)
        if not change.usable:
            keepalive(self._nl, change.index, change.ip)

    def _reroute(self) -> None:
        """Ask for each destination's route anew. One that is gone keeps its last way: the kernel may be about to
        change it."""
        for path in self._paths:
            decision = plan_xdp(gather(self.options.interface, path.remote, self._nl),
                                XdpWish(self.options.mode, self.options.address, True))
            plan = decision.plan
            if plan is None or plan.ifindex != self.plan.ifindex:
                continue
            path.next_hop, path.hop_index = plan.next_hop, plan.top.index
            self._engine.route(IPv4Network(path.remote), plan.gateway, plan.route_mtu or 0)
            if plan.next_hop_mac is not None:
                self._engine.neighbour(plan.next_hop, plan.next_hop_mac)
            else:
                keepalive(self._nl, plan.top.index, plan.next_hop)

    def close_recording(self) -> None:
        """Close the capture's files, when the engine has closed the device."""
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def close(self) -> None:
        """The program leaves the interface, the ports are free. The engine closes the device. May be called again."""
        if self._steering is not None:
            self._steering.close()
            self._steering = None
        for path in [*self._paths, *(path for _, path in self._ending)]:
            if path.reservation:
                path.reservation.close()
        self._paths.clear()
        self._ending.clear()
        if self._phc is not None:
            self._phc.close()
            self._phc = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._nl.close()
