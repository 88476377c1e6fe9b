"""TCP connections in a capture: who is the client, what each side sent, and how far the client was at each frame."""
from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from xdpws.replay.capture import Frame

_SYN, _FIN, _RST, _ACK = 2, 1, 4, 16
_IPV4 = 0x0800
_VLANS = (0x8100, 0x88A8, 0x9100)
_MAC_CLIENT, _MAC_SERVER = b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x01"
End = tuple[int, int]
"""Address and port."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment in a frame; packet: from the IP header on, without padding."""

    ns: int
    source: End
    target: End
    sequence: int
    acknowledged: int
    flags: int
    payload: memoryview
    packet: memoryview


def parse(frame: Frame) -> Segment | None:
    """None when it is no whole unfragmented TCP segment over IPv4."""
    data, at = frame.data, 12
    if len(data) < 14:
        return None
    kind = int.from_bytes(data[12:14], "big")
    while kind in _VLANS and len(data) >= at + 6:
        at += 4
        kind = int.from_bytes(data[at:at + 2], "big")
    packet = data[at + 2:]
    if kind != _IPV4 or len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != 6:
        return None
    head, total, fragment = 4 * (packet[0] & 15), int.from_bytes(packet[2:4], "big"), packet[6] & 0x3F or packet[7]
    total = total or len(packet)  # a super-frame that the sender's card was to cut
    if head < 20 or fragment or not head + 20 <= total <= len(packet):
        return None
    sport, dport, sequence, acknowledged, offset, flags = struct.unpack_from(">HHIIBB", packet, head)
    offset = 4 * (offset >> 4)
    if offset < 20 or head + offset > total:
        return None
    source, target = struct.unpack_from(">II", packet, 12)
    return Segment(frame.ns, (source, sport), (target, dport), sequence, acknowledged, flags,
                   packet[head + offset:total], packet[:total])


class Stream:
    """What one side sent, put together by sequence number; what the capture lacks is zeros."""

    def __init__(self, isn: int) -> None:
        self.data = bytearray()
        self._first = isn + 1

    def position(self, sequence: int) -> int:
        """Octets before `sequence`, which is taken as near the end of what is known."""
        return len(self.data) + ((sequence - self._first - len(self.data) + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)

    def put(self, sequence: int, payload: memoryview) -> None:
        """A segment's payload; what lies before the stream's begin is left out."""
        at = self.position(sequence)
        if at < 0 or at > len(self.data) + (1 << 26):
            return
        end = at + len(payload)
        if end > len(self.data):
            self.data.extend(bytes(end - len(self.data)))
        self.data[at:end] = payload


@dataclass(frozen=True, slots=True)
class Played:
    """A frame of the server. sent: octets that the client had sent by then. fin: and its FIN."""

    segment: Segment
    sent: int
    fin: bool


@dataclass(slots=True)
class Flow:
    """A connection that the capture has from its SYN on."""

    client: End
    server: End
    isn: int
    sent: Stream
    received: Stream | None = None
    frames: list[Played] = field(default_factory=list)
    _fin_at: int | None = None
    _reached: int = 0

    @property
    def name(self) -> str:
        """client → server, for people."""
        return f"{IPv4Address(self.client[0])}:{self.client[1]} → {IPv4Address(self.server[0])}:{self.server[1]}"

    def add(self, segment: Segment) -> None:
        """One more segment of either side."""
        if segment.source == self.client:
            self._from_client(segment)
        else:
            self._from_server(segment)

    def _from_client(self, s: Segment) -> None:
        if s.flags & _SYN:
            return
        self.sent.put(s.sequence, s.payload)
        end = self.sent.position(s.sequence) + len(s.payload)
        if s.flags & _FIN:
            self._fin_at = end
        self._reached = max(self._reached, end)

    def _from_server(self, s: Segment) -> None:
        if s.flags & _SYN:
            self.received = self.received or Stream(s.sequence)
        elif self.received is not None:
            self.received.put(s.sequence, s.payload)
        acknowledged = self.sent.position(s.acknowledged) if s.flags & _ACK else 0
        fin = self._fin_at is not None and self._reached >= self._fin_at
        self.frames.append(Played(s, max(self._reached, acknowledged - (acknowledged > len(self.sent.data))), fin))


def flows(frames: Sequence[Frame]) -> tuple[list[Flow], int]:
    """The connections with their SYN in the capture and an answer to it; and how many frames belong to none."""
    found: list[Flow] = []
    current: dict[tuple[End, End], Flow] = {}
    others = 0
    for frame in frames:
        segment = parse(frame)
        if segment is None:
            others += 1
            continue
        key = (segment.source, segment.target)
        if segment.flags & (_SYN | _ACK) == _SYN:
            known = current.get(key)
            if known is None or known.isn != segment.sequence:
                current[key] = Flow(segment.source, segment.target, segment.sequence, Stream(segment.sequence))
                found.append(current[key])
            continue
        flow = current.get(key) or current.get((segment.target, segment.source))
        if flow is None:
            others += 1
            continue
        flow.add(segment)
    return [flow for flow in found if flow.received is not None], others


def _sum(data: bytes) -> int:
    """One's complement sum of 16-bit words (RFC 1071)."""
    padded = data + b"\0" * (len(data) & 1)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def rebuilt(segment: Segment, server: int, client: int, checksums: bool) -> bytes:
    """The frame of a server's segment between our two MACs and these addresses; checksums: computed anew."""
    packet = bytearray(segment.packet)
    head = 4 * (packet[0] & 15)
    packet[2:4] = min(len(packet), 0xFFFF).to_bytes(2, "big")
    packet[12:20] = struct.pack(">II", server, client)
    if checksums:
        packet[10:12] = b"\0\0"
        packet[10:12] = (~_sum(bytes(packet[:head])) & 0xFFFF).to_bytes(2, "big")
        packet[head + 16:head + 18] = b"\0\0"
        pseudo = bytes(packet[12:20]) + struct.pack(">BBH", 0, 6, len(packet) - head)
        packet[head + 16:head + 18] = (~_sum(pseudo + bytes(packet[head:])) & 0xFFFF).to_bytes(2, "big")
    return _MAC_CLIENT + _MAC_SERVER + _IPV4.to_bytes(2, "big") + bytes(packet)


CLIENT_MAC, SERVER_MAC = _MAC_CLIENT, _MAC_SERVER
