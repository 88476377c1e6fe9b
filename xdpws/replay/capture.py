"""`Capture`: the frames of a pcap or pcapng file, and the TLS secrets that a pcapng file brings with it."""
from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from xdpws._ffi import ffi, lib, text
from xdpws.errors import SetupError

# Bytes before the IP header: LINKTYPE_NULL, _RAW (of some systems), _RAW, _LINUX_SLL, _LINUX_SLL2
# (tcpdump.org/linktypes).
_LINK_HEADERS = {0: 4, 12: 0, 101: 0, 113: 16, 276: 20}
_DSB, _TLS_KEY_LOG = 0x0A, 0x544C534B  # draft-ietf-opsawg-pcapng 4.7


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured Ethernet frame; ns: of the capture's clock. Only whole ones are kept."""

    ns: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class Capture:
    """cut: frames that the capture did not keep whole. secrets: text in the format of SSLKEYLOGFILE."""

    frames: tuple[Frame, ...]
    cut: int
    secrets: str


def read_capture(path: Path) -> Capture:
    """Raises SetupError that says what is wrong with the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SetupError(f"read {path}", error.strerror or str(error)) from None
    content = _as_ethernet(content)
    why = ffi.new("const char **")
    buffer = ffi.from_buffer(content)
    count = int(lib.xw_capture_walk(buffer, len(content), ffi.NULL, 0, why))
    if count < 0:
        raise SetupError(f"read {path}", text(why[0]), "tcpdump -w writes what can be replayed")
    records = ffi.new("struct xw_capture_rec[]", max(count, 1))
    lib.xw_capture_walk(buffer, len(content), records, count, why)
    view = memoryview(content)
    frames = tuple(Frame(r.ns, view[r.off:r.off + r.len]) for r in ffi.unpack(records, count) if r.whole)
    return Capture(frames, count - len(frames), _secrets(view))


def _as_ethernet(content: bytes) -> bytes:
    """A pcap file whose link layer only says that IP follows (BSD loopback, raw IP, Linux cooked), with Ethernet
    headers made of zeros; any other file as it is."""
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">",
             b"\xa1\xb2\x3c\x4d": ">"}.get(content[:4])
    if order is None or len(content) < 24:
        return content
    head = _LINK_HEADERS.get(struct.unpack_from(order + "I", content, 20)[0] & 0x0FFFFFFF)
    if head is None:
        return content
    parts, at = [content[:20], struct.pack(order + "I", 1)], 24
    while at + 16 <= len(content):
        seconds, fraction, kept, length = struct.unpack_from(order + "IIII", content, at)
        data = content[at + 16 + head:at + 16 + kept]
        kind = b"\x08\0" if data[:1] and data[0] >> 4 == 4 else b"\x86\xdd"
        record = struct.pack(order + "IIII", seconds, fraction, len(data) + 14, length - head + 14)
        parts += [record, bytes(12), kind, data]
        at += 16 + kept
    return b"".join(parts)


def _secrets(content: memoryview) -> str:
    """Of all decryption secrets blocks; the file is well formed, xw_capture_walk has looked."""
    found, at, order = [], 0, "<"
    if bytes(content[:4]) != b"\n\r\r\n":
        return ""
    while at < len(content):
        if bytes(content[at:at + 4]) == b"\n\r\r\n":
            order = "<" if bytes(content[at + 8:at + 12]) == b"\x4d\x3c\x2b\x1a" else ">"
        kind, length = struct.unpack_from(order + "II", content, at)
        if kind == _DSB and length >= 20:
            secret, size = struct.unpack_from(order + "II", content, at + 8)
            if secret == _TLS_KEY_LOG:
                found.append(bytes(content[at + 16:at + 16 + min(size, length - 20)]).decode("ascii", "replace"))
        at += length
    return "\n".join(found)
