"""A kernel socket that sends or takes a bulk stream: ``GET n`` is answered by n octets, ``PUT`` by count and hash.

    python bulk.py serve PORT [CC]                 # one connection after the other; prints "ready"
    python bulk.py get|put HOST PORT SIZE [CC]     # the other end, for kernel to kernel; prints octets, seconds, sha256

CC: the kernel's congestion control.

The octets repeat with a period of 251, so that a piece at the wrong place changes the hash.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import time
from collections.abc import Callable

BLOCK = bytes(range(251)) * 4178  # 1,048,678: a multiple of the period


def write_pattern(write: Callable[[memoryview], object], size: int) -> None:
    while size:
        piece = memoryview(BLOCK)[:min(size, len(BLOCK))]
        write(piece)
        size -= len(piece)


def new_digest() -> hashlib._Hash:
    return hashlib.sha256()


def take(sock: socket.socket) -> tuple[int, str]:
    """Everything up to the end: how many octets, and their hash."""
    digest, count, buffer = new_digest(), 0, bytearray(1 << 20)
    view = memoryview(buffer)
    while n := sock.recv_into(buffer):
        digest.update(view[:n])
        count += n
    return count, digest.hexdigest()


def digest_of(size: int) -> str:
    digest = new_digest()
    write_pattern(digest.update, size)
    return digest.hexdigest()


def use(sock: socket.socket, cc: str) -> None:
    if cc:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, cc.encode())


def serve_one(sock: socket.socket) -> None:
    with sock:
        line = b""
        while not line.endswith(b"\n"):
            got = sock.recv(1)
            if not got:
                return
            line += got
        words = line.split()
        if words[0] == b"GET":
            write_pattern(sock.sendall, int(words[1]))
        else:
            count, digest = take(sock)
            sock.sendall(f"{count} {digest}\n".encode())
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(10)
        while sock.recv(65536):
            pass


def serve(port: int, cc: str) -> None:
    with socket.create_server(("0.0.0.0", port)) as listener:
        use(listener, cc)
        print("ready", flush=True)
        while True:
            sock, _ = listener.accept()
            try:
                serve_one(sock)
            except OSError as e:
                print(f"bulk: {e}", file=sys.stderr, flush=True)


def client(what: str, host: str, port: int, size: int, cc: str) -> None:
    with socket.socket() as sock:
        use(sock, cc)
        sock.connect((host, port))
        begin = time.monotonic()
        if what == "get":
            sock.sendall(f"GET {size}\n".encode())
            count, digest = take(sock)
        else:
            sock.sendall(b"PUT\n")
            write_pattern(sock.sendall, size)
            sock.shutdown(socket.SHUT_WR)
            count, digest = sock.makefile().readline().split()
        print(count, time.monotonic() - begin, digest, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
    else:
        client(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] if len(sys.argv) > 5 else "")
