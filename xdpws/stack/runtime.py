"""`Runtime`: one engine, the interface that it may be attached to, and the choice of transport for each connection."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from xdpws._ffi import check, ffi, lib
from xdpws.config import DeflateOptions, EngineConfig, TransportName, XdpOptions
from xdpws.errors import SetupError, UsageError
from xdpws.messages import Message
from xdpws.stack.attachment import Attachment, Path
from xdpws.stack.connection import Connection, Handler
from xdpws.stack.engine import Engine
from xdpws.stack.loop import Loop
from xdpws.stack.tls import TlsContext

_SERVICE_NS = 20_000_000  # how often a busy loop looks at netlink and ended flows
_SERVICE_WAITING_NS = 1_000_000_000  # the same while waiting, which news end


@dataclass(frozen=True, slots=True)
class WsRequest:
    """The upgrade request: resource is the request target, headers are further lines each ended by CRLF."""

    resource: str
    host: str
    headers: str = ""
    subprotocols: tuple[str, ...] = ()
    max_message: int = 1 << 20
    check_utf8: bool = True
    deflate: DeflateOptions | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """A connected stream socket to go on from; fd stays the caller's, who may close it after `Runtime.open`. server: it
    was accepted, and the peer is a client. why: the transport's reason, for people."""

    fd: int
    server: bool = False
    why: str = "a socket was given"


@dataclass(frozen=True, slots=True)
class Target:
    """What to connect to; with `adopt`, address and port only name the peer. server_name: SNI and the name in the
    certificate. ws None: a raw stream. Times in seconds, 0: none."""

    address: IPv4Address
    port: int
    tls: TlsContext | None = None
    server_name: str = ""
    ws: WsRequest | None = None
    no_delay: bool = True
    open_timeout_s: float = 10.0
    close_timeout_s: float = 10.0
    local_address: IPv4Address | None = None
    local_port: int = 0
    adopt: Adopted | None = None

    @property
    def name(self) -> str:
        """For people: the URL, without its query (which may hold a secret)."""
        if self.ws is None:
            return f"{self.server_name or self.address}:{self.port}"
        return f"{'wss' if self.tls else 'ws'}://{self.ws.host}{self.ws.resource.partition('?')[0]}"


def _deflate_fields(options: DeflateOptions, server: bool) -> dict[str, int]:
    """The fields of `struct xw_conn_cfg` that offer it, or say what a server wants."""
    client_bits = options.client_max_window_bits
    if server and client_bits is True:
        client_bits = None  # it takes what the client says
    return {"ws_deflate": 1, "ws_server_reset": int(options.server_no_context_takeover),
            "ws_client_reset": int(options.client_no_context_takeover),
            "ws_server_bits": options.server_max_window_bits or 0,
            "ws_client_bits": int(client_bits or 0), "ws_deflate_min": options.min_size}


class Runtime:
    """Belongs to the thread that makes it. `xdp`: the interface to attach to when a connection asks for it."""

    def __init__(self, config: EngineConfig | None = None, xdp: XdpOptions | None = None,
                 on_batch: Callable[[list[Message]], object] | None = None) -> None:
        self.engine = Engine(config)
        self.loop = Loop(self.engine, on_batch)
        self.xdp = xdp
        self.attachment: Attachment | None = None
        self._paths: dict[int, Path] = {}
        self._service_at = 0
        self._watching = False

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, target: Target, handler: Handler, transport: TransportName = "auto") -> Connection:
        """Start connecting; `handler` is told how it goes. Raises SetupError when the transport asked for cannot be
        had."""
        self.engine.check_thread()
        path, reason = (None, target.adopt.why) if target.adopt else self._choose(target, transport)
        user = self.loop.reserve()
        keep: list[Any] = []
        cfg = self._cfg(target, path, user, keep)
        ident = ffi.new("uint32_t *")
        try:
            check(lib.xw_conn_open(self.engine.handle, cfg, time.monotonic_ns(), ident),
                  f"open a connection to {target.address}:{target.port}")
        except BaseException:
            if path is not None and self.attachment is not None:
                self.attachment.end(path)
            raise
        connection = Connection(self.engine, ident[0], user, "xdp" if path else "socket", reason)
        if path is not None:
            self._paths[user] = path
        if self.engine.stages is not None:
            lib.xw_stages_begin(self.engine.handle, ident[0], target.name.encode())
        self.loop.add(connection, handler)
        return connection

    def _choose(self, target: Target, transport: TransportName) -> tuple[Path | None, str]:
        """The path over AF_XDP, or None for the socket, and why."""
        if transport == "socket":
            return None, "socket was asked for"
        if self.xdp is None:
            if transport == "xdp":
                raise UsageError("transport='xdp' needs interface=NAME")
            return None, "no interface was named; name one (interface=…) to use AF_XDP"
        try:
            if self.attachment is None:
                self.attachment = Attachment(self.engine, self.xdp, target.address)
            path = self.attachment.path(target.address, target.port)
        except SetupError as error:
            if transport == "xdp":
                raise
            return None, f"AF_XDP cannot be had: {error}"
        steering = self.attachment.steering
        reason = f"AF_XDP on {self.xdp.interface}, {steering.mode} mode" + (f" ({steering.reason})" if steering.reason
                                                                           else "")
        return path, reason

    def _cfg(self, target: Target, path: Path | None, user: int, keep: list[Any]) -> Any:
        def string(value: str) -> Any:
            if not value:
                return ffi.NULL
            keep.append(ffi.new("char[]", value.encode()))
            return keep[-1]

        local = path.local if path else target.local_address
        fields: dict[str, Any] = {
            "transport": lib.XW_TRANSPORT_XDP if path else lib.XW_TRANSPORT_SOCKET, "tcp_no_delay":
            int(target.no_delay), "local_port": path.local_port if path else target.local_port, "remote_port":
            target.port, "local_ip": int(local) if local else 0, "remote_ip": int(target.address),
            "tls": target.tls.handle if target.tls else ffi.NULL, "server_name": string(target.server_name),
            "open_timeout_ns": int(target.open_timeout_s * 1e9), "close_timeout_ns": int(target.close_timeout_s * 1e9),
            "user": user}
        if target.adopt is not None:
            fields |= {"adopt": 1, "adopt_fd": target.adopt.fd, "ws_server": int(target.adopt.server)}
        if target.ws is not None:
            fields |= {"proto": lib.XW_PROTO_WS, "check_utf8": int(target.ws.check_utf8),
                       "ws_request": string(target.ws.resource), "ws_host": string(target.ws.host),
                       "ws_headers": string(target.ws.headers), "max_message": target.ws.max_message,
                       "ws_subprotocols": string(", ".join(target.ws.subprotocols))}
            if target.ws.deflate is not None:
                fields |= _deflate_fields(target.ws.deflate, target.adopt is not None and target.adopt.server)
        cfg = ffi.new("struct xw_conn_cfg *", fields)
        keep.append(cfg)
        return cfg

    def step(self, spin_ns: int = 0) -> int:
        """One poll of the engine and its events, and the host's news now and then; returns the number of events.

        spin_ns: how long to spin when there is nothing.
        """
        count = self.loop.step(spin_ns)
        if self.attachment is not None and (now := time.monotonic_ns()) >= self._service_at:
            self._service_at = now + _SERVICE_NS
            self.service()
        return count

    def run(self, busy: bool, until_ns: int) -> None:
        """Step in C (see `Loop.run`) until until_ns at most, or until the host's news were looked at."""
        if self.attachment is None:
            self.loop.run(busy, until_ns)
            return
        if not busy and not self._watching and self.attachment.watch_fd >= 0:
            self.engine.watch(self.attachment.watch_fd, True)
            self._watching = True
        due = self._service_at if busy else time.monotonic_ns() + _SERVICE_WAITING_NS
        if self.loop.run(busy, min(until_ns, due)) or time.monotonic_ns() >= due:
            self._service_at = time.monotonic_ns() + _SERVICE_NS
            self.service()

    def service(self) -> None:
        """Paths of ended connections, and what the attachment has to do."""
        ended = [user for user in self._paths if not self.loop.has(user)]
        for user in ended:
            path = self._paths.pop(user)
            if self.attachment is not None:
                self.attachment.end(path)
        if self.attachment is not None:
            self.attachment.service()

    def wait(self, timeout_s: float | None) -> None:
        """Block until there is something to do, at most timeout_s (None: as long as it takes)."""
        if self.attachment is None:
            self.engine.wait(timeout_s)
            return
        fds = (self.attachment.watch_fd,) if self.attachment.watch_fd >= 0 else ()
        if self.engine.wait(1.0 if timeout_s is None else min(timeout_s, 1.0), fds):
            self._service_at = 0  # news of the host; else service keeps its own pace

    def close(self) -> None:
        """Take the program off the interface, abort what is open, free everything. May be called again.

        UsageError from another thread than the owner, as long as that is alive.
        """
        if not self.engine.closed:
            self.engine.adopt()
        self.loop.close()
        attachment, self.attachment = self.attachment, None
        if attachment is not None:
            attachment.close()
        self.engine.close()
        if attachment is not None:
            attachment.close_recording()
