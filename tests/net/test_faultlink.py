"""The faulty wire does exactly what its counters say, and at rate 0 nothing at all."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bpfobj import compile_bpf
from faultlink import DIRECTIONS, Counts, Direction, FaultLink, Faults, needs_faultlink

pytestmark = needs_faultlink

ETH_P_IP = 0x0800
PAYLOAD_LEN = 64
SO_RCVBUFFORCE = 33  # <asm-generic/socket.h>


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Lane:
    """Numbered UDP packets through the wire in one direction, by packet sockets: what enters and what comes out."""

    def __init__(self, link: FaultLink, direction: Direction) -> None:
        source, sink = ("srv", "cli") if direction == "to_client" else ("cli", "srv")
        self.link, self.direction = link, direction
        names = {"srv": link.srv_if, "cli": link.cli_if}
        self.addresses = {"srv": link.srv_ip, "cli": link.cli_ip}
        self.source, self.sink = source, sink
        with link.entered(source):
            self.tx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: sends only
            self.tx.bind((names[source], 0))
        with link.entered(sink):
            self.rx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
            self.rx.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            self.rx.bind((names[sink], ETH_P_IP))
        self.eth = bytes.fromhex((link.mac(sink) + link.mac(source)).replace(":", "")) + struct.pack(">H", ETH_P_IP)

    def frame(self, number: int, length: int = PAYLOAD_LEN) -> bytes:
        payload = struct.pack(">I", number) + bytes((number * 7 + i) % 256 for i in range(length - 4))
        src, dst = (socket.inet_aton(self.addresses[side]) for side in (self.source, self.sink))
        udp = struct.pack(">HHHH", 4000, 5000, 8 + length, 0)
        pseudo = src + dst + struct.pack(">BBH", 0, 17, 8 + length)
        udp = udp[:6] + struct.pack(">H", checksum(pseudo + udp + payload) or 0xFFFF)
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + length, 0, 0x4000, 64, 17, 0, src, dst)
        header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
        return self.eth + header + udp + payload

    def run(self, cnt: int, lengths: tuple[int, ...] = (PAYLOAD_LEN,)) -> list[bytes]:
        """Send cnt packets, return the frames that came out, in order, once the wire has counted all that went in."""
        out: list[bytes] = []
        before = self.link.counts(self.direction)
        for number in range(cnt):
            self.tx.send(self.frame(number, lengths[number % len(lengths)]))
            if number % 64 == 63:
                out += self.drain()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            out += self.drain()
            counts = self.link.counts(self.direction)
            if counts.seen - before.seen == cnt and len(out) >= came_out(counts) - came_out(before):
                return out
            select.select([self.rx], [], [], 0.05)
        raise AssertionError(f"{len(out)} came out: {counts}")

    def drain(self) -> list[bytes]:
        out = []
        while True:
            try:
                out.append(self.rx.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return out

    def close(self) -> None:
        self.tx.close()
        self.rx.close()


def came_out(counts: Counts) -> int:
    return counts.seen - counts.lost + counts.duplicated - counts.held - counts.failed


def number_of(frame: bytes) -> int:
    return int(struct.unpack_from(">I", frame, 42)[0])


def intact(frame: bytes) -> bool:
    """Whether the checksums of IP and UDP say so."""
    ip = frame[14:]
    if ip[0] != 0x45 or checksum(ip[:20]) or len(ip) != int.from_bytes(ip[2:4], "big"):
        return False
    return checksum(ip[12:20] + struct.pack(">BBH", 0, 17, len(ip) - 20) + ip[20:]) == 0


@pytest.fixture(params=["to_client", "to_server"])
def direction(request: pytest.FixtureRequest) -> Direction:
    chosen: Direction = request.param
    return chosen


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    """Keep the sending thread on one processor: from two, frames could overtake each other before the wire."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


def one_way(direction: Direction, faults: Faults) -> FaultLink:
    return FaultLink(to_client=faults) if direction == "to_client" else FaultLink(to_server=faults)


def test_rate_zero_passes_everything_in_order(direction: Direction) -> None:
    with FaultLink() as link:
        lane = Lane(link, direction)
        sent = [lane.frame(n, (18, 64, 700, 1472)[n % 4]) for n in range(3000)]
        assert lane.run(3000, (18, 64, 700, 1472)) == sent
        assert link.counts(direction) == Counts(3000, 0, 0, 0, 0, 0, link.counts(direction).other, 0)
        lane.close()


def test_loss_is_counted_exactly(direction: Direction) -> None:
    with one_way(direction, Faults(loss=0.2)) as link:
        lane = Lane(link, direction)
        numbers = [number_of(frame) for frame in lane.run(3000)]
        counts = link.counts(direction)
        assert counts.lost == 3000 - len(numbers)
        assert 450 < counts.lost < 750  # 600 ± 6.8 standard deviations
        assert numbers == sorted(set(numbers))
        other: Direction = "to_server" if direction == "to_client" else "to_client"
        assert link.counts(other).lost == 0
        lane.close()


def test_duplication_is_counted_exactly(direction: Direction) -> None:
    with one_way(direction, Faults(dup=0.2)) as link:
        lane = Lane(link, direction)
        numbers = [number_of(frame) for frame in lane.run(3000)]
        counts = link.counts(direction)
        assert len(numbers) == 3000 + counts.duplicated
        assert 450 < counts.duplicated < 750
        assert numbers == sorted(numbers)
        assert sorted(set(numbers)) == list(range(3000))
        assert max(collections.Counter(numbers).values()) == 2
        lane.close()


def test_corruption_is_counted_exactly_and_always_shows(direction: Direction) -> None:
    with one_way(direction, Faults(corrupt=0.2)) as link:
        lane = Lane(link, direction)
        frames = lane.run(3000, (18, 65, 700, 1472))
        counts = link.counts(direction)
        sent = [lane.frame(n, (18, 65, 700, 1472)[n % 4]) for n in range(3000)]
        assert len(frames) == 3000
        changed = [(a, b) for a, b in zip(sent, frames, strict=True) if a != b]
        assert len(changed) == counts.corrupted
        assert 450 < counts.corrupted < 750
        for before, after in changed:
            assert before[:14] == after[:14]
            assert sum((x ^ y).bit_count() for x, y in zip(before, after, strict=True)) == 1
            assert intact(before)
            assert not intact(after)
        lane.close()


def test_reordering_is_counted_exactly_and_harms_nothing(direction: Direction) -> None:
    with one_way(direction, Faults(reorder=0.2)) as link:
        lane = Lane(link, direction)
        lengths = (18, 1472, 64, 700)  # the held frame and its successor differ in length
        frames = lane.run(3000, lengths)
        counts = link.counts(direction)
        assert len(frames) == 3000 - counts.held
        sent = [lane.frame(n, lengths[n % 4]) for n in range(3000)]
        numbers = [number_of(frame) for frame in frames]
        assert all(frame == sent[number] for number, frame in zip(numbers, frames, strict=True))
        assert len(set(numbers)) == len(numbers)
        swaps = sum(a == b + 1 for a, b in itertools.pairwise(numbers))
        assert swaps == counts.reordered
        assert counts.reordered > 300
        assert all(abs(number - place) <= 1 for place, number in enumerate(numbers))
        lane.close()


def test_all_together_and_changed_on_the_way(direction: Direction) -> None:
    with FaultLink() as link:
        lane = Lane(link, direction)
        assert len(lane.run(100)) == 100
        link.set(both=Faults(loss=0.1, dup=0.1, reorder=0.1, corrupt=0.1))
        got = sum(len(lane.run(600)) for _ in range(5))
        counts = link.counts(direction)
        assert 100 + got == came_out(counts)
        assert min(counts.lost, counts.duplicated, counts.reordered, counts.corrupted) > 100
        assert counts.failed == 0
        link.set(both=Faults())
        frames = lane.run(100)
        assert len(frames) == 100 + counts.held  # the one that was still held came out
        assert link.counts(direction).held == 0
        lane.close()


def test_ping_and_arp_pass() -> None:
    with FaultLink(queues=2, mtu=1400) as link:
        done = link.exec("cli", "ping", "-c5", "-i0.01", "-W2", link.srv_ip)
        assert " 0% packet loss" in done.stdout
        for direction in DIRECTIONS:
            counts = link.counts(direction)
            assert counts.seen == 5
            assert counts.other >= 1  # ARP
            assert counts.lost == counts.corrupted == 0


XDP_PASS = """#include <linux/bpf.h>
__attribute__((section("xdp"), used)) int pass(struct xdp_md *ctx) { (void)ctx; return XDP_PASS; }
char _license[] __attribute__((section("license"), used)) = "GPL";
"""


@pytest.mark.parametrize("queues", [1, 3])
def test_native_xdp_can_sit_at_either_end(queues: int, tmp_path: Path) -> None:
    source = tmp_path / "pass.bpf.c"
    source.write_text(XDP_PASS)
    program = compile_bpf(source)
    with FaultLink(queues=queues) as link:
        for side, device in (("srv", link.srv_if), ("cli", link.cli_if)):
            link.exec(side, "ip", "link", "set", "dev", device, "xdpdrv", "obj", program, "sec", "xdp")
            assert "prog/xdp id" in link.exec(side, "ip", "link", "show", "dev", device).stdout
        assert " 0% packet loss" in link.exec("cli", "ping", "-c5", "-i0.01", "-W2", link.srv_ip).stdout


def test_tcp_of_the_kernel_survives_everything() -> None:
    """4 MB each way between two kernels: complete, and the wire has done its worst."""
    data = os.urandom(1 << 20) * 4
    with FaultLink(both=Faults(loss=0.01, dup=0.01, reorder=0.01, corrupt=0.01)) as link:
        with link.entered("srv"):
            listener = socket.create_server((link.srv_ip, 7000))

        def serve() -> None:
            conn, _ = listener.accept()
            with conn:
                received = hashlib.sha256()
                left = len(data)
                while left:
                    chunk = conn.recv(min(65536, left))
                    received.update(chunk)
                    left -= len(chunk)
                conn.sendall(received.digest() + data)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        with link.entered("cli"):
            client = socket.create_connection((link.srv_ip, 7000), timeout=60)
        with client, listener:
            client.sendall(data)
            answer = bytearray()
            while len(answer) < 32 + len(data):
                chunk = client.recv(1 << 20)
                assert chunk
                answer += chunk
            assert answer[:32] == hashlib.sha256(data).digest()
            assert answer[32:] == data
        server.join(10)
        for direction in DIRECTIONS:
            counts = link.counts(direction)
            assert counts.seen > 3000
            assert min(counts.lost, counts.duplicated, counts.reordered, counts.corrupted) > 3, counts
            assert counts.failed == 0


def test_nothing_is_left_behind() -> None:
    link = FaultLink()
    with link:
        assert os.path.exists(link.netns("mid"))
    for side in ("srv", "mid", "cli"):
        assert not os.path.exists(link.netns(side))
    broken = FaultLink(mtu=99999)
    with pytest.raises(RuntimeError, match="ip link add"):
        broken.up()
    for side in ("srv", "mid", "cli"):
        assert not os.path.exists(broken.netns(side))


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_rates_are_probabilities(value: float) -> None:
    for field in dataclasses.fields(Faults):
        with pytest.raises(ValueError, match=field.name):
            Faults(**{field.name: value})
