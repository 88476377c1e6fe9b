"""Interfaces for the attach tests: names begin with xwbpf and the process id, and they are gone afterwards."""
from __future__ import annotations

import itertools
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_serial = itertools.count()


def ip(*args: str) -> str:
    """`ip` of iproute2; raises when it fails."""
    return subprocess.run(["ip", *args], check=True, capture_output=True, text=True).stdout


@contextmanager
def interface(kind: str, *, mtu: int = 1500) -> Iterator[tuple[str, str]]:
    """A veth pair (ours, the peer's), or one of another kind (twice the same name); up, without IPv6 noise."""
    name = f"xwb{os.getpid() % 100000}{next(_serial)}"
    peer = name + "p" if kind == "veth" else name
    ip("link", "add", name, "type", kind, *(("peer", "name", peer) if kind == "veth" else ()))
    try:
        for end in {name, peer}:
            with open(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6", "w") as file:
                file.write("1")
            ip("link", "set", end, "mtu", str(mtu), "up")
        yield name, peer
    finally:
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


def send(device: str, *frames: bytes) -> None:
    """Put frames onto the wire at `device`, as they are."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        for frame in frames:
            sock.send(frame)
