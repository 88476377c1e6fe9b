"""Bulk transfers between our TCP and other stacks over one faulty wire: equal octets, goodput beside kernel to kernel.

    make interop                                    # 1 GiB at 0 %, shorter under faults; a table and build/interop.json
    make interop INTEROP="--size 100M --rates 0,0.01"

Each row is one direction over one setting of the wire: kernel to kernel, ours as the client (AF_XDP, active open), ours
as the server (the stack in a box on a packet socket, passive open), lwIP in the place of Linux. Linux sends with the
congestion control named, since under loss that is what is compared: BBR, where the host has it as its default, does not
slow down for loss and is shown beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE / "peers")]

import bulk  # noqa: E402
from faultlink import FaultLink, Faults  # noqa: E402

from xdpws.stack import Stream  # noqa: E402

PORT = 7000
KINDS = ("loss", "dup", "reorder", "corrupt")
LWIP = ROOT / "build" / "lwip_peer"
TCP_CAT = ROOT / "build" / "tcp_cat"
Result = tuple[int, float, str]  # octets, seconds, hash


@dataclass(slots=True)
class Row:
    faults: str
    rate: float
    pair: str      # who with whom
    way: str       # "receive" or "send": what ours (in kernel to kernel: the client) does
    octets: int
    mbit: float
    ratio: float   # to kernel to kernel; 0: none to compare with
    equal: bool


def faults(kind: str, rate: float) -> Faults:
    return Faults(**{k: rate for k in KINDS if kind in (k, "all")})


# ---- ends ----------------------------------------------------------------------------------------------------------


@contextmanager
def server(link: FaultLink, argv: list[str]) -> Iterator[None]:
    """A peer that says "ready" when it can be asked."""
    p = link.popen("srv", *argv, stdout=subprocess.PIPE)
    assert p.stdout is not None
    try:
        assert p.stdout.readline().strip() == b"ready", f"{argv} did not start"
        yield
    finally:
        p.kill()
        p.wait()


def kernel_server(cc: str) -> list[str]:
    return [sys.executable, str(HERE / "peers" / "bulk.py"), "serve", str(PORT), cc]


def lwip_server(link: FaultLink) -> list[str]:
    return [str(LWIP), link.srv_if, lwip_ip(link), "255.255.255.0", "serve", str(PORT)]


def lwip_ip(link: FaultLink) -> str:
    return link.srv_ip.rsplit(".", 1)[0] + ".66"


def box_ip(link: FaultLink) -> str:
    return link.cli_ip.rsplit(".", 1)[0] + ".77"


def said(output: str | bytes) -> Result:
    words = (output.decode() if isinstance(output, bytes) else output).split()
    return int(words[0]), float(words[1]), words[2]


def by_kernel(link: FaultLink, way: str, size: int, cc: str) -> Result:
    what = "get" if way == "receive" else "put"
    argv = [sys.executable, str(HERE / "peers" / "bulk.py"), what, link.srv_ip, str(PORT), str(size), cc]
    return said(link.exec("cli", *argv).stdout)


def by_stream(link: FaultLink, way: str, size: int, host: str) -> Result:
    """Ours over AF_XDP, as the client."""
    with link.entered("cli"):
        s = Stream.connect(host, PORT, transport="xdp", interface=link.cli_if, timeout=60)
    try:
        begin = time.monotonic()
        if way == "receive":
            s.send_all(f"GET {size}\n".encode())
            digest, count, buffer = bulk.new_digest(), 0, bytearray(1 << 20)
            view = memoryview(buffer)
            while n := s.recv_into(buffer, 120):
                digest.update(view[:n])
                count += n
            return count, time.monotonic() - begin, digest.hexdigest()
        s.send_all(b"PUT\n")
        left = size
        while left:
            piece = memoryview(bulk.BLOCK)[:min(left, len(bulk.BLOCK))]
            s.send_all(piece, 120)
            left -= len(piece)
        s.shutdown_write()
        answer = b""
        while piece := s.recv(timeout=120):
            answer += piece
        return int(answer.split()[0]), time.monotonic() - begin, answer.split()[1].decode()
    finally:
        s.close()


def by_box(link: FaultLink, way: str, size: int, client: list[str]) -> Result:
    """Ours as the server: tcp_cat listens, the peer connects and is served from here through its pipes."""
    cat = link.popen("cli", str(TCP_CAT), "packet", link.cli_if, f"{box_ip(link)}/24", "listen", str(PORT),
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert cat.stdin is not None
    assert cat.stdout is not None
    peer = link.popen("srv", *client, stdout=subprocess.PIPE)
    assert peer.stdout is not None
    try:
        word = cat.stdout.readline().split()
        digest, count = bulk.new_digest(), 0
        if word[0] == b"GET":
            bulk.write_pattern(cat.stdin.write, size)
        else:
            while count < size and (piece := cat.stdout.read(min(1 << 16, size - count))):
                digest.update(piece)
                count += len(piece)
            cat.stdin.write(f"{count} {digest.hexdigest()}\n".encode())
        cat.stdin.close()
        return said(peer.stdout.read())
    finally:
        for p in (peer, cat):
            p.kill()
            p.wait()


def kernel_client(link: FaultLink, way: str, size: int, cc: str) -> list[str]:
    """way is that of ours: the peer does the other."""
    what = "put" if way == "receive" else "get"
    return [sys.executable, str(HERE / "peers" / "bulk.py"), what, box_ip(link), str(PORT), str(size), cc]


def lwip_client(link: FaultLink, way: str, size: int) -> list[str]:
    what = "put" if way == "receive" else "get"
    return [str(LWIP), link.srv_if, lwip_ip(link), "255.255.255.0", what, box_ip(link), str(PORT), str(size)]


# ---- rows ----------------------------------------------------------------------------------------------------------


def measured(kind: str, rate: float, pair: str, way: str, size: int, result: Result, base: float) -> Row:
    count, seconds, digest = result
    mbit = size * 8 / seconds / 1e6
    return Row(kind if rate else "none", rate, pair, way, count, round(mbit, 1), round(mbit / base, 2) if base else 0.0,
               count == size and digest == bulk.digest_of(size))


def rows(link: FaultLink, kind: str, rate: float, way: str, size: int, cc: str, pairs: set[str]) -> Iterator[Row]:
    with server(link, kernel_server(cc)):
        got = by_kernel(link, way, size, cc)
        base = size * 8 / got[1] / 1e6
        yield measured(kind, rate, f"kernel/kernel {cc}", way, size, got, 0.0)
        if "xdp" in pairs:
            yield measured(kind, rate, "xdp/kernel", way, size, by_stream(link, way, size, link.srv_ip), base)
    if "bbr" in pairs:
        with server(link, kernel_server("bbr")):
            yield measured(kind, rate, "kernel/kernel bbr", way, size, by_kernel(link, way, size, "bbr"), base)
    if "box" in pairs:
        got = by_box(link, way, size, kernel_client(link, way, size, cc))
        yield measured(kind, rate, "box(passive)/kernel", way, size, got, base)
    if "lwip" in pairs:
        with server(link, lwip_server(link)):
            yield measured(kind, rate, "xdp/lwip", way, size, by_stream(link, way, size, lwip_ip(link)), base)
        got = by_box(link, way, size, lwip_client(link, way, size))
        yield measured(kind, rate, "box(passive)/lwip", way, size, got, base)


def octets(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(float(text[:-1]) * units[text[-1]]) if text[-1] in units else int(text)


def show(r: Row) -> str:
    ratio = f"{r.ratio:6.2f}" if r.ratio else "      "
    return (f"{r.faults:8}{r.rate:6.2%}  {r.pair:22}{r.way:8}{r.octets / 1e6:10.1f} MB{r.mbit:10.1f} Mbit/s{ratio}  "
            f"{'equal' if r.equal else 'DIFFERS'}")


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", type=octets, default=1 << 30, help="without faults (1G)")
    p.add_argument("--fault-size", type=octets, default=20 << 20, help="at 1 %%; a quarter of it above (20M)")
    p.add_argument("--rates", default="0,0.01,0.05")
    p.add_argument("--kinds", default="loss,dup,reorder,corrupt,all")
    p.add_argument("--ways", default="receive,send")
    p.add_argument("--pairs", default="xdp,box,lwip,bbr")
    p.add_argument("--cc", default="cubic", help="the kernel's congestion control")
    p.add_argument("--json", type=Path, default=ROOT / "build" / "interop.json")
    a = p.parse_args()
    out: list[Row] = []
    for rate in map(float, a.rates.split(",")):
        for kind in a.kinds.split(",") if rate else ["none"]:
            with FaultLink(both=faults(kind, rate)) as link:
                for way in a.ways.split(","):
                    size = a.size if not rate else a.fault_size if rate <= 0.01 else a.fault_size // 4
                    for r in rows(link, kind, rate, way, size, a.cc, set(a.pairs.split(","))):
                        out.append(r)
                        print(show(r), flush=True)
    a.json.parent.mkdir(exist_ok=True)
    a.json.write_text(json.dumps([asdict(r) for r in out], indent=1))
    print(f"{sum(r.equal for r in out)} of {len(out)} transfers equal; {a.json}")
    return 0 if all(r.equal for r in out) else 1


if __name__ == "__main__":
    sys.exit(main())
