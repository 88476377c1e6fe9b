"""Starting points for the fuzz targets `wire`, `net` and `tcp`: from recorded captures if there are, else generated.

    make fuzz-seeds          XDPWS_TCP_PCAPS, default ../shared/data/tcp_pcaps; writes build/fuzz/corpus/*, nothing else

`wire`: each distinct frame behind its selector. `net`: an operation that receives the IP packet. `tcp`: what the sender
of a connection did, as operations whose numbers are relative to what its receiver expects (see fuzz_tcp.c).
"""
from __future__ import annotations

import hashlib
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PCAPS = Path(os.environ.get("XDPWS_TCP_PCAPS", ROOT.parent / "shared" / "data" / "tcp_pcaps"))
CORPUS = ROOT / "build" / "fuzz" / "corpus"
PER_FILE = 200


def frames(path: Path) -> Iterator[bytes]:
    """The Ethernet frames of a classic pcap file; none of another link type or format."""
    data = path.read_bytes()
    magic = data[:4]
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<"}.get(magic)
    if order is None or len(data) < 24 or struct.unpack(order + "I", data[20:24])[0] != 1:
        return
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def generated() -> Iterator[bytes]:
    """A connection's frames when nobody recorded any."""
    ports, eth = struct.pack(">HH", 443, 4000), bytes(12) + b"\x08\x00"
    seq = 1000
    for flags, opts, size in ((0x12, b"\x02\x04\x05\xb4\x04\x02\x08\x0a" + bytes(8), 0), (0x10, b"", 100),
                              (0x18, b"", 1000), (0x10, b"\x01\x01\x05\x0a" + bytes(8), 0), (0x11, b"", 10),
                              (0x04, b"", 0)):
        offset = (20 + len(opts)) // 4 << 4
        tcp = ports + struct.pack(">IIBBHHH", seq, 1, offset, flags, 1024, 0, 0) + opts + bytes(size)
        ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0, 0x0a000001, 0x0a000002)
        seq += size + (flags & 3 != 0)
        yield eth + ip + tcp
    yield b"\xff" * 6 + bytes(6) + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(20)


def keep(target: str, data: bytes) -> None:
    """One file of the corpus, named by its content as libFuzzer does."""
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def tcp_operations(packets: list[bytes]) -> bytes:
    """Settings with all options, then a segment for each packet of the first sender, and a read after it."""
    kinds = {0x10: 0, 0x18: 1, 0x11: 2, 0x19: 2, 0x04: 3, 0x14: 3, 0x02: 4, 0x12: 5}
    out, expected, source = b"\x4e\x0f", None, None
    for packet in packets:
        header = 14 + (packet[14] & 15) * 4
        if packet[12:14] != b"\x08\x00" or len(packet) < header + 20 or packet[23] != 6:
            continue
        seq, flags = struct.unpack(">I", packet[header + 4:header + 8])[0], packet[header + 13]
        size = max(0, struct.unpack(">H", packet[16:18])[0] - (header - 14) - (packet[header + 12] >> 4) * 4)
        if flags & 2 or source not in (None, packet[26:30]):
            continue
        source = packet[26:30]
        expected = seq if expected is None else expected
        away = max(-250, min(250, seq - expected))
        out += struct.pack(">Bhh", 1 | kinds.get(flags & 0x17, 0) << 1, away * 128, 0)
        out += bytes((min(size // 5, 239), packet[header + 14], 0)) + b"\x02\x30"
        if seq == expected:
            expected += size
    return out


def main() -> int:
    files = sorted(PCAPS.rglob("*.pcap"))
    sources = [list(frames(path))[:PER_FILE] for path in files] or [list(generated())]
    for packets in sources:
        for packet in packets:
            keep("wire", b"\x00" + packet[:1600])
            if packet[12:14] == b"\x08\x00":
                keep("net", b"\x00" + bytes((2 | 5 << 2, len(packet[14:254]))) + packet[14:254])
        keep("tcp", tcp_operations(packets)[:2000])
    print(f"seeds from {len(files)} captures" if files else f"no captures in {PCAPS}: generated seeds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
