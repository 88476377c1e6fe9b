"""The steering program on an interface: how it gets there, its maps and its counters.

`Steering` knows maps and the link, and neither rings nor connections. Nothing is pinned: link, program and maps are
descriptors of this process, so the interface is as before as soon as the process is gone, however it went. (A child
made by fork without exec holds copies of them.)

Deciding (`attempts`, `explain`) is apart from doing (`Steering.attach`).
"""
from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Literal

from xdpws._ffi import check, ffi, lib
from xdpws.config import NicTime, XdpMode
from xdpws.control.loader import BpfLoader, LoadedProgram, make_loader
from xdpws.control.occupant import evict, occupant, occupied
from xdpws.errors import SetupError, UsageError

ABI = 2
"""XW_STEER_ABI of bpf/shared.h."""

MAX_QUEUES = 64
"""XW_STEER_MAX_QUEUES: length of the XSKMAP."""

FLOW_ACTIVE = 1
"""XW_FLOW_ACTIVE."""

META_LEN = 32
"""Bytes of struct xw_meta that the program writes before each redirected packet."""

Ip = IPv4Address | str | int
AttachedMode = Literal["native", "generic"]


class Counter(IntEnum):
    """Index into the map `counters`: enum xw_steer_counter of bpf/shared.h, which says what each one means."""

    REDIRECT = 0
    REDIRECT_ICMP = 1
    REDIRECT_ARP = 2
    REDIRECT_DEDICATED = 3
    REDIRECT_STRAY = 4
    REDIRECT_FRAGMENT = 5
    PASS_NOT_IP = 6
    PASS_SHORT = 7
    PASS_VLAN_DEPTH = 8
    PASS_IP_MALFORMED = 9
    PASS_FRAGMENT = 10
    PASS_PROTO = 11
    PASS_TCP_MALFORMED = 12
    PASS_NO_FLOW = 13
    PASS_ICMP = 14
    PASS_ARP = 15
    PASS_INACTIVE = 16
    PASS_NO_SOCKET = 17
    NOTE_NO_META = 18


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to attach: the mode, and whether with the program that is bound to the device."""

    mode: AttachedMode
    nic_time: bool


def attempts(mode: XdpMode, nic_time: NicTime, loader: str) -> list[Attempt]:
    """The ways to attach, best first. NIC time needs native mode and libbpf; `UsageError` for what excludes itself."""
    if mode not in ("auto", "native", "generic"):
        raise UsageError(f"mode is {mode!r}; it must be auto, native or generic")
    if nic_time not in ("auto", "on", "off"):
        raise UsageError(f"nic_time is {nic_time!r}; it must be auto, on or off")
    possible = mode != "generic" and loader == "libbpf"
    if nic_time == "on":
        if not possible:
            raise UsageError("NIC time needs native mode and the libbpf loader")
        return [Attempt("native", True)]
    plan = [Attempt("native", True)] if possible and nic_time == "auto" else []
    plan += [Attempt("native", False)] if mode != "generic" else []
    return plan + ([Attempt("generic", False)] if mode != "native" else [])


def explain(code: int | None, interface: str) -> tuple[str, str]:
    """What an errno of attaching usually means and what to type: (meaning, hint), both "" if that is not known."""
    if code in (errno.EPERM, errno.EACCES):
        return "attaching needs CAP_NET_ADMIN and CAP_BPF", "run as root"
    if code == errno.EOPNOTSUPP:
        return "the driver has no native XDP", "--mode generic"
    if code in (errno.ERANGE, errno.EMSGSIZE, errno.EOVERFLOW):
        return "the MTU (on veth: the peer's) is too large for XDP", f"ip link set dev {interface} mtu 1500"
    if code == errno.ENOSPC:
        return "too few queues for XDP", f"ethtool -l {interface}; then ethtool -L {interface} combined N"
    if code == errno.EINVAL:
        return "the driver refuses; often the MTU or the number of queues, the kernel log says which", "dmesg | tail"
    if code == errno.ENOMEM:
        return "no memory for the driver's XDP rings", f"ethtool -g {interface}; then ethtool -G {interface} rx N"
    return "", ""


def _resolve(interface: str | int) -> tuple[int, str]:
    """Number and name of an interface of this network namespace."""
    step = f"attach to {interface}"
    try:
        if isinstance(interface, int):
            return interface, socket.if_indextoname(interface)
        return socket.if_nametoindex(interface), interface
    except (OSError, OverflowError, ValueError):
        raise SetupError(step, "there is no such interface", "ip -br link", errno.ENODEV) from None


def _ip(value: Ip) -> bytes:
    try:
        return IPv4Address(value).packed
    except ValueError as error:
        raise UsageError(f"not an IPv4 address: {value!r}") from error


def flow_key(remote_ip: Ip, remote_port: int, local_ip: Ip, local_port: int) -> bytes:
    """struct xw_flow_key, as the 4-tuple stands in a received packet (network byte order)."""
    for port in (remote_port, local_port):
        if not 0 < port < 65536:
            raise UsageError(f"port is {port}; it must be 1 to 65535")
    return _ip(remote_ip) + _ip(local_ip) + struct.pack(">HH", remote_port, local_port)


class Steering:
    """The steering program attached to one interface. Made by `attach`; a context manager that closes.

    `interface`, `ifindex`: where. `mode`: "native" or "generic". `reason`: why not native, "" if it is or was not
    wanted. `loader_name`: "libbpf" or "bcc". `nic_time`: the program asks the driver for the hardware receive time
    (whether there is one, each packet's validity bit tells). `nic_time_reason`: why it does not, "" if it does or
    was not wanted.
    """

    def __init__(self, interface: str, ifindex: int, program: LoadedProgram, link_fd: int, mode: AttachedMode) -> None:
        self.interface = interface
        self.ifindex = ifindex
        self.mode: AttachedMode = mode
        self.reason = ""
        self.nic_time_reason = ""
        self.loader_name = program.loader
        self.nic_time = program.nic_time
        self._program = program
        self._link_fd = link_fd
        self._maps = program.maps
        self._cpus = check(lib.xw_bpf_cpu_count(), "count the CPUs")
        self._write("config", bytes(4), struct.pack("=4I", ABI, 0, 0, 0))

    @classmethod
    def attach(cls, interface: str | int, mode: XdpMode = "auto", loader: BpfLoader | str = "libbpf",
               replace: bool = False, nic_time: NicTime = "auto") -> Steering:
        """Load the program and attach it to `interface` (name or number) of this network namespace.

        Mode "auto": native, and generic where that cannot be had; `reason` then says why. `nic_time` "auto": the
        program for the NIC's time where it loads. Another program on the interface is a `SetupError` unless
        `replace`, which takes it off first. `SetupError` names step and cause; `UsageError` for arguments that
        exclude each other.
        """
        bpf = make_loader(loader) if isinstance(loader, str) else loader
        plan = attempts(mode, nic_time, bpf.name)
        ifindex, name = _resolve(interface)
        other = occupant(ifindex)
        if other and not replace:
            raise occupied(name, other)
        failures: dict[Attempt, SetupError] = {}
        for attempt in plan:
            try:
                steering = cls._attempt(attempt, bpf, name, ifindex, replace)
            except SetupError as error:
                if error.errno in (errno.EPERM, errno.EACCES, errno.ENODEV, errno.EBUSY, errno.EEXIST):
                    raise
                failures[attempt] = error
                continue
            steering._note(attempt, failures)
            return steering
        raise list(failures.values())[-1]

    @classmethod
    def _attempt(cls, attempt: Attempt, loader: BpfLoader, name: str, ifindex: int, replace: bool) -> Steering:
        program = loader.load(ifindex, attempt.nic_time)
        link_fd = -1
        try:
            if replace:
                evict(name, ifindex)
            mode = lib.XW_XDP_NATIVE if attempt.mode == "native" else lib.XW_XDP_GENERIC
            link_fd = lib.xw_xdp_attach(program.prog_fd, ifindex, mode)
            if link_fd < 0:
                raise cls._refused(name, ifindex, attempt.mode)
            return cls(name, ifindex, program, link_fd, attempt.mode)
        except BaseException:
            if link_fd >= 0:
                os.close(link_fd)
            program.close()
            raise

    @staticmethod
    def _refused(name: str, ifindex: int, mode: AttachedMode) -> SetupError:
        """The error for what the kernel just refused."""
        saved = ffi.new("int *")
        lib.xw_setup_error(saved)
        code = int(saved[0])
        if code in (errno.EBUSY, errno.EEXIST):
            return occupied(name, occupant(ifindex))
        meaning, hint = explain(code, name)
        cause = os.strerror(code) + (f"; {meaning}" if meaning else "")
        return SetupError(f"attach to {name} in {mode} mode", cause, hint, code)

    def _note(self, done: Attempt, failures: dict[Attempt, SetupError]) -> None:
        """Keep why better ways than the one that was `done` failed."""
        for attempt, error in failures.items():
            if attempt.nic_time and not done.nic_time:
                self.nic_time_reason = f"{error.step}: {error.cause}"
            elif attempt.mode == "native" and done.mode == "generic":
                self.reason = f"native mode: {error.cause}"

    def __enter__(self) -> Steering:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _write(self, name: str, key: bytes, value: bytes, hint: str = "") -> None:
        self._check_open()
        check(lib.xw_bpf_map_update(self._maps[name], key, value), f"write the map {name}", hint)

    def _delete(self, name: str, key: bytes) -> bool:
        self._check_open()
        rc = lib.xw_bpf_map_delete(self._maps[name], key)
        saved = ffi.new("int *")
        lib.xw_setup_error(saved)
        if rc < 0 and saved[0] == errno.ENOENT:
            return False
        check(rc, f"delete from the map {name}")
        return True

    def _check_open(self) -> None:
        if self._link_fd < 0:
            raise UsageError("this Steering is closed")

    def add_flow(self, remote_ip: Ip, remote_port: int, local_ip: Ip, local_port: int, active: bool = True) -> None:
        """Steer this 4-tuple from the next packet on. `active` False: known, but its packets still go to the kernel."""
        key = flow_key(remote_ip, remote_port, local_ip, local_port)
        self._write("flows", key, struct.pack("=2I", FLOW_ACTIVE if active else 0, 0), "use fewer connections")

    def remove_flow(self, remote_ip: Ip, remote_port: int, local_ip: Ip, local_port: int) -> bool:
        """Steer this 4-tuple no longer; False if it was not there."""
        return self._delete("flows", flow_key(remote_ip, remote_port, local_ip, local_port))

    def bind_socket(self, queue: int, fd: int) -> None:
        """Packets of receive queue `queue` (0 to 63) go to the AF_XDP socket `fd`, until that is closed."""
        if not 0 <= queue < MAX_QUEUES:
            raise UsageError(f"queue is {queue}; it must be 0 to {MAX_QUEUES - 1}")
        self._write("xsks", struct.pack("=I", queue), struct.pack("=i", fd))

    def unbind_socket(self, queue: int) -> None:
        """Packets of this receive queue go to the kernel; nothing to do if there is no socket."""
        self._delete("xsks", struct.pack("=I", queue))

    def set_dedicated(self, ip: Ip | None) -> None:
        """The stack's own address: ARP, echo requests and all TCP for it are ours. None: shared mode."""
        self._write("config", bytes(4), struct.pack("=I4s2I", ABI, _ip(ip) if ip is not None else bytes(4), 0, 0))

    def counters(self) -> dict[str, int]:
        """Packets by decision since the program was loaded, summed over the CPUs, by lower-case name of `Counter`."""
        self._check_open()
        values = ffi.new("uint64_t[]", self._cpus)
        result = {}
        for index in Counter:
            check(lib.xw_bpf_map_lookup(self._maps["counters"], struct.pack("=I", index), values), "read the counters")
            result[index.name.lower()] = sum(values)
        return result

    @property
    def map_fds(self) -> dict[str, int]:
        """Descriptors of the maps by name; they stay this object's own."""
        return dict(self._maps)

    @property
    def prog_fd(self) -> int:
        """Descriptor of the program; it stays this object's own."""
        return self._program.prog_fd

    def close(self) -> None:
        """Take the program off the interface; again does nothing."""
        if self._link_fd >= 0:
            link_fd, self._link_fd = self._link_fd, -1
            os.close(link_fd)
            self._program.close()
