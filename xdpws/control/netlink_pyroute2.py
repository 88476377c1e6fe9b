"""`Netlink` over plain AF_NETLINK sockets, with pyroute2's classes for the messages.

pyroute2's own sockets (0.8 and later) run an event loop inside: their synchronous calls raise in a thread whose
asyncio loop is running, and that is where a client lives. The messages alone have no such limit, so this module does
the few lines of socket work itself: one request, its answers, in order. A lock makes an object safe to share between
threads.
"""
from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from pyroute2.netlink import ctrlmsg, genlmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from xdpws.control.model import (
    AddressInfo,
    Event,
    LinkEvent,
    LinkInfo,
    NapiInfo,
    NeighbourEvent,
    NeighbourInfo,
    Nud,
    RouteEvent,
    RouteInfo,
    XdpAttached,
    XdpCapabilities,
)
from xdpws.control.netns import run_in_namespace

# <linux/netlink.h>
_NETLINK_ROUTE, _NETLINK_GENERIC = 0, 16
_NLMSG_NOOP, _NLMSG_ERROR, _NLMSG_DONE, _NLMSG_OVERRUN = 1, 2, 3, 4
_F_REQUEST, _F_MULTI, _F_ACK, _F_DUMP_INTR, _F_DUMP = 0x1, 0x2, 0x4, 0x10, 0x300
_F_REPLACE, _F_CREATE = 0x100, 0x400
_SOL_NETLINK, _ADD_MEMBERSHIP, _GET_STRICT_CHK = 270, 1, 12
# <linux/rtnetlink.h>
_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _GETADDR = 20, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_GETNSID = 90
_GRP_LINK, _GRP_NEIGH, _GRP_IPV4_ROUTE = 1, 3, 7
_RTM_F_FIB_MATCH = 0x2000
_RTM_F_CLONED = 0x200
_ROUTE_KIND = {1: "unicast", 2: "local", 3: "broadcast", 5: "multicast", 6: "blackhole", 7: "unreachable",
               8: "prohibit"}
# <linux/if.h>
_IFF_UP, _IFF_LOOPBACK, _IFF_LOWER_UP = 0x1, 0x8, 0x10000
_IFA_F_SECONDARY = 0x1
_NTF_USE = 0x1
# IFLA_XDP_ATTACHED
_XDP_MODE = {1: "native", 2: "generic", 3: "offload", 4: "multi",
             "xdp": "native", "xdpgeneric": "generic", "xdpoffload": "offload", "xdpmulti": "multi"}
# <linux/netdev.h>
_NETDEV_DEV_GET, _NETDEV_NAPI_GET = 1, 11
_XDP_FEATURES = ("basic", "redirect", "ndo-xmit", "xsk-zerocopy", "hw-offload", "rx-sg", "ndo-xmit-sg")
_RX_METADATA = ("timestamp", "hash", "vlan-tag")
_XSK_FEATURES = ("tx-timestamp", "tx-checksum", "tx-launch-time-fifo")

_OWN_NAMESPACE = "/proc/thread-self/ns/net"
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port id
_RECV_LEN = 1 << 17                # larger than any datagram the kernel makes for a dump (32 KiB)
_MONITOR_RCVBUF = 1 << 20          # some thousand notifications; above it the kernel drops and `read` returns None
_DUMP_TRIES = 5                    # a dump that a change interrupted is read anew this often


class _NetdevMessage(genlmsg):  # type: ignore[misc]
    prefix = "NETDEV_A_DEV_"
    nla_map = (("NETDEV_A_DEV_UNSPEC", "none"), ("NETDEV_A_DEV_IFINDEX", "uint32"), ("NETDEV_A_DEV_PAD", "hex"),
               ("NETDEV_A_DEV_XDP_FEATURES", "uint64"), ("NETDEV_A_DEV_XDP_ZC_MAX_SEGS", "uint32"),
               ("NETDEV_A_DEV_XDP_RX_METADATA_FEATURES", "uint64"), ("NETDEV_A_DEV_XSK_FEATURES", "uint64"))


class _NapiMessage(genlmsg):  # type: ignore[misc]
    prefix = "NETDEV_A_NAPI_"
    nla_map = (("NETDEV_A_NAPI_UNSPEC", "none"), ("NETDEV_A_NAPI_IFINDEX", "uint32"), ("NETDEV_A_NAPI_ID", "uint32"),
               ("NETDEV_A_NAPI_IRQ", "uint32"), ("NETDEV_A_NAPI_PID", "uint32"),
               ("NETDEV_A_NAPI_DEFER_HARD_IRQS", "uint32"), ("NETDEV_A_NAPI_GRO_FLUSH_TIMEOUT", "hex"))


def _names(bits: int | None, names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for i, name in enumerate(names) if (bits or 0) >> i & 1)


def _ip(value: Any) -> IPv4Address | None:
    return IPv4Address(value) if isinstance(value, str) else None


def _mac(value: Any) -> bytes | None:
    if not isinstance(value, str) or value.count(":") != 5:
        return None
    mac = bytes.fromhex(value.replace(":", ""))
    return mac if len(mac) == 6 else None


def _split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence number, whole message) of each message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, seq, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, flags, seq, data[offset:offset + length]
        offset += (length + 3) & ~3


def _decode(kind: type[Any], raw: bytes) -> Any:
    msg = kind(raw)
    msg.decode()
    return msg


class _Socket:
    """One netlink socket: a request and its answers at a time."""

    def __init__(self, protocol: int) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            self._sock.bind((0, 0))
            self._sock.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
            self._sock.settimeout(5.0)  # the kernel answers at once; this is for a kernel that is in trouble
        except OSError:
            self._sock.close()
            raise
        self._seq = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        self._sock.close()

    def request(self, msg: Any, kind: int, flags: int) -> list[bytes]:
        """The answers to a message, undecoded; `OSError` if the kernel refuses it."""
        with self._lock:
            for _ in range(_DUMP_TRIES):
                answers, interrupted = self._exchange(msg, kind, flags)
                if not interrupted:
                    return answers
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _exchange(self, msg: Any, kind: int, flags: int) -> tuple[list[bytes], bool]:
        self._seq = (self._seq + 1) & 0xFFFFFFFF
        msg["header"]["type"] = kind
        msg["header"]["flags"] = _F_REQUEST | flags
        msg["header"]["sequence_number"] = self._seq
        msg["header"]["pid"] = 0
        msg.reset()
        msg.encode()
        self._sock.send(bytes(msg.data))
        answers: list[bytes] = []
        interrupted = False
        while True:
            for got, got_flags, seq, raw in _split(self._sock.recv(_RECV_LEN)):
                if seq != self._seq:
                    continue  # the rest of a dump that was given up
                interrupted |= bool(got_flags & _F_DUMP_INTR)
                if got in (_NLMSG_ERROR, _NLMSG_DONE):
                    code = struct.unpack_from("=i", raw, _HEADER.size)[0] if len(raw) >= _HEADER.size + 4 else 0
                    if code < 0:
                        raise OSError(-code, os.strerror(-code))
                    return answers, interrupted
                answers.append(raw)
                if not got_flags & _F_MULTI and not flags & _F_ACK:
                    return answers, interrupted


def _xdp(msg: Any) -> tuple[XdpAttached, ...]:
    nest = msg.get_attr("IFLA_XDP")
    mode = _XDP_MODE.get(nest.get_attr("IFLA_XDP_ATTACHED")) if nest else None
    if mode is None:
        return ()
    if mode != "multi":
        return (XdpAttached(mode, nest.get_attr("IFLA_XDP_PROG_ID") or 0),)
    found = (("native", "DRV"), ("generic", "SKB"), ("offload", "HW"))
    ids = ((name, nest.get_attr(f"IFLA_XDP_{which}_PROG_ID")) for name, which in found)
    return tuple(XdpAttached(name, prog_id) for name, prog_id in ids if prog_id)


def _vlan(msg: Any) -> tuple[str, int | None, int | None]:
    """(kind, VLAN id, VLAN protocol) of a link."""
    info = msg.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") or "") if info else ""
    if kind != "vlan":
        return kind, None, None
    data = info.get_attr("IFLA_INFO_DATA")
    return kind, data.get_attr("IFLA_VLAN_ID"), data.get_attr("IFLA_VLAN_PROTOCOL")


def _link(raw: bytes) -> LinkInfo:
    msg = _decode(ifinfmsg, raw)
    kind, vlan_id, vlan_protocol = _vlan(msg)
    props = msg.get_attr("IFLA_PROP_LIST")
    lower = msg.get_attr("IFLA_LINK")
    return LinkInfo(
        index=msg["index"], name=msg.get_attr("IFLA_IFNAME") or "", mac=_mac(msg.get_attr("IFLA_ADDRESS")) or b"",
        mtu=msg.get_attr("IFLA_MTU") or 0, up=bool(msg["flags"] & _IFF_UP),
        carrier=bool(msg["flags"] & _IFF_LOWER_UP), loopback=bool(msg["flags"] & _IFF_LOOPBACK), kind=kind,
        rx_queues=msg.get_attr("IFLA_NUM_RX_QUEUES") or 1, tx_queues=msg.get_attr("IFLA_NUM_TX_QUEUES") or 1,
        xdp=_xdp(msg), link_index=lower or None, link_nsid=msg.get_attr("IFLA_LINK_NETNSID"),
        master_index=msg.get_attr("IFLA_MASTER"), vlan_id=vlan_id, vlan_protocol=vlan_protocol,
        alt_names=tuple(props.altnames()) if props else ())


def _neighbour(raw: bytes) -> NeighbourInfo | None:
    msg = _decode(ndmsg, raw)
    ip = _ip(msg.get_attr("NDA_DST")) if msg["family"] == socket.AF_INET else None
    if ip is None:
        return None
    return NeighbourInfo(msg["ifindex"], ip, Nud(msg["state"]), _mac(msg.get_attr("NDA_LLADDR")))


def _route_gateway(msg: Any) -> IPv4Address | None:
    return _ip(msg.get_attr("RTA_GATEWAY"))


def _route_event(raw: bytes, gone: bool) -> RouteEvent | None:
    msg = _decode(rtmsg, raw)
    if msg["family"] != socket.AF_INET or msg["flags"] & _RTM_F_CLONED:
        return None
    network = IPv4Network((msg.get_attr("RTA_DST") or "0.0.0.0", msg["dst_len"]))
    return RouteEvent(network, _route_gateway(msg), msg.get_attr("RTA_OIF"),
                      msg.get_attr("RTA_TABLE") or msg["table"], gone)


class _Monitor:
    """`Monitor` on a netlink socket with its multicast groups."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                                   _NETLINK_ROUTE)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _MONITOR_RCVBUF)
            self._sock.bind((0, 0))
            for group in (_GRP_LINK, _GRP_NEIGH, _GRP_IPV4_ROUTE):
                self._sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError:
            self._sock.close()
            raise

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def read(self) -> list[Event] | None:
        events: list[Event] = []
        lost = False
        while True:
            try:
                data = self._sock.recv(_RECV_LEN)
            except BlockingIOError:
                return None if lost else events
            except OSError as e:
                if e.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            for kind, _, _, raw in _split(data):
                event = _event(kind, raw)
                if event is not None:
                    events.append(event)


def _event(kind: int, raw: bytes) -> Event | None:
    if kind in (_NEWLINK, _DELLINK):
        if raw[_HEADER.size] != socket.AF_UNSPEC:
            return None  # a bridge port's own message: it lacks most of what a link has
        return LinkEvent(_link(raw), kind == _DELLINK)
    if kind in (_NEWNEIGH, _DELNEIGH):
        neighbour = _neighbour(raw)
        return NeighbourEvent(neighbour, kind == _DELNEIGH) if neighbour else None
    if kind in (_NEWROUTE, _DELROUTE):
        return _route_event(raw, kind == _DELROUTE)
    return None


class Pyroute2Netlink:
    """`xdpws.control.netlink.Netlink` to the kernel, in the network namespace of the creating thread."""

    def __init__(self) -> None:
        self._rt = _Socket(_NETLINK_ROUTE)
        self._genl = _Socket(_NETLINK_GENERIC)
        self._namespace = os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        self._netdev_id: int | None = None

    def close(self) -> None:
        self._rt.close()
        self._genl.close()
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1

    def links(self) -> list[LinkInfo]:
        return [_link(raw) for raw in self._rt.request(ifinfmsg(), _GETLINK, _F_DUMP)]

    def link_in(self, nsid: int, index: int) -> LinkInfo:
        msg = ifinfmsg()
        msg["index"] = index
        msg["attrs"] = [("IFLA_IF_NETNSID", nsid)]  # <linux/if_link.h> calls it IFLA_TARGET_NETNSID too
        return _link(self._rt.request(msg, _GETLINK, 0)[0])

    def namespace_id(self, fd: int) -> int | None:
        msg = nsidmsg()
        msg["attrs"] = [("NETNSA_FD", fd)]
        nsid = _decode(nsidmsg, self._rt.request(msg, _GETNSID, 0)[0]).get_attr("NETNSA_NSID")
        return nsid if nsid is not None and nsid < 1 << 31 else None  # -1: NETNSA_NSID_NOT_ASSIGNED

    def set_link(self, index: int, *, mtu: int | None = None, up: bool | None = None) -> None:
        msg = ifinfmsg()
        msg["index"] = index
        if up is not None:
            msg["change"] = _IFF_UP
            msg["flags"] = _IFF_UP if up else 0
        if mtu is not None:
            msg["attrs"] = [("IFLA_MTU", mtu)]
        self._rt.request(msg, _SETLINK, _F_ACK)

    def addresses(self, index: int) -> list[AddressInfo]:
        msg = ifaddrmsg()
        msg["family"] = socket.AF_INET
        msg["index"] = index
        found = []
        for raw in self._rt.request(msg, _GETADDR, _F_DUMP):
            answer = _decode(ifaddrmsg, raw)
            local = answer.get_attr("IFA_LOCAL") or answer.get_attr("IFA_ADDRESS")
            if answer["index"] == index and answer["family"] == socket.AF_INET and local:
                flags = answer.get_attr("IFA_FLAGS") or answer["flags"]
                found.append(AddressInfo(index, IPv4Interface((local, answer["prefixlen"])),
                                         bool(flags & _IFA_F_SECONDARY)))
        return found

    def route(self, destination: IPv4Address, out_index: int | None = None) -> RouteInfo:
        network = None
        if out_index is not None:
            # Asked with an interface, the kernel invents an on-link route where the tables have none; the matching
            # entry of the table tells the two apart (EHOSTUNREACH: there is none).
            matched = self._get_route(destination, out_index, _RTM_F_FIB_MATCH)
            network = IPv4Network((matched.get_attr("RTA_DST") or "0.0.0.0", matched["dst_len"]))
        msg = self._get_route(destination, out_index, 0)
        metrics = msg.get_attr("RTA_METRICS")
        kind = "behind an IPv6 gateway" if msg.get_attr("RTA_VIA") else _ROUTE_KIND.get(msg["type"], "other")
        return RouteInfo(destination, kind, msg.get_attr("RTA_OIF"),
                         _ip(msg.get_attr("RTA_PREFSRC")), _route_gateway(msg),
                         (metrics.get_attr("RTAX_MTU") or None) if metrics else None, network)

    def _get_route(self, destination: IPv4Address, out_index: int | None, flags: int) -> Any:
        msg = rtmsg()
        msg["family"] = socket.AF_INET
        msg["dst_len"] = 32
        msg["flags"] = flags
        msg["attrs"] = [("RTA_DST", str(destination))]
        if out_index is not None:
            msg["attrs"].append(("RTA_OIF", out_index))
        return _decode(rtmsg, self._rt.request(msg, _GETROUTE, 0)[0])

    def neighbours(self, index: int) -> list[NeighbourInfo]:
        msg = ndmsg()
        msg["family"] = socket.AF_INET
        msg["attrs"] = [("NDA_IFINDEX", index)]
        found = (_neighbour(raw) for raw in self._rt.request(msg, _GETNEIGH, _F_DUMP))
        return [n for n in found if n is not None and n.index == index]

    def use_neighbour(self, index: int, ip: IPv4Address) -> None:
        msg = ndmsg()
        msg["family"] = socket.AF_INET
        msg["ifindex"] = index
        msg["flags"] = _NTF_USE
        msg["attrs"] = [("NDA_DST", str(ip))]
        self._rt.request(msg, _NEWNEIGH, _F_ACK | _F_CREATE | _F_REPLACE)

    def probe_neighbour(self, index: int, ip: IPv4Address, mac: bytes) -> None:
        msg = ndmsg()
        msg["family"] = socket.AF_INET
        msg["ifindex"] = index
        msg["state"] = Nud.PROBE.value
        msg["attrs"] = [("NDA_DST", str(ip)), ("NDA_LLADDR", mac.hex(":"))]
        self._rt.request(msg, _NEWNEIGH, _F_ACK | _F_REPLACE)

    def xdp_capabilities(self, index: int) -> XdpCapabilities:
        msg = _NetdevMessage()
        msg["attrs"] = [("NETDEV_A_DEV_IFINDEX", index)]
        answer = _decode(_NetdevMessage, self._netdev(msg, _NETDEV_DEV_GET, 0)[0])
        return XdpCapabilities(
            _names(answer.get_attr("NETDEV_A_DEV_XDP_FEATURES"), _XDP_FEATURES),
            answer.get_attr("NETDEV_A_DEV_XDP_ZC_MAX_SEGS"),
            _names(answer.get_attr("NETDEV_A_DEV_XDP_RX_METADATA_FEATURES"), _RX_METADATA),
            _names(answer.get_attr("NETDEV_A_DEV_XSK_FEATURES"), _XSK_FEATURES))

    def napis(self, index: int) -> list[NapiInfo]:
        msg = _NapiMessage()
        msg["attrs"] = [("NETDEV_A_NAPI_IFINDEX", index)]
        try:
            answers = self._netdev(msg, _NETDEV_NAPI_GET, _F_DUMP)
        except OSError:
            return []  # before 6.8 the command is not there; a closed interface has no NAPIs
        found = []
        for raw in answers:
            napi = _decode(_NapiMessage, raw)
            timeout = napi.get_attr("NETDEV_A_NAPI_GRO_FLUSH_TIMEOUT")
            found.append(NapiInfo(napi.get_attr("NETDEV_A_NAPI_ID"), napi.get_attr("NETDEV_A_NAPI_IRQ"),
                                  napi.get_attr("NETDEV_A_NAPI_DEFER_HARD_IRQS"),
                                  int.from_bytes(bytes.fromhex(timeout.replace(":", "")), "little")
                                  if timeout else None))
        return found

    def _netdev(self, msg: Any, command: int, flags: int) -> list[bytes]:
        if self._netdev_id is None:
            ask = ctrlmsg()
            ask["cmd"], ask["version"] = 3, 1  # CTRL_CMD_GETFAMILY
            ask["attrs"] = [("CTRL_ATTR_FAMILY_NAME", "netdev")]
            answer = _decode(ctrlmsg, self._genl.request(ask, 0x10, 0)[0])  # GENL_ID_CTRL
            self._netdev_id = int(answer.get_attr("CTRL_ATTR_FAMILY_ID"))
        msg["cmd"], msg["version"] = command, 1
        return self._genl.request(msg, self._netdev_id, flags)

    def monitor(self) -> _Monitor:
        if os.path.samestat(os.fstat(self._namespace), os.stat(_OWN_NAMESPACE)):
            return _Monitor()
        return run_in_namespace(Path(f"/proc/self/fd/{self._namespace}"), _Monitor)
