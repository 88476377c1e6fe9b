"""One captured connection through an engine: the server's frames into the packet seam, the client's octets out of our
TCP.

The client's side becomes a connection of ours with the same addresses, ports and initial sequence number. Before a
frame of the server is played, our TCP has sent what the captured client had sent by then, so that its acknowledgements
fit. TLS opens the records with the key log's secrets, by our own record layer; WebSocket takes the answer to a request
that was not its own. What these layers write themselves goes nowhere.
"""
from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from xdpws._ffi import check, ffi, lib, text
from xdpws.config import EngineConfig, TlsOptions
from xdpws.digest import FeedDigest
from xdpws.replay.flows import CLIENT_MAC, SERVER_MAC, Flow, Played, rebuilt
from xdpws.replay.secrets import Hello, KeyLog, is_tls, read_hello
from xdpws.stack.connection import LAYERS
from xdpws.stack.engine import Engine, NetConfig
from xdpws.stack.stages import StageReport
from xdpws.stack.tls import TlsContext

_RING = 1 << 22
_BATCH = 64
_BURST = 32       # frames that are waiting at a time, as in a ring (XW_RX_BURST_MAX)
_IDLE_POLLS = 8   # polls without an event before what was played counts as done with
_MTU = 9000
_HELLO_MAX = 1 << 16
_STAND_IN = (int(IPv4Address("10.255.255.2")), int(IPv4Address("10.255.255.1")))  # for two ends with one address


@dataclass(slots=True)
class Result:
    """What came of one connection. kind: "ws", "wss", "tcp" or "tls". cost: ns in xw_poll while its frames were played.

    trouble: why it was not replayed, or how it failed; "" if it did not. closed: the last event's text.
    """

    name: str
    kind: str = ""
    frames: int = 0
    octets: int = 0
    messages: int = 0
    payload: int = 0
    rx_sha256: str = ""
    cost_ns: int = 0
    info: dict[str, int | str] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    stages: StageReport | None = None
    closed: str = ""
    layer: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """What was delivered: a message ("text", "binary"), "ping", "pong", "close", or "data" of a raw stream. ns: of the
    capture's clock, when its last frame was captured (the last of the frames that were played together)."""

    flow: Flow
    kind: str
    payload: bytes
    ns: int


def _capture_of(frames: list[bytes]) -> bytes:
    """A pcap file in memory."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1)]
    for frame in frames:
        parts += [struct.pack("<IIII", 0, 0, len(frame), len(frame)), frame]
    return b"".join(parts)


def _groups(frames: list[Played]) -> list[tuple[int, Played]]:
    """Frames that may be played together, since the client sent nothing between them: (index behind the last, any)."""
    ends = [i + 1 for i in range(len(frames))
            if i + 1 == len(frames) or (frames[i].sent, frames[i].fin) != (frames[i + 1].sent, frames[i + 1].fin)]
    return [(end, frames[end - 1]) for end in ends]


class Replay:
    """One flow; `run` gives the result. speed: "max", or "capture" for the capture's own pace."""

    def __init__(self, flow: Flow, keys: KeyLog, take: Callable[[Data], None], *, speed: str = "max",
                 checksums: bool = True) -> None:
        self.flow = flow
        self._keys = keys
        self._take = take
        self._speed = speed
        self._checksums = checksums
        self._digest = FeedDigest()
        self._result = Result(flow.name)
        self._at_ns = 0
        self._closed = False
        self._opened = False
        self._busy = False
        self._device: Any = None

    def run(self) -> Result:
        """Play it. Never raises for what the capture holds."""
        flow, result = self.flow, self._result
        assert flow.received is not None
        server = bytes(flow.received.data[:_HELLO_MAX])
        tls = is_tls(bytes(flow.sent.data[:16]))
        hello = read_hello(bytes(flow.sent.data[:_HELLO_MAX]), server) if tls else None
        secrets = self._keys.of(hello) if hello else None
        if tls and (hello is None or hello.version == 0):
            result.trouble = "its TLS handshake is not in the capture, or older than TLS 1.2"
        elif tls and secrets is None:
            result.trouble = "its secrets are not in the key log"
        if result.trouble:
            return result
        result.kind = "wss" if tls else "ws"
        if not tls and not server.startswith(b"HTTP/1.1 "):
            result.kind = "tcp"
        self._play(hello, secrets)
        if result.kind != "tcp" and not self._opened:  # no WebSocket: what it was is shown as it is
            self._result = Result(flow.name, "tls" if tls else "tcp")
            self._digest, self._closed = FeedDigest(), False
            self._play(hello, secrets)
        return self._result

    def _play(self, hello: Hello | None, secrets: tuple[bytes, bytes] | None) -> None:
        flow, result = self.flow, self._result
        same = flow.client[0] == flow.server[0] or IPv4Address(flow.client[0]).is_loopback
        client, server = _STAND_IN if same else (flow.client[0], flow.server[0])
        frames = [rebuilt(each.segment, server, client, self._checksums) for each in flow.frames]
        content = _capture_of(frames)
        result.frames, result.octets = len(frames), sum(len(frame) for frame in frames)
        device = ffi.new("struct xw_dev **")
        buffer = ffi.from_buffer(content)
        check(lib.xw_player_device(buffer, len(content), _MTU, device), "play the capture")
        config = EngineConfig(max_conns=1, rcvbuf_len=_RING, sndbuf_len=_RING, plain_len=1 << 20, batch=_BATCH,
                              stamps="histogram")
        with Engine(config, bytes(32), replay_isn=flow.isn) as engine:
            engine.attach(device[0], NetConfig(CLIENT_MAC, IPv4Interface((client, 32)), _MTU))
            engine.route(IPv4Network((server, 32)), None)
            engine.neighbour(IPv4Address(server), SERVER_MAC)
            self._device = device[0]
            keep = self._open(engine, client, server, hello, secrets)
            try:
                self._frames(engine, device[0], keep[0][0])
            finally:
                result.drops = engine.drops()
            reports = engine.stage_reports()
            result.stages = reports[0] if reports else None
        result.messages, result.payload = self._digest.messages, self._digest.payload_bytes
        result.rx_sha256 = self._digest.hexdigest()
        if hello is not None and not result.info.get("tls_version") and not result.trouble:
            result.trouble = "no record opens with the secrets of the key log"

    def _open(self, engine: Engine, client: int, server: int, hello: Hello | None,
              secrets: tuple[bytes, bytes] | None) -> list[Any]:
        ws = self._result.kind in ("ws", "wss")
        keep: list[Any] = [ffi.new("uint32_t *"), ffi.new("char[]", b"replay")]
        fields: dict[str, Any] = {
            "transport": lib.XW_TRANSPORT_XDP, "tcp_no_delay": 1, "local_port": self.flow.client[1],
            "remote_port": self.flow.server[1], "local_ip": client, "remote_ip": server, "user": 1}
        if ws:
            keep.append(ffi.new("char[]", b"/"))
            fields |= {"proto": lib.XW_PROTO_WS, "check_utf8": 1, "ws_request": keep[2], "ws_host": keep[1],
                       "max_message": 1 << 26, "ws_deflate": 1, "ws_client_bits": 1}
        if hello is not None and secrets is not None:
            context = TlsContext(TlsOptions(verify=False, engine="own"))
            raw = ffi.new("struct xw_replay_tls *", {
                "version": hello.version, "secret_len": len(secrets[0]), "suite": hello.suite,
                "client_random": hello.client_random, "server_random": hello.server_random,
                "client_secret": secrets[0], "server_secret": secrets[1]})
            keep += [context, raw]
            fields |= {"tls": context.handle, "replay_tls": raw}
        cfg = ffi.new("struct xw_conn_cfg *", fields)
        check(lib.xw_conn_open(engine.handle, cfg, time.monotonic_ns(), keep[0]), f"replay {self.flow.name}")
        lib.xw_stages_begin(engine.handle, keep[0][0], f"replay of {self.flow.name}".encode())
        return [*keep, cfg]

    # ---- playing

    def _frames(self, engine: Engine, device: Any, ident: int) -> None:
        flow, written = self.flow, 0
        first = flow.frames[0].segment.ns if flow.frames else 0
        began = time.monotonic_ns()
        sent = bytes(flow.sent.data)
        fin_given, played = False, 0
        for end, frame in _groups(flow.frames):
            if self._speed == "capture":
                time.sleep(max(0, began + frame.segment.ns - first - time.monotonic_ns()) / 1e9)
            if not self._closed and (written < frame.sent or (frame.fin and not fin_given)):
                written += self._send(engine, ident, sent[written:frame.sent], frame.fin)
                fin_given = fin_given or frame.fin
            self._at_ns = frame.segment.ns
            for upto in [*range(played + _BURST, end, _BURST), end]:
                lib.xw_player_allow(device, upto)
                self._until_idle(engine, ident)
            played = end
        if not self._closed:
            self._note(engine, ident)

    def _until_idle(self, engine: Engine, ident: int) -> None:
        """Until what may be played was, and nothing comes of it any more."""
        idle = 0
        while idle < _IDLE_POLLS:
            more = self._poll(engine, ident) or lib.xw_player_left_allowed(self._device)
            if not more and self._closed:
                return
            idle = 0 if more else idle + 1

    def _send(self, engine: Engine, ident: int, data: bytes, fin: bool) -> int:
        """The captured client's octets, as far as there is room."""
        done = 0
        for _ in range(_IDLE_POLLS):
            rc = lib.xw_conn_replay(engine.handle, ident, ffi.from_buffer(data[done:]), len(data) - done, int(fin),
                                    time.monotonic_ns())
            if rc < 0:
                return done
            done += int(rc)
            self._poll(engine, ident)
            if done == len(data):
                break
        return done

    def _poll(self, engine: Engine, ident: int) -> int:
        waiting = lib.xw_player_left_allowed(self._device)
        begin = lib.xw_monotonic_ns()
        count: int = lib.xw_poll(engine.handle, begin, engine.events, _BATCH)
        took = lib.xw_monotonic_ns() - begin
        if waiting or count or self._busy:  # the poll behind one that did something sends what follows from it
            self._result.cost_ns += took
        self._busy = bool(waiting or count)
        check(count, "poll the engine")
        for i in range(count):
            self._event(engine, engine.views[i], ident)
        return count

    def _event(self, engine: Engine, event: Any, ident: int) -> None:
        kinds = {lib.XW_EV_PING: "ping", lib.XW_EV_PONG: "pong", lib.XW_EV_CLOSING: "close"}
        payload = bytes(ffi.buffer(event.data, event.len)) if event.len else b""
        if event.type == lib.XW_EV_MESSAGE:
            self._digest.update(payload)
            lib.xw_stages_record(engine.handle, ffi.addressof(event), 1, 0)
            self._take(Data(self.flow, "text" if event.opcode == 1 else "binary", payload, self._at_ns))
        elif event.type == lib.XW_EV_READABLE:
            self._read(engine, ident)
        elif event.type in kinds:
            self._take(Data(self.flow, kinds[event.type], payload, self._at_ns))
        elif event.type == lib.XW_EV_OPEN:
            self._opened = True
            self._note(engine, ident)
        elif event.type == lib.XW_EV_REJECTED:
            pass  # it comes again as data
        elif event.type == lib.XW_EV_CLOSED:
            self._closed = True
            self._result.layer = LAYERS[event.layer]
            self._result.closed = payload.decode("utf-8", "replace")
            if event.error and self._result.layer in ("http", "websocket"):
                self._result.trouble = self._result.closed

    def _read(self, engine: Engine, ident: int) -> None:
        buffer = ffi.new("uint8_t[]", 1 << 16)
        while (n := lib.xw_conn_read(engine.handle, ident, buffer, 1 << 16, ffi.NULL)) > 0:
            payload = bytes(ffi.buffer(buffer, n))
            self._digest.update(payload)
            self._take(Data(self.flow, "data", payload, self._at_ns))

    def _note(self, engine: Engine, ident: int) -> None:
        """Figures of the connection, which are gone when it has ended."""
        out = ffi.new("struct xw_conn_info *")
        if not lib.xw_conn_info(engine.handle, ident, out):
            self._result.info = {"tls_version": out.tls_version, "cipher": text(out.cipher),
                                 "tls_library": text(out.tls_library), "retransmits": out.retransmits,
                                 "ooo_segs": out.ooo_segs, "dup_segs": out.dup_segs, "bytes_in": out.bytes_in}
