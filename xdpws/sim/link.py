"""The bytes between a session and its socket, with or without TLS.

Non-blocking sockets are used directly: nothing is buffered here beyond what one call is sending, so a client that
does not read stops the player and costs no memory. Several tasks may send; each call's bytes stay together.
"""
from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Iterable
from typing import Protocol

from OpenSSL import SSL

from xdpws.sim.records import MAX_RECORD
from xdpws.sim.tls import describe

__all__ = ["Link", "PlainLink", "TlsLink", "prepare_cut"]

_READ_SIZE = 65536
_DRAIN_SIZE = 1 << 18
_RESET_LINGER = struct.pack("ii", 1, 0)


class Link(Protocol):
    """A connected client as a stream of bytes."""

    description: str
    """"plain", or version, cipher and group of TLS."""

    async def handshake(self) -> None:
        """Do what comes before the first byte. Raises OSError or SSL.Error."""

    async def recv(self) -> bytes:
        """Some bytes from the client; b"" when it has ended its direction."""

    async def send(self, units: Iterable[bytes]) -> None:
        """Send all units; with TLS each begins a new record. Returns when the kernel has taken everything.
        After half_close, by whichever task, they are dropped."""

    async def half_close(self) -> None:
        """End our direction: close_notify if there is TLS, then FIN. Receiving goes on."""


async def prepare_cut(sock: socket.socket, how: str, timeout_s: float = 5.0) -> None:
    """Make the coming close of the socket a cut: "rst" a reset, "fin" an end without any other goodbye.

    Returns when the client has acknowledged all that was sent, at the latest after the timeout, because a reset throws
    away what is still queued.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    pending = array.array("i", [0])
    while asyncio.get_running_loop().time() < deadline:
        try:
            fcntl.ioctl(sock, termios.TIOCOUTQ, pending)
        except OSError:
            break
        if pending[0] == 0:
            break
        await asyncio.sleep(0.001)
    if how == "rst":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_LINGER)


class PlainLink:
    """No TLS: bytes as they are."""

    def __init__(self, sock: socket.socket) -> None:
        self.description = "plain"
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._shut = False

    async def handshake(self) -> None:
        """Nothing comes before the first byte."""

    async def recv(self) -> bytes:
        return await self._loop.sock_recv(self._sock, _READ_SIZE)

    async def send(self, units: Iterable[bytes]) -> None:
        async with self._lock:
            if not self._shut:
                await self._loop.sock_sendall(self._sock, b"".join(units))

    async def half_close(self) -> None:
        async with self._lock:
            self._shut = True
            self._sock.shutdown(socket.SHUT_WR)


class TlsLink:
    """TLS over two memory BIOs. Only who holds the lock takes ciphertext out, so records leave in their order."""

    def __init__(self, sock: socket.socket, connection: SSL.Connection) -> None:
        self.description = "TLS"
        self._sock = sock
        self._tls = connection
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._shut = False

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except SSL.WantReadError:
                await self._flush()
                await self._feed()
            except SSL.Error:
                await self._flush()
                raise
        self.description = describe(self._tls)
        await self._flush()

    async def recv(self) -> bytes:
        while True:
            try:
                return self._tls.recv(_READ_SIZE)
            except SSL.WantReadError:
                await self._flush()
                if not await self._feed():
                    return b""
            except SSL.ZeroReturnError:
                return b""

    async def send(self, units: Iterable[bytes]) -> None:
        async with self._lock:
            for unit in () if self._shut else units:
                for at in range(0, len(unit), MAX_RECORD):
                    piece = unit[at : at + MAX_RECORD]
                    written = self._tls.send(piece)
                    assert written == len(piece), "a memory BIO takes a whole record"
            await self._drain()

    async def half_close(self) -> None:
        async with self._lock:
            self._shut = True
            self._tls.shutdown()
            await self._drain()
            self._sock.shutdown(socket.SHUT_WR)

    async def _feed(self) -> bool:
        data = await self._loop.sock_recv(self._sock, _READ_SIZE)
        if data:
            self._tls.bio_write(data)
        else:
            self._tls.bio_shutdown()
        return bool(data)

    async def _flush(self) -> None:
        async with self._lock:
            await self._drain()

    async def _drain(self) -> None:
        parts = []
        while True:
            try:
                parts.append(self._tls.bio_read(_DRAIN_SIZE))
            except SSL.WantReadError:
                break
        if parts:
            await self._loop.sock_sendall(self._sock, b"".join(parts))
