"""Proxies for tests, in the loop of the test: HTTP CONNECT, the same over TLS, SOCKS5; each notes what it was asked."""
from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator


class Proxy:
    """What a proxy was asked, and how it answers."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
                 target: int | None = None) -> None:
        self.answer = answer
        self.target = target
        """Port on loopback to connect to whatever was asked."""
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.names: list[bytes] = []
        self.users: list[bytes] = []
        self.port = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """HTTP CONNECT."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            self.asked.append(head.split()[1])
            writer.write(self.answer)
            if b" 200 " in self.answer:
                await self._relay(reader, writer, int(self.asked[-1].rpartition(":")[2]))
        writer.close()

    async def socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 1928, with user and password (RFC 1929) when offered."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            _, count = await reader.readexactly(2)
            methods = await reader.readexactly(count)
            if 2 in methods:
                writer.write(b"\x05\x02")
                _, length = await reader.readexactly(2)
                user = await reader.readexactly(length)
                password = await reader.readexactly((await reader.readexactly(1))[0])
                self.users.append(user + b":" + password)
                writer.write(b"\x01\x00")
            else:
                writer.write(b"\x05\x00")
            _, _, _, kind = await reader.readexactly(4)
            name = await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
            port = int.from_bytes(await reader.readexactly(2), "big")
            self.names.append(name)
            refused = self.answer != Proxy().answer
            writer.write((b"\x05\x05" if refused else b"\x05\x00") + b"\x00\x01" + bytes(6))
            if not refused:
                await self._relay(reader, writer, port)
        writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        out_reader, out_writer = await asyncio.open_connection("127.0.0.1", self.target or port)
        await asyncio.gather(_copy(reader, out_writer), _copy(out_reader, writer))
        out_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()


@contextlib.asynccontextmanager
async def proxy(scheme: str, context: ssl.SSLContext | None = None, **options: object) -> AsyncIterator[Proxy]:
    """A proxy of that scheme on loopback."""
    made = Proxy(**options)  # type: ignore[arg-type]
    running = await asyncio.start_server(made.socks5 if scheme.startswith("socks") else made.connect, "127.0.0.1", 0,
                                         ssl=context)
    made.port = running.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        running.close()


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
