"""ethtool requests by ioctl: driver, channels, offloads. Needs no library; works in the caller's network namespace.

Reading needs no privilege, changing needs CAP_NET_ADMIN. What a driver does not support is None or absent.
"""
from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from xdpws.control.model import Channels

_SIOCETHTOOL = 0x8946
# <linux/ethtool.h>
_GDRVINFO, _GSTRINGS, _GSSET_INFO, _GFEATURES, _SFEATURES = 0x03, 0x1B, 0x37, 0x3A, 0x3B
_GCHANNELS, _SCHANNELS = 0x3C, 0x3D
_SS_FEATURES = 4
_STRING_LEN = 32
_MAX_FEATURES = 1024  # the kernel has some 64; guards the buffer against a nonsensical count
_F_UNSUPPORTED, _F_WISH = 1, 2


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """Name and version of a driver (in-tree drivers give the kernel's release), its firmware and bus address."""

    driver: str
    version: str
    firmware: str
    bus: str


@dataclass(frozen=True, slots=True)
class Feature:
    """One offload. `fixed`: the driver does not let it be changed."""

    on: bool
    fixed: bool


class Ethtool:
    """Requests about the interfaces of the network namespace in which the object was made."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def close(self) -> None:
        """Gives the socket back; may be called twice."""
        self._sock.close()

    def __enter__(self) -> Ethtool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ioctl(self, name: str, request: bytes) -> bytes:
        """One SIOCETHTOOL: the buffer as the kernel left it."""
        buf = array.array("B", request)
        raw_name = name.encode()
        if len(raw_name) > 15:
            raise OSError(errno.ENODEV, "No such device")
        ifreq = struct.pack("16sQ16x", raw_name, buf.buffer_info()[0])
        fcntl.ioctl(self._sock, _SIOCETHTOOL, ifreq)
        return buf.tobytes()

    def driver(self, name: str) -> DriverInfo | None:
        """Who drives the interface."""
        try:
            raw = self._ioctl(name, struct.pack("=I", _GDRVINFO).ljust(196, b"\0"))
        except OSError as e:
            if e.errno == errno.EOPNOTSUPP:
                return None
            raise
        texts = [raw[4 + 32 * i:36 + 32 * i].split(b"\0")[0].decode(errors="replace") for i in range(4)]
        return DriverInfo(*texts)

    def channels(self, name: str) -> Channels | None:
        """Channel counts, None if the driver does not say."""
        try:
            raw = self._ioctl(name, struct.pack("=9I", _GCHANNELS, *[0] * 8))
        except OSError as e:
            if e.errno == errno.EOPNOTSUPP:
                return None
            raise
        _, max_rx, max_tx, _, max_combined, rx, tx, _, combined = struct.unpack("=9I", raw)
        return Channels(rx, tx, combined, max_rx, max_tx, max_combined)

    def _feature_names(self, name: str) -> list[str]:
        raw = self._ioctl(name, struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _SS_FEATURES, 0))
        if not struct.unpack_from("=Q", raw, 8)[0]:
            return []
        count = min(struct.unpack_from("=I", raw, 16)[0], _MAX_FEATURES)
        raw = self._ioctl(name, struct.pack("=III", _GSTRINGS, _SS_FEATURES, count)
                          + bytes(_STRING_LEN * count))
        return [raw[12 + _STRING_LEN * i:12 + _STRING_LEN * (i + 1)].split(b"\0")[0].decode() for i in range(count)]

    def features(self, name: str) -> dict[str, Feature]:
        """Offloads by the kernel's names ("tx-tcp-segmentation", "rx-gro", …); {} if the interface has none."""
        names = self._feature_names(name)
        if not names:
            return {}
        blocks = (len(names) + 31) // 32
        raw = self._ioctl(name, struct.pack("=II", _GFEATURES, blocks) + bytes(16 * blocks))
        found = {}
        for i, feature in enumerate(names):
            available, _, active, never = struct.unpack_from("=4I", raw, 8 + 16 * (i // 32))
            bit = 1 << i % 32
            if feature:
                found[feature] = Feature(bool(active & bit), bool(never & bit) or not available & bit)
        return found

    def set_features(self, name: str, wanted: Mapping[str, bool]) -> None:
        """Switches offloads by their kernel names. Raises `OSError`: EOPNOTSUPP for one that is fixed or unknown."""
        names = self._feature_names(name)
        blocks = (len(names) + 31) // 32
        words = [[0, 0] for _ in range(blocks)]
        for feature, on in wanted.items():
            if feature not in names:
                raise OSError(errno.EOPNOTSUPP, f"no offload {feature}")
            i = names.index(feature)
            words[i // 32][0] |= 1 << i % 32
            words[i // 32][1] |= on << i % 32
        request = b"".join(struct.pack("=II", valid, value) for valid, value in words)
        self._ioctl(name, struct.pack("=II", _SFEATURES, blocks) + request)
        now = self.features(name)
        refused = [feature for feature, on in wanted.items() if now[feature].on != on]
        if refused:
            raise OSError(errno.EOPNOTSUPP, f"the driver keeps {', '.join(refused)}")

    def set_channels(self, name: str, *, rx: int, tx: int, combined: int) -> None:
        """Sets the channel counts."""
        self._ioctl(name, struct.pack("=9I", _SCHANNELS, 0, 0, 0, 0, rx, tx, 0, combined))
