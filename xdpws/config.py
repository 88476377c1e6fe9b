"""What a user can set, as values that are checked when they are made.

Units stand in the names: `_s` seconds, `_len` bytes. A value out of range raises UsageError and names the field.
"""
from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from xdpws.errors import UsageError

TransportName = Literal["auto", "xdp", "socket"]
XdpMode = Literal["auto", "native", "generic"]
LoaderName = Literal["libbpf", "bcc"]
ZeroCopy = Literal["auto", "on", "off"]
NicTime = Literal["auto", "on", "off"]
TlsVersion = Literal["1.2", "1.3"]
StampsMode = Literal["histogram"] | bool
TlsEngine = Literal["auto", "openssl", "own"]


def _one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{field} is {value!r}; it must be one of {', '.join(allowed)}")


def _ring(field: str, value: int, least: int) -> None:
    if value < least or value & (value - 1):
        raise UsageError(f"{field} is {value}; it must be a power of two and at least {least}")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """One engine: one thread, its connections and their memory.

    max_conns: connections at a time, 1 to 4096. rcvbuf_len, sndbuf_len: TCP receive and send ring of each connection;
    the receive ring is the largest window that we offer. plain_len: decrypted bytes kept per connection; longer
    messages are assembled elsewhere. stamps: stamp every stage, not only kernel and ring; "histogram": that, and record
    how long each stage takes, by connection, for `xdpws top` and `Client.histograms`. batch: events taken per poll.
    """

    max_conns: int = 16
    rcvbuf_len: int = 1 << 20
    sndbuf_len: int = 1 << 18
    plain_len: int = 1 << 20
    stamps: StampsMode = True
    batch: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.max_conns <= 4096:
            raise UsageError(f"max_conns is {self.max_conns}; it must be 1 to 4096")
        for field in ("rcvbuf_len", "sndbuf_len", "plain_len"):
            _ring(field, getattr(self, field), 65536)
        if not isinstance(self.stamps, bool) and self.stamps != "histogram":
            raise UsageError(f'stamps is {self.stamps!r}; it must be True, False or "histogram"')
        if not 1 <= self.batch <= 4096:
            raise UsageError(f"batch is {self.batch}; it must be 1 to 4096")


@dataclass(frozen=True, slots=True)
class DeflateOptions:
    """What a client offers of permessage-deflate (RFC 7692); `compression="deflate"` is the default of all of it.

    server_no_context_takeover: the server must compress each message by itself. client_no_context_takeover: we do.
    server_max_window_bits: the most the server may use, 8 to 15; None: not said. client_max_window_bits: the most we
    use, 8 to 15; True: whatever the server says; None: not offered. min_size: messages of fewer bytes are sent as they
    are.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | Literal[True] | None = True
    min_size: int = 64

    def __post_init__(self) -> None:
        for field in ("server_max_window_bits", "client_max_window_bits"):
            value = getattr(self, field)
            allowed = value is None or (value is True and field == "client_max_window_bits")
            if not allowed and (isinstance(value, bool) or not 8 <= value <= 15):
                raise UsageError(f"{field} is {value!r}; it must be 8 to 15 or None")
        if not 0 <= self.min_size < 1 << 32:
            raise UsageError(f"min_size is {self.min_size}; it must be 0 to 4294967295")


Compression = Literal["deflate"] | DeflateOptions | None


def deflate_options(compression: Compression) -> DeflateOptions | None:
    """What the parameter `compression` stands for; UsageError if it is nothing that exists."""
    if compression is None or isinstance(compression, DeflateOptions):
        return compression
    _one_of("compression", compression, ("deflate",))
    return DeflateOptions()


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Pings of the application, for venues that want a message instead of a ping frame.

    message: what is sent, str as text, bytes as binary, or a function that makes the next one (for a running number).
    interval_s: seconds between two. answer: the message that answers it, or a function that tells by the bytes of a
    message; None: nobody waits for one. timeout_s: the connection is closed (1011) when no answer came for so long
    after a ping; None: never. deliver: give answers to recv() too; otherwise they are swallowed. An answer is no data
    for idle_timeout.

    `connect(keepalive="text:ping")` is Keepalive("ping", answer="pong"), as OKX and Bitget want it; "text:" or
    "binary:" with other words send those and wait for no answer.
    """

    message: str | bytes | Callable[[], str | bytes]
    interval_s: float = 20.0
    answer: str | bytes | Callable[[bytes], bool] | None = None
    timeout_s: float | None = 20.0
    deliver: bool = False

    def __post_init__(self) -> None:
        if not self.interval_s > 0:
            raise UsageError(f"interval_s is {self.interval_s}; it must be above 0")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise UsageError(f"timeout_s is {self.timeout_s}; it must be above 0 or None")
        if not isinstance(self.message, str | bytes) and not callable(self.message):
            raise UsageError(f"message is {self.message!r}; it must be str, bytes or a function")

    @classmethod
    def parse(cls, value: str | Keepalive | None) -> Keepalive | None:
        """What the parameter `keepalive` stands for; UsageError if it is nothing that exists."""
        if value is None or isinstance(value, Keepalive):
            return value
        kind, colon, words = value.partition(":")
        if not colon or not words or kind not in ("text", "binary"):
            raise UsageError(f"keepalive is {value!r}; it must be 'text:WORDS', 'binary:WORDS' or a Keepalive")
        answer = {"ping": "pong", "PING": "PONG"}.get(words)
        return cls(words, answer=answer) if kind == "text" else cls(words.encode(), answer=answer)


@dataclass(frozen=True, slots=True)
class XdpOptions:
    """How to attach to an interface.

    interface: its name. mode: native (in the driver), generic (any interface, slower), or auto: native, and generic as
    a stated second choice. loader: libbpf (object compiled ahead of time) or bcc (compiled on this host). zero_copy:
    auto takes it where the driver has it. address: "IP/LEN" of the stack's own (dedicated mode); None shares the
    host's. replace: detach another XDP program that is in the way. nic_time: the NIC's receive timestamps. busy_poll:
    ask the kernel for preferred busy polling. huge_pages: try 2 MiB pages for the frames. rx_len, tx_len: ring sizes.
    record: a file to write the frames of both directions to, as pcapng. record_secrets: a key log whose new lines go
    into it; None: `Client` gives its own.
    """

    interface: str
    mode: XdpMode = "auto"
    loader: LoaderName = "libbpf"
    zero_copy: ZeroCopy = "auto"
    address: str | None = None
    replace: bool = False
    nic_time: NicTime = "auto"
    busy_poll: bool = False
    huge_pages: bool = False
    rx_len: int = 2048
    tx_len: int = 2048
    record: str | None = None
    record_secrets: str | None = None

    def __post_init__(self) -> None:
        if not self.interface:
            raise UsageError("interface is empty; give the name of a network interface")
        _one_of("mode", self.mode, ("auto", "native", "generic"))
        _one_of("loader", self.loader, ("libbpf", "bcc"))
        _one_of("zero_copy", self.zero_copy, ("auto", "on", "off"))
        _one_of("nic_time", self.nic_time, ("auto", "on", "off"))
        _ring("rx_len", self.rx_len, 64)
        _ring("tx_len", self.tx_len, 64)
        if self.address is not None:
            try:
                ipaddress.IPv4Interface(self.address)
            except ValueError:
                raise UsageError(f"address is {self.address!r}; it must be IPV4/LEN, such as 10.0.0.5/24") from None


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How TLS is done. Chain and name are verified unless verify is False.

    ca_file, ca_dir, ca_data: PEM bundle, hashed directory, or the PEM itself, instead of the system's store. minimum,
    maximum: protocol versions. ciphers: OpenSSL list for TLS 1.2; ciphersuites: for TLS 1.3; groups: key exchange
    groups. cert_file, key_file: our certificate: a client's if the server asks for it; a server must have one. A
    server demands and verifies client certificates if ca_file, ca_dir or ca_data say by whom they are signed.
    keylog_file: NSS key log to append to. pins: SHA-256 of accepted SubjectPublicKeyInfo, as 32 bytes, hex, base64,
    "sha256/base64" or "sha256//base64". engine: who protects the records after the handshake. "own": xdpws, for
    AES-GCM and ChaCha20-Poly1305 of TLS 1.2 and 1.3 (a connection with another suite fails); "openssl": OpenSSL;
    "auto": xdpws where it serves, else OpenSSL.
    """

    verify: bool = True
    ca_file: str | None = None
    ca_dir: str | None = None
    ca_data: str | None = None
    minimum: TlsVersion = "1.2"
    maximum: TlsVersion = "1.3"
    ciphers: str | None = None
    ciphersuites: str | None = None
    groups: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    keylog_file: str | None = None
    pins: tuple[str | bytes, ...] = ()
    engine: TlsEngine = "auto"

    def __post_init__(self) -> None:
        _one_of("minimum", self.minimum, ("1.2", "1.3"))
        _one_of("maximum", self.maximum, ("1.2", "1.3"))
        _one_of("engine", self.engine, ("auto", "openssl", "own"))
        if self.minimum > self.maximum:
            raise UsageError("minimum is above maximum: no TLS version is left")
        if self.cert_file is None and self.key_file is not None:
            raise UsageError("key_file is given without cert_file")
        if self.ca_data is not None and self.ca_file is not None:
            raise UsageError("give ca_file or ca_data, not both")
        for pin in self.pins:
            pin_bytes(pin)


def pin_bytes(pin: str | bytes) -> bytes:
    """The 32 bytes of an SPKI pin in any form that TlsOptions takes; UsageError if it is none."""
    raw = pin
    if isinstance(raw, str):
        # curl writes sha256//; base64 may itself begin with a slash, so its length decides
        text = raw.removeprefix("sha256//" if len(raw) == len("sha256//") + 44 else "sha256/")
        try:
            raw = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raw = b""
    if len(raw) != 32:
        raise UsageError(f"pin {pin!r} is not a SHA-256 (32 bytes, 64 hex digits, or base64 of 32 bytes)")
    return raw
