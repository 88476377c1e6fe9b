"""What a callback of `xdpws.Client` sees lies in the receive ring itself; fragmented and compressed messages do not.

The ring is one piece of memory mapped twice in a row (csrc/mem/bytering.h), so /proc/self/maps shows it: two neighbours
of the same file "xdpws-ring". The simulator's exchange sends over TLS, so the ring is the one that TLS decrypts into.
"""
from __future__ import annotations

import ctypes
import itertools
from pathlib import Path
from typing import Any

import pytest
from test_client import client, exchange, peer
from websockets.sync.server import ServerConnection

import xdpws


def address(view: Any) -> int:
    """Where the bytes of a (read-only) buffer lie."""
    class Buffer(ctypes.Structure):
        _fields_ = (("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t),
                    ("rest", ctypes.c_byte * 128))

    buffer = Buffer()
    assert ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0) == 0
    at = int(buffer.buf or 0)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return at


def rings() -> list[tuple[int, int]]:
    """Begin and end of each mirrored ring of this process, both halves."""
    halves = [(int(line.split("-")[0], 16), int(line.split("-")[1].split(" ")[0], 16), line.split()[4])
              for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:xdpws-ring" in line]
    return [(a[0], b[1]) for a, b in itertools.pairwise(halves) if a[1] == b[0] and a[2] == b[2]]


def in_a_ring(at: int, size: int) -> bool:
    return any(begin <= at and at + size <= end for begin, end in rings())


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_whole_messages_lie_in_the_receive_ring(tls: str) -> None:
    seen: list[bool] = []

    def look(msg: xdpws.Message) -> None:
        if len(seen) < 50:
            seen.append(in_a_ring(address(msg.data), len(msg.data)))

    with exchange(count=200, tls=tls) as running:
        with client(running.url, look, tls=running.tls) as c:
            c.run()
    assert seen == [True] * 50


@pytest.mark.parametrize(("how", "options"), [("fragmented", {}), ("compressed", {"compression": "deflate"})])
def test_assembled_messages_do_not(how: str, options: dict[str, Any]) -> None:
    def send(ws: ServerConnection) -> None:
        ws.send(["frag", "mented"] if how == "fragmented" else "compressed" * 50)
        ws.send("last")

    seen: list[tuple[bytes, bool]] = []
    with peer(send, compression=options.get("compression")) as url:
        with client(url, lambda msg: seen.append((bytes(msg.data), in_a_ring(address(msg.data), len(msg.data)))),
                    **options) as c:
            c.run()
    assert seen[0] == ((b"fragmented", b"compressed" * 50)[how == "compressed"], False)
    assert seen[1][0] == b"last"
    assert seen[1][1] == (how == "fragmented")
