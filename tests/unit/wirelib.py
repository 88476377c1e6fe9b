"""The C files of wire/ and net/ as a shared object for tests, with ctypes' view of their structures.

Built by the system's compiler into ``build/tests`` when a source is newer. Addresses are integers in host byte order,
as in C. ``Layer`` is a network layer that takes and gives whole frames.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("base", "wire", "net")
U8, U16, U32, U64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
MAC = U8 * 6


class Span(ctypes.Structure):
    """struct xw_span and xw_mspan."""

    _fields_ = (("p", ctypes.c_char_p), ("len", ctypes.c_size_t))


class MutableSpan(ctypes.Structure):
    """struct xw_mspan over a buffer."""

    _fields_ = (("p", ctypes.c_void_p), ("len", ctypes.c_size_t))


class Eth(ctypes.Structure):
    """struct xw_eth_hdr."""

    _fields_ = (("dst", MAC), ("src", MAC), ("type", U16), ("vlan_cnt", U8), ("vlan_tpid", U16 * 2),
                ("vlan_tci", U16 * 2))


class Arp(ctypes.Structure):
    """struct xw_arp_hdr."""

    _fields_ = (("op", U16), ("sha", MAC), ("tha", MAC), ("spa", U32), ("tpa", U32))


class Ip4(ctypes.Structure):
    """struct xw_ip4_hdr."""

    _fields_ = (("src", U32), ("dst", U32), ("total_len", U16), ("id", U16), ("frag_off", U16), ("hdr_len", U8),
                ("tos", U8), ("ttl", U8), ("proto", U8), ("df", ctypes.c_bool), ("mf", ctypes.c_bool),
                ("source_route", ctypes.c_bool))


class Icmp4(ctypes.Structure):
    """struct xw_icmp4_hdr."""

    _fields_ = (("type", U8), ("code", U8), ("rest", U32))


class Quote(ctypes.Structure):
    """struct xw_icmp4_quote."""

    _fields_ = (("src", U32), ("dst", U32), ("sport", U16), ("dport", U16), ("seq", U32), ("total_len", U16),
                ("proto", U8))


class Tcp(ctypes.Structure):
    """struct xw_tcp_hdr; sack is 4 pairs (left, right)."""

    _fields_ = (("src_port", U16), ("dst_port", U16), ("seq", U32), ("ack", U32), ("window", U16), ("urgent", U16),
                ("flags", U8), ("hdr_len", U8), ("opts", U8), ("wscale", U8), ("mss", U16), ("sack_cnt", U8),
                ("ts_val", U32), ("ts_ecr", U32), ("sack", U32 * 2 * 4))


class NetCfg(ctypes.Structure):
    """struct xw_net_cfg."""

    _fields_ = (("mac", MAC), ("dedicated", U8), ("vlan_cnt", U8), ("vlan_id", U16 * 2), ("ip", U32), ("mask", U32),
                ("mtu", U32), ("vlan_tpid", U16 * 2))


class NetTcp(ctypes.Structure):
    """struct xw_net_tcp."""

    _fields_ = (("src", U32), ("dst", U32), ("seg", MutableSpan), ("ttl", U8), ("tos", U8))


class NetIcmp(ctypes.Structure):
    """struct xw_net_icmp."""

    _fields_ = (("kind", ctypes.c_int), ("type", U8), ("code", U8), ("mtu", U16), ("origin", U32), ("local_ip", U32),
                ("remote_ip", U32), ("local_port", U16), ("remote_port", U16), ("seq", U32))


class NetRx(ctypes.Structure):
    """struct xw_net_rx."""

    _fields_ = (("drop", ctypes.c_int), ("tcp", NetTcp), ("icmp", NetIcmp))


class Hop(ctypes.Structure):
    """struct xw_net_hop."""

    _fields_ = (("dst", U32), ("next", U32), ("mtu", U32), ("gen", U32), ("neigh", U16), ("pad", U16))


class NetIp(ctypes.Structure):
    """struct xw_net_ip."""

    _fields_ = (("proto", U8), ("tos", U8), ("ttl", U8), ("df", ctypes.c_bool))


@functools.cache
def library() -> ctypes.CDLL:
    """Compile what has changed and load it."""
    sources = sorted(path for folder in FOLDERS for path in (ROOT / "csrc" / folder).glob("*.c"))
    newest = max(path.stat().st_mtime for path in (ROOT / "csrc").glob("**/*.[ch]"))
    target = ROOT / "build" / "tests" / "libxwnet.so"
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".so", delete=False) as scratch:
            pass
        flags = ("-std=c11", "-D_GNU_SOURCE", "-DXW_CHECKED", "-O1", "-fPIC", "-shared", "-I", ROOT / "csrc")
        subprocess.run([os.environ.get("CC", "gcc"), *flags, *sources, "-o", scratch.name], check=True)
        os.replace(scratch.name, target)
    lib = ctypes.CDLL(str(target))
    for name in ("xw_eth_emit", "xw_arp_emit", "xw_ip4_emit", "xw_icmp4_emit", "xw_net_size", "xw_net_output"):
        getattr(lib, name).restype = ctypes.c_size_t
    lib.xw_net_deadline.restype = U64
    lib.xw_drop_name.restype = ctypes.c_char_p
    return lib


def drop_name(reason: int) -> str:
    """Return the name of a drop reason, ``NONE`` for none."""
    name: bytes = library().xw_drop_name(reason)
    return name.decode()


def emit(function: str, header: ctypes.Structure, body: bytes = b"") -> bytes:
    """Call an emit function; body stands behind an ICMP header already."""
    buf = ctypes.create_string_buffer(b"\xee" * (60 + len(body)), 60 + len(body))
    if function == "xw_icmp4_emit":
        ctypes.memmove(ctypes.addressof(buf) + 8, body, len(body))
        length = library().xw_icmp4_emit(MutableSpan(ctypes.addressof(buf), len(buf)), ctypes.byref(header),
                                         ctypes.c_size_t(len(body)))
    else:
        length = getattr(library(), function)(MutableSpan(ctypes.addressof(buf), len(buf)), ctypes.byref(header))
    return buf.raw[:length]


class Layer:
    """A network layer in dedicated mode; time stands still unless it is moved."""

    DROPPED, CONSUMED, TCP, ICMP_ERROR = range(4)
    IDLE, PROBING, OK, CONFLICT = range(4)

    def __init__(self, ip: int, mac: str, *, claim: int = 0, now: int = 1_000_000_000_000, **cfg: object) -> None:
        """Make one with the address ip/24, in use at once unless claim is 1 (fast probing) or 2 (as the RFC says)."""
        lib = library()
        self._drops = (U64 * 256)()
        self._rng = ctypes.create_string_buffer(256)
        self._mem = ctypes.create_string_buffer(lib.xw_net_size())
        self._net = ctypes.c_void_p()
        self.now = now
        lib.xw_rng_init(self._rng, bytes(32))
        values: dict[str, object] = {"mac": MAC(*bytes.fromhex(mac.replace(":", ""))), "dedicated": 1, "ip": ip,
                                     "mask": 0xFFFFFF00, "mtu": 1500, **cfg}
        rc = lib.xw_net_init(self._mem, ctypes.byref(NetCfg(**values)), self._rng, self._drops, ctypes.byref(self._net))
        assert rc == 0
        lib.xw_net_start(self._net, claim, U64(self.now))

    @property
    def address_state(self) -> int:
        """IDLE, PROBING, OK or CONFLICT."""
        return int(library().xw_net_addr_state(self._net))

    def input(self, frame: bytes) -> tuple[int, NetRx]:
        """Take one frame; return the verdict and what belongs to it."""
        rx = NetRx()
        verdict = library().xw_net_input(self._net, Span(frame, len(frame)), ctypes.c_bool(True), U64(self.now),
                                         ctypes.byref(rx))
        return verdict, rx

    def output(self) -> bytes:
        """Return the next frame that the layer sends of its own accord, empty if there is none."""
        buf = ctypes.create_string_buffer(2048)
        length = library().xw_net_output(self._net, MutableSpan(ctypes.addressof(buf), 2048), U64(self.now))
        return buf.raw[:length]

    def tick(self, ns: int) -> None:
        """Move the clock."""
        self.now += ns
        library().xw_net_tick(self._net, U64(self.now))

    def send(self, dst: int, l4: bytes, *, proto: int = 6, tos: int = 0, ttl: int = 64, df: bool = True) -> bytes | int:
        """Put headers in front of l4; return the frame, or the error."""
        hop, buf = Hop(), ctypes.create_string_buffer(2048)
        rc: int = library().xw_net_route(self._net, U32(dst), ctypes.byref(hop))
        if rc >= 0:
            fields = NetIp(proto, tos, ttl, df)
            rc = library().xw_net_eth_ip(self._net, ctypes.byref(hop), MutableSpan(ctypes.addressof(buf), 2048),
                                         ctypes.c_size_t(len(l4)), ctypes.byref(fields), U64(self.now))
        return buf.raw[:rc] + l4 if rc > 0 else rc
