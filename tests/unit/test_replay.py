"""`xdpws replay`: captures through the real path, made here by scapy, or recorded ones where they are."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from xdpws.cli.replay import replay
from xdpws.digest import FeedDigest
from xdpws.errors import SetupError
from xdpws.replay.capture import read_capture
from xdpws.replay.flows import flows, parse, rebuilt
from xdpws.replay.run import Data, Replay
from xdpws.replay.secrets import KeyLog

PCAPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "pcaps"
recorded = pytest.mark.skipif(not PCAPS.is_dir(), reason=f"{PCAPS} is not there")
REQUEST = b"GET /feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
ANSWER = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n")


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A server's WebSocket frame."""
    head = bytes([0x80 | opcode, len(payload)]) if len(payload) < 126 else (
        bytes([0x80 | opcode, 126]) + len(payload).to_bytes(2, "big"))
    return head + payload


class Conversation:
    """A TCP connection as scapy packets. Sequence numbers begin just below 2**32."""

    def __init__(self, client: str = "10.1.1.2", server: str = "10.1.1.1") -> None:
        self.packets: list[Any] = []
        self.ends = {"c": (client, 40000), "s": (server, 8080)}
        self.next = {"c": 0xFFFFFF00, "s": 0xFFFFFFF0}

    def put(self, side: str, payload: bytes = b"", flags: str = "A", *, at: int = 0, keep: bool = True) -> Any:
        """One segment of a side; at: offset from what it would send next. keep False: made, and not in the capture."""
        other = "s" if side == "c" else "c"
        (source, sport), (target, dport) = self.ends[side], self.ends[other]
        ack = 0 if flags == "S" else self.next[other]
        packet = Ether(src="02:00:00:00:00:aa", dst="02:00:00:00:00:bb") / IP(src=source, dst=target) / TCP(
            sport=sport, dport=dport, seq=(self.next[side] + at) & 0xFFFFFFFF, ack=ack, flags=flags,
            window=60000) / payload
        packet.time = 1_700_000_000 + len(self.packets) / 1000
        if not at:
            self.next[side] = (self.next[side] + len(payload) + ("S" in flags) + ("F" in flags)) & 0xFFFFFFFF
        if keep:
            self.packets.append(packet)
        return packet

    def open(self) -> Conversation:
        """Three-way handshake, upgrade."""
        self.put("c", flags="S")
        self.put("s", flags="SA")
        self.put("c")
        self.put("c", REQUEST, "PA")
        self.put("s", ANSWER, "PA")
        return self

    def save(self, path: Path) -> Path:
        """As pcap; scapy computes the checksums."""
        wrpcap(str(path), self.packets)
        return path


def run(path: Path, keylog: str = "", **options: Any) -> tuple[list[Any], list[Data]]:
    """Results and what was delivered."""
    data: list[Data] = []
    found, _ = flows(read_capture(path).frames)
    return [Replay(flow, KeyLog(keylog), data.append, **options).run() for flow in found], data


def test_messages_of_a_plain_feed(tmp_path: Path) -> None:
    talk = Conversation().open()
    texts = [f'{{"n":{i}}}'.encode() + b"x" * (i % 700) for i in range(300)]
    for number, text in enumerate(texts):
        talk.put("s", frame(text), "PA")
        if number % 7 == 0:
            talk.put("c")
        if number % 50 == 0:
            talk.put("c", b"\x81\x80\0\0\0\0", "PA")
    talk.put("s", frame(b"\x03\xe8", 8), "PA")
    talk.put("s", flags="FA")
    talk.put("c", flags="FA")
    talk.put("s")
    (result,), data = run(talk.save(tmp_path / "feed.pcap"))
    assert result.trouble == ""
    assert [d.payload for d in data if d.kind == "text"] == texts
    digest = FeedDigest()
    for text in texts:
        digest.update(text)
    assert (result.messages, result.rx_sha256) == (300, digest.hexdigest())
    assert result.kind == "ws"
    assert data[-1].kind == "close"
    assert result.cost_ns > 0
    assert result.stages is not None
    assert result.stages.stages["parse"].count == 300
    assert result.drops.get("tcp_checksum", 0) == 0


def test_reordered_and_repeated_segments_come_out_in_order(tmp_path: Path) -> None:
    talk = Conversation().open()
    first, second, third = (frame(name * 50) for name in (b"a", b"b", b"c"))
    a = talk.put("s", first, "PA", keep=False)
    talk.put("s", second, "PA")
    talk.put("s", third, "PA")
    talk.packets.append(a)
    talk.packets.append(a.copy())
    (result,), data = run(talk.save(tmp_path / "reordered.pcap"))
    assert [d.payload[:1] for d in data] == [b"a", b"b", b"c"]
    assert result.info["ooo_segs"] == 2
    assert result.info["dup_segs"] == 1


def test_a_hole_in_the_capture_is_told_by_what_does_not_come(tmp_path: Path) -> None:
    talk = Conversation().open()
    talk.put("s", frame(b"a" * 50), "PA")
    talk.put("s", frame(b"b" * 50), "PA", keep=False)
    talk.put("s", frame(b"c" * 50), "PA")
    (result,), data = run(talk.save(tmp_path / "hole.pcap"))
    assert [d.payload[:1] for d in data] == [b"a"]
    assert result.messages == 1


def test_wrong_checksums_are_mended_or_counted(tmp_path: Path) -> None:
    talk = Conversation().open()
    packet = talk.put("s", frame(b"hello"), "PA")
    packet[TCP].chksum = 0x1234
    path = talk.save(tmp_path / "offloaded.pcap")
    (mended,), data = run(path)
    assert [d.payload for d in data] == [b"hello"]
    assert mended.messages == 1
    (strict,), data = run(path, checksums=False)
    assert data == []
    assert strict.drops == {"tcp_checksum": 1}


def test_two_ends_on_one_host(tmp_path: Path) -> None:
    talk = Conversation("127.0.0.1", "127.0.0.1").open()
    talk.put("s", frame(b"hello"), "PA")
    (result,), data = run(talk.save(tmp_path / "loopback.pcap"))
    assert [d.payload for d in data] == [b"hello"]
    assert "127.0.0.1:40000 → 127.0.0.1:8080" in result.name


def test_rebuilt_frames_are_what_scapy_makes() -> None:
    talk = Conversation().open()
    packet = talk.put("s", frame(b"odd length"), "PA")
    raw = bytes(Ether(bytes(packet)))
    segment = parse(type("F", (), {"ns": 0, "data": memoryview(raw + b"\0" * 6)})())  # padded to the minimum
    assert segment is not None
    ours = rebuilt(segment, segment.source[0], segment.target[0], True)
    assert ours[14:] == raw[14:]


def test_the_command(tmp_path: Path) -> None:
    talk = Conversation().open()
    talk.put("s", frame(b"hello"), "PA")
    path = str(talk.save(tmp_path / "one.pcap"))
    shown = CliRunner().invoke(replay, [path], standalone_mode=False)
    assert "text        5 hello" in shown.stdout
    assert "ns a frame" in shown.stdout
    said = json.loads(CliRunner().invoke(replay, [path, "--json"], standalone_mode=False).stdout)
    (connection,) = said["connections"]
    assert (connection["kind"], connection["messages"], connection["trouble"]) == ("ws", 1, "")
    assert connection["ns_per_frame"] > 0
    nothing = tmp_path / "nothing.pcap"
    wrpcap(str(nothing), [Ether() / IP() / TCP(flags="A")])
    with pytest.raises(SetupError, match="none of its 1 frames"):
        CliRunner().invoke(replay, [str(nothing)], standalone_mode=False, catch_exceptions=False)
    nothing.write_bytes(b"no capture")
    with pytest.raises(SetupError, match="neither pcap nor pcapng"):
        CliRunner().invoke(replay, [str(nothing)], standalone_mode=False, catch_exceptions=False)


def test_the_captures_pace_is_kept(tmp_path: Path) -> None:
    talk = Conversation().open()
    for _ in range(100):
        talk.put("s", frame(b"x"), "PA")
    path = talk.save(tmp_path / "paced.pcap")
    import time
    begin = time.monotonic()
    (result,), _ = run(path, speed="capture")
    assert result.messages == 100
    assert time.monotonic() - begin >= 0.1


@recorded
@pytest.mark.parametrize(("name", "kind", "payloads"), [
    ("ws_zeek_reply-ping-coalesced", "ws", [b"Hello there!"]),
    ("ws_zeek_two-binary-fragments", "ws", [b"Hello there!"]),
    ("ws_zeek_websocket_compressed", "ws", [b"Zeek_WebSocket_Test_String_" * 50]),
    ("ws_suricata_ping", "ws", [b'"who"']),
    ("tls13_illustrated", "tls", [b"pong"]),
    ("tls_snet_tls1.3_keyupdates_aes256", "tls", [b"hello\n", b"keyupdate\n", b"hello\n", b"bye\n"]),
])
def test_recorded_captures(name: str, kind: str, payloads: list[bytes]) -> None:
    keylog = PCAPS / f"{name}.keylog"
    results, data = run(PCAPS / f"{name}.pcap", keylog.read_text() if keylog.exists() else "")
    assert results[0].kind == kind
    assert [d.payload for d in data if d.kind in ("text", "binary", "data") and d.flow is data[0].flow] == payloads


@recorded
def test_every_capture_with_keys_is_opened_and_those_without_say_so() -> None:
    opened = 0
    for path in sorted(PCAPS.glob("tls*.pcap")):
        keylog = path.with_suffix(".keylog")
        if keylog.exists():
            results, _ = run(path, keylog.read_text())
            for result in results:
                assert result.info.get("tls_version") in (12, 13), path.name
                opened += 1
        else:
            results, _ = run(path)
            assert all(r.trouble == "its secrets are not in the key log" for r in results), path.name
    assert opened >= 9


@recorded
def test_a_large_download_over_tls12_comes_whole() -> None:
    name = "tls12_zeek_stream_keylog"
    (result,), data = run(PCAPS / f"{name}.pcap", (PCAPS / f"{name}.keylog").read_text())
    assert result.payload == sum(len(d.payload) for d in data)
    assert result.payload > 140_000
    assert data[0].payload.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not result.drops.get("tcp_checksum")


@recorded
def test_a_wrong_key_log_is_told() -> None:
    wrong = (PCAPS / "tls13_illustrated.keylog").read_text()
    words = [line.split() for line in wrong.splitlines() if line and not line.startswith("#")]
    flipped = "\n".join(f"{a} {b} {c[:-2]}{'00' if c[-2:] != '00' else '01'}" for a, b, c in words)
    (result,), data = run(PCAPS / "tls13_illustrated.pcap", flipped)
    assert result.trouble == "no record opens with the secrets of the key log"
    assert data == []
