"""A server that misbehaves in a named way, plain or over TLS; `BEHAVIOURS` lists them.

In-process: ``with BadServer("invalid-utf8", cert=..., key=...) as bad: ... bad.url``. As a process:
``python -m peers.bad NAME --listen HOST:PORT [--cert FILE --key FILE]``, which prints a JSON line when ready.

Behaviours that get past the upgrade send one good text message, `GREETING`, first; so a test can tell that what came
before the fault was delivered. After its act the server reads until the client leaves; `received` keeps what came.
"""
from __future__ import annotations

import argparse
import array
import base64
import contextlib
import fcntl
import hashlib
import json
import signal
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

GREETING = b'{"hello":"xdpws"}'
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_READ = 65536
_TIMEOUT_S = 20.0


class Wire:
    """One accepted client. TLS runs over memory, so that ciphertext can be cut and changed."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True) if context else None
        self.received = bytearray()

    @property
    def encrypted(self) -> bool:
        return self._tls is not None

    def handshake(self) -> None:
        while self._tls is not None:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                self._flush()
                raise

    def ciphertext(self, data: bytes) -> bytes:
        """What would be sent for `data`: with TLS one record, else the data itself."""
        if self._tls is None:
            return data
        self._tls.write(data)
        return self._outgoing.read()

    def send(self, data: bytes) -> None:
        self.sock.sendall(self.ciphertext(data))

    def recv(self) -> bytes:
        """Some bytes; b"" when the client has ended its direction."""
        if self._tls is None:
            return self._keep(self.sock.recv(_READ))
        while True:
            try:
                return self._keep(self._tls.read(_READ))
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def reset(self) -> None:
        """RST, once the client has acknowledged what was sent before: a reset throws away what is still queued."""
        pending, deadline = array.array("i", [1]), time.monotonic() + 5
        while pending[0] and time.monotonic() < deadline:
            fcntl.ioctl(self.sock, termios.TIOCOUTQ, pending)
            time.sleep(0.001)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def end(self, close_notify: bool = True) -> None:
        """FIN, with TLS after a close_notify unless told otherwise."""
        if self._tls is not None and close_notify:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self.sock.shutdown(socket.SHUT_WR)

    def _keep(self, data: bytes) -> bytes:
        self.received += data
        return data

    def _feed(self) -> None:
        data = self.sock.recv(_READ)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self.sock.sendall(data)


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bytes = b"") -> bytes:
    """A frame, good or bad: `rsv` the three reserved bits as a number, `mask` four bytes for a masked frame."""
    first, marked = opcode | (rsv << 4) | (0x80 if fin else 0), 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, size | marked)
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, 126 | marked, size)
    else:
        head = struct.pack(">BBQ", first, 127 | marked, size)
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if mask else payload
    return head + mask + body


def answer(key: bytes, *, accept: bytes | None = None, headers: bytes = b"") -> bytes:
    """The 101 response to a request with this Sec-WebSocket-Key."""
    accept = accept or base64.b64encode(hashlib.sha1(key + _GUID).digest())
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + headers + b"\r\n")


def _key(request: bytes) -> bytes:
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-key":
            return value.strip()
    return b""


Act = Callable[[Wire, bytes], None]
BEHAVIOURS: dict[str, Act] = {}
BEFORE_TLS = ("reset-at-once", "mute", "tls-garbage")
"""Behaviours that act on the bare TCP connection, before TLS and before the upgrade."""
NEEDS_TLS = ("truncated-record", "bad-record")
"""Behaviours that make sense over TLS only."""


def _behaviour(name: str) -> Callable[[Act], Act]:
    def register(act: Act) -> Act:
        BEHAVIOURS[name] = act
        return act
    return register


def _http(name: str, response: bytes) -> None:
    def act(wire: Wire, key: bytes) -> None:
        wire.send(response)
        wire.end()
    BEHAVIOURS[name] = act


def _after_upgrade(name: str, data: bytes) -> None:
    """101, the greeting, then these bytes."""
    def act(wire: Wire, key: bytes) -> None:
        wire.send(answer(key))
        wire.send(frame(1, GREETING))
        wire.send(data)
    BEHAVIOURS[name] = act


FORBIDDEN_BODY = b'{"code":-1003,"msg":"way too many requests"}'
_http("http-403", b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
      b"Connection: close\r\n\r\n%b" % (len(FORBIDDEN_BODY), FORBIDDEN_BODY))
_http("http-302", b"HTTP/1.1 302 Found\r\nLocation: https://example.org/elsewhere\r\nContent-Length: 0\r\n\r\n")
_http("http-200", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
_http("http-garbage", b"\x00\xff this is no HTTP at all\n" * 4)
_http("http-cut-off", b"HTTP/1.1 101 Switching Proto")
_http("http-oversize-head", b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-Filler: " + b"a" * 300_000)

_after_upgrade("oversize-length", struct.pack(">BBQ", 0x82, 127, 1 << 62) + b"x" * 64)
_after_upgrade("top-bit-length", struct.pack(">BBQ", 0x82, 127, (1 << 63) + 16) + b"x" * 64)
_after_upgrade("long-form-length", struct.pack(">BBH", 0x82, 126, 5) + b"short")
_after_upgrade("invalid-utf8", frame(1, b"caf\xc3\x28 and on"))
_after_upgrade("cut-utf8", frame(1, b"euro \xe2\x82"))
_after_upgrade("invalid-utf8-fragment", frame(1, b"ok \xf0\x9f", fin=False) + frame(0, b"\x28\x28"))
_after_upgrade("masked-frame", frame(1, b"masked by a server", mask=b"\x11\x22\x33\x44"))
_after_upgrade("reserved-bits", frame(1, b"rsv1 without extension", rsv=4))
_after_upgrade("reserved-opcode", frame(3, b"opcode 3"))
_after_upgrade("reserved-control", frame(11, b"opcode 11"))
_after_upgrade("fragmented-ping", frame(9, b"half", fin=False) + frame(0, b"ping"))
_after_upgrade("long-ping", frame(9, b"p" * 126))
_after_upgrade("lone-continuation", frame(0, b"of nothing"))
_after_upgrade("interrupted-message", frame(1, b"first ", fin=False) + frame(1, b"second"))
_after_upgrade("close-one-byte", frame(8, b"\x03"))
_after_upgrade("close-1005", frame(8, struct.pack(">H", 1005)))
_after_upgrade("close-bad-utf8", frame(8, struct.pack(">H", 1000) + b"\xff\xfe"))
_after_upgrade("close-1008", frame(8, struct.pack(">H", 1008) + b"policy"))
_after_upgrade("close-empty", frame(8, b""))
_after_upgrade("mute-after-upgrade", b"")


@_behaviour("wrong-accept")
def _wrong_accept(wire: Wire, key: bytes) -> None:
    wire.send(answer(key, accept=base64.b64encode(b"not the right twenty")))


@_behaviour("no-upgrade-header")
def _no_upgrade_header(wire: Wire, key: bytes) -> None:
    wire.send(answer(key).replace(b"Upgrade: websocket\r\n", b"", 1))


@_behaviour("unasked-extension")
def _unasked_extension(wire: Wire, key: bytes) -> None:
    wire.send(answer(key, headers=b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15\r\n"))


@_behaviour("unasked-subprotocol")
def _unasked_subprotocol(wire: Wire, key: bytes) -> None:
    wire.send(answer(key, headers=b"Sec-WebSocket-Protocol: mqtt\r\n"))


@_behaviour("frame-with-101")
def _frame_with_101(wire: Wire, key: bytes) -> None:
    """Not bad, only rude: the first frames are in the same record and segment as the 101."""
    wire.send(answer(key) + frame(1, GREETING) + frame(9, b"early") + frame(1, b"second")
              + frame(8, struct.pack(">H", 1000)))


@_behaviour("split-101")
def _split_101(wire: Wire, key: bytes) -> None:
    """Not bad either: the 101 and a frame one byte at a time."""
    for byte in answer(key) + frame(1, GREETING) + frame(8, struct.pack(">H", 1000)):
        wire.send(bytes([byte]))


@_behaviour("reset-mid-frame")
def _reset_mid_frame(wire: Wire, key: bytes) -> None:
    wire.send(answer(key))
    wire.send(frame(1, GREETING))
    wire.send(frame(1, b"x" * 1000)[:500])
    wire.reset()


@_behaviour("end-mid-frame")
def _end_mid_frame(wire: Wire, key: bytes) -> None:
    wire.send(answer(key))
    wire.send(frame(1, GREETING))
    wire.send(frame(1, b"x" * 1000)[:500])
    wire.end()


@_behaviour("no-close-frame")
def _no_close_frame(wire: Wire, key: bytes) -> None:
    wire.send(answer(key))
    wire.send(frame(1, GREETING))
    wire.end()


@_behaviour("no-close-notify")
def _no_close_notify(wire: Wire, key: bytes) -> None:
    wire.send(answer(key))
    wire.send(frame(1, GREETING))
    wire.end(close_notify=False)


@_behaviour("truncated-record")
def _truncated_record(wire: Wire, key: bytes) -> None:
    wire.send(answer(key))
    wire.send(frame(1, GREETING))
    record = wire.ciphertext(frame(1, b"never complete " * 20))
    wire.sock.sendall(record[: len(record) // 2])
    wire.end(close_notify=False)


@_behaviour("bad-record")
def _bad_record(wire: Wire, key: bytes) -> None:
    wire.send(answer(key))
    wire.send(frame(1, GREETING))
    record = bytearray(wire.ciphertext(frame(1, b"tampered with")))
    record[-1] ^= 1
    wire.sock.sendall(record)


@_behaviour("mute")
def _mute(wire: Wire, key: bytes) -> None:
    """Accepts TCP and never says a word."""


@_behaviour("mute-after-tls")
def _mute_after_tls(wire: Wire, key: bytes) -> None:
    """Reads the upgrade request and never answers."""


@_behaviour("tls-garbage")
def _tls_garbage(wire: Wire, key: bytes) -> None:
    wire.sock.recv(_READ)
    wire.sock.sendall(b"220 mail.example.org ESMTP\r\n")


@_behaviour("reset-at-once")
def _reset_at_once(wire: Wire, key: bytes) -> None:
    wire.sock.recv(1)
    wire.reset()


class BadServer:
    """Serves clients one after another, each with the same behaviour. A context manager."""

    def __init__(
        self, behaviour: str, *, host: str = "127.0.0.1", port: int = 0, cert: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """TLS if `cert` and `key` are given. Raises KeyError for a behaviour that does not exist."""
        self._act = BEHAVIOURS[behaviour]
        self._bare = behaviour in BEFORE_TLS
        self._context = None
        if cert is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(cert, key)
        assert self._context is not None or behaviour not in NEEDS_TLS, f"{behaviour} needs a certificate"
        self.requests: list[bytes] = []
        """The upgrade requests, headers only."""
        self.received: list[bytes] = []
        """What each client sent after its request, decrypted, once it is gone."""
        self.client_gone = threading.Event()
        """Set when a client has left."""
        self._current: socket.socket | None = None
        self._stopping = False
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'wss' if self._context else 'ws'}://{host}:{self.port}/"
        self._thread = threading.Thread(target=self._serve, name=f"bad {behaviour}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, cut the client that is there, wait for the thread."""
        self._stopping = True
        for sock in (self._listener, self._current):
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(_TIMEOUT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._current = sock
            wire = Wire(sock, None if self._bare else self._context)
            with contextlib.suppress(OSError, ssl.SSLError), sock:
                self._client(wire)
            self.received.append(bytes(wire.received))
            self.client_gone.set()

    def _client(self, wire: Wire) -> None:
        request = b""
        if not self._bare:
            wire.handshake()
            while b"\r\n\r\n" not in wire.received:
                if not wire.recv():
                    return
            request = bytes(wire.received).split(b"\r\n\r\n")[0] + b"\r\n\r\n"
            del wire.received[: len(request)]
            self.requests.append(request)
        self._act(wire, _key(request))
        with contextlib.suppress(OSError, ssl.SSLError):
            while wire.recv():
                pass


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("behaviour", choices=sorted(BEHAVIOURS))
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--cert", type=Path)
    parser.add_argument("--key", type=Path)
    args = parser.parse_args(argv)
    host, _, port = args.listen.rpartition(":")
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with BadServer(args.behaviour, host=host, port=int(port), cert=args.cert, key=args.key) as server:
        print(json.dumps({"url": server.url, "port": server.port}), flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
