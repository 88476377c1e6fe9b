"""Runs one script against the stack in a box, on a virtual clock.

Between two events the clock goes from deadline to deadline of the stack, so that timers fire when they are due to the
nanosecond; packets that come out wait, with their time, for the event that expects them. An expected packet that is
longer than a segment may be met by several that together are it (kernels show such bursts as one).
"""

from __future__ import annotations

import re
import textwrap
from collections import deque
from dataclasses import dataclass, field, replace

import pkt_wire as wire
from pkt_calls import BLOCKED, Calls, Pending, Unsupported, Wrong
from pkt_errno import NAMES, address, errno_name, errno_of
from pkt_profile import Profile, choose
from pkt_stack import Stack
from pkt_syntax import ANY, Call, Code, Event, Icmp, Packet, Script, Shell, Tcp, read

MASK = 0xffffffff
START = 3600 * 1_000_000_000      # the clock when a script begins: no time of 0
REMOTE_SHIFT = 0xffff8000         # the peer's sequence numbers: 32 KiB before they wrap
LATE = 130 * 1_000_000_000        # how long after its time a packet is still looked for, to say when it came


@dataclass(slots=True)
class Setup:
    tolerance_ns: int = 4_000_000
    strict_end: bool = False       # a packet that nothing expected is a failure, also at the end
    ignore_push: bool = False
    ignore_win: bool = False
    any_host: bool = False         # sizes that the host decides (SO_RCVBUF) are not looked at
    any_order: bool = False        # options may come in any order, NOPs do not count
    defines: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Link:
    """How the script's numbers are those on the wire, for the connection that it speaks of."""

    local_port: int
    remote_port: int
    local_shift: int | None = None
    remote_shift: int = REMOTE_SHIFT
    ts_shift: int | None = None
    ts_seen: dict[int, int] = field(default_factory=dict)
    known: bool = False  # its ports are those of packets that were seen

    def out_seq(self, n: int) -> int:
        return (n - (self.local_shift or 0)) & MASK

    def live_seq(self, n: int) -> int:
        return (n + (self.local_shift or 0)) & MASK


class Run:
    def __init__(self, script: Script, profile: Profile, setup: Setup) -> None:
        o = script.options
        self.script, self.profile, self.setup = script, profile, setup
        self.tolerance = int(o["tolerance_usecs"]) * 1000 if "tolerance_usecs" in o else setup.tolerance_ns
        self.local_ip = address(o.get("local_ip", "192.168.0.1"))
        self.remote_ip = address(o.get("remote_ip", "192.0.2.1"))
        self.tick_ns = int(o.get("tcp_ts_tick_usecs", "0") or 0) * 1000
        self.now = START
        self.at = START  # the time of the last event, as the script has it
        self.port = port = int(o.get("bind_port", "8080"))
        settings = {"ip": self.local_ip, "mask": address(o.get("netmask_ip", "255.255.0.0")),
                    "mtu": int(o.get("mtu", "1500")), "max_sockets": 16, **profile.stack}
        self.stack = Stack(settings, self.now)
        self.calls = Calls(self.stack, lambda: self.now, profile.sockets,
                           {"local_ip": self.local_ip, "remote_ip": self.remote_ip, "port": port}, setup.any_host)
        self.out: deque[tuple[int, wire.Segment]] = deque()
        self.link = Link(port, 40000)
        self.next_port = 40000
        self.earlier: set[tuple[int, int]] = set()
        self.pending: Pending | None = None
        self.pending_by: tuple[int, int] | None = None  # when it has to end: from, to

    # ---- the clock --------------------------------------------------------------------------------------------------

    def pull(self) -> None:
        while True:
            raw = self.stack.output(self.now)
            if not raw:
                break
            seg = wire.tcp_unpack(raw)
            if seg and self.of_the_link(seg):
                self.out.append((self.now, seg))
        self.go_on()

    def of_the_link(self, seg: wire.Segment) -> bool:
        """Packets of earlier connections do not count, as in packetdrill."""
        ports = seg.src[1], seg.dst[1]
        if self.link.known:
            return ports == (self.link.local_port, self.link.remote_port)
        return ports not in self.earlier

    def go_on(self) -> None:
        """Tries the call that blocks once more."""
        p = self.pending
        if p is None:
            return
        rc = p.resume()
        if rc is BLOCKED:
            return
        self.pending = None
        if self.pending_by and not self.pending_by[0] <= self.now <= self.pending_by[1]:
            raise Wrong(f"{p.call.name} ended at {self.show(self.now)}, not {self.show(self.pending_by[0])}"
                        f" … {self.show(self.pending_by[1])}")
        self.result(p.call, rc)
        self.pull()

    def advance(self, to: int, until_packet: bool = False) -> None:
        while not (until_packet and self.out):
            due = self.stack.deadline()
            if due > to:
                break
            self.now = max(self.now, due)
            self.stack.tick(self.now)
            self.pull()
        if not (until_packet and self.out):
            self.now = max(self.now, to)
            self.stack.tick(self.now)
            self.pull()

    def show(self, t: int) -> str:
        return f"{(t - START) / 1e9:.6f}"

    # ---- packets ----------------------------------------------------------------------------------------------------

    def inbound(self, body: Tcp | Icmp) -> None:
        if isinstance(body, Icmp):
            self.inbound_icmp(body)
            return
        link, flags = self.link, wire.flag_bits(body.flags)
        if flags & 2 and not flags & 16 and link.local_shift is None:
            self.next_port += 1
            link.remote_port = self.next_port
            link.known = True
        ack = 0 if body.ack is None else link.live_seq(body.ack) if flags & 16 or body.ack else 0
        seg = wire.Segment((self.remote_ip, link.remote_port), (self.local_ip, link.local_port),
                           (body.seq + link.remote_shift) & MASK, ack, flags, body.win or 0, body.urg or 0,
                           [self.option_in(o) for o in body.options or []],
                           wire.pattern(max(body.seq - 1, 0), body.length), wire.ECN[body.ecn])
        self.stack.input(wire.tcp_pack(seg), self.now)
        self.pull()

    def option_in(self, o: tuple) -> tuple:
        match o:
            case ("TS", val, ecr):
                shift = self.link.ts_shift or 0
                return ("TS", val, self.link.ts_seen.get(ecr, ecr + shift if ecr else 0))
            case ("sack", *blocks):
                return ("sack", *((self.link.live_seq(a), self.link.live_seq(b)) for a, b in blocks))
        return o

    def inbound_icmp(self, body: Icmp) -> None:
        if (body.kind, body.code) not in wire.ICMP_CODES:
            raise Unsupported(f"icmp {body.kind} {body.code}")
        kind, code = wire.ICMP_CODES[body.kind, body.code]
        link = self.link
        quoted = wire.Segment((self.local_ip, link.local_port), (self.remote_ip, link.remote_port),
                              link.live_seq(body.seq or 0), 0, 16, 0, data=bytes(body.length))
        packet = wire.tcp_pack(quoted)[:28]
        self.stack.input(wire.icmp_pack(self.remote_ip, self.local_ip, kind, code, body.mtu, packet), self.now)
        self.pull()

    def outbound(self, event: Event, body: Tcp, lo: int, hi: int | None) -> None:
        self.advance(max(self.now, lo), until_packet=True)
        if not self.out:
            self.advance(hi if hi is not None else self.now + LATE, until_packet=True)
        late = False
        if not self.out and hi is not None:
            late = True
            self.advance(hi + LATE, until_packet=True)
        if not self.out:
            raise Wrong("nothing was sent")
        t, seg = self.out.popleft()
        self.learn(body, seg)
        if late or t < lo or (hi is not None and t > hi):
            raise Wrong(f"sent at {self.show(t)}: {self.text(seg)}")
        seg = self.gather(body, seg)
        self.compare(body, seg)
        if event.when.kind == "any":
            self.at = t

    def learn(self, body: Tcp, seg: wire.Segment) -> None:
        """The stack's own numbers, from its SYN."""
        link = self.link
        if seg.flags & 2:
            link.local_shift = (seg.seq - body.seq) & MASK
            link.local_port = seg.src[1]
            link.remote_port = seg.dst[1]
            link.known = True
        for want, got in zip(body.options or [], seg.options, strict=False):
            if want[0] == got[0] == "TS":
                if link.ts_shift is None:
                    link.ts_shift = (got[1] - want[1]) & MASK
                link.ts_seen.setdefault(want[1], got[1])

    def gather(self, body: Tcp, seg: wire.Segment) -> wire.Segment:
        """Segments that follow each other at once, up to the length that is expected. A burst has the PSH that the
        script wants: Linux sets it on each one that segmentation offload cuts."""
        first = seg
        while len(seg.data) < body.length and self.out:
            t, more = self.out[0]
            plain = more.flags & ~9 == seg.flags & ~9 and more.ack == seg.ack and not seg.flags & 1
            follows = more.seq == (seg.seq + len(seg.data)) & MASK and more.options == seg.options
            if t != self.now or not plain or not follows or len(seg.data) + len(more.data) > body.length:
                break
            self.out.popleft()
            seg = replace(seg, data=seg.data + more.data, flags=seg.flags | more.flags, win=more.win)
        return seg if seg is first else replace(seg, flags=seg.flags & ~8 | wire.flag_bits(body.flags) & 8)

    def compare(self, body: Tcp, seg: wire.Segment) -> None:
        link = self.link
        want_flags = wire.flag_bits(body.flags)
        loose = 8 if self.setup.ignore_push else 0
        # a reset for no connection has numbers of its own: 0, or what the peer acknowledged
        seq = seg.seq if seg.flags & 4 and seg.seq == 0 else link.out_seq(seg.seq)
        ack = (seg.ack - link.remote_shift) & MASK if seg.flags & 16 else seg.ack
        win = seg.win if body.win is None or self.setup.ignore_win else body.win
        wrong = [want_flags & ~loose != seg.flags & ~loose, seq != body.seq & MASK, len(seg.data) != body.length,
                 (body.ack or 0) & MASK != ack, win != seg.win,
                 body.urg is not None and body.urg != seg.urg,
                 body.options is not None and not self.options_same(body.options, seg),
                 body.ttl is not None and seg.ttl != body.ttl,
                 body.ecn is not None and seg.tos & 3 != wire.ECN[body.ecn]]
        if any(wrong):
            raise Wrong(f"sent: {self.text(seg)}")
        if seg.data and seg.data != wire.pattern(body.seq - 1, len(seg.data)):
            raise Wrong("the octets sent are not those that were written")

    def options_same(self, want: list[tuple], seg: wire.Segment) -> bool:
        got = [self.option_out(o) for o in seg.options]
        if self.setup.any_order:
            want = sorted(o for o in want if o[0] not in ("nop", "eol"))
            got = sorted(o for o in got if o[0] not in ("nop", "eol"))
        if len(want) != len(got):
            return False
        return all(self.option_same(a, b) for a, b in zip(want, got, strict=True))

    def option_out(self, o: tuple) -> tuple:
        if o[0] == "sack":
            return ("sack", *(((a - self.link.remote_shift) & MASK, (b - self.link.remote_shift) & MASK)
                              for a, b in o[1:]))
        return ("TS", (o[1] - (self.link.ts_shift or 0)) & MASK, o[2]) if o[0] == "TS" else o

    def option_same(self, want: tuple, got: tuple) -> bool:
        if want[0] != "TS" or got[0] != "TS":
            return want == got
        if want[2] != got[2]:
            return False
        slack = self.tolerance // self.tick_ns + 1 if self.tick_ns else None
        return slack is None or abs(want[1] - got[1]) <= slack

    def text(self, seg: wire.Segment) -> str:
        link = self.link
        seq = seg.seq if seg.flags & 4 and seg.seq == 0 else link.out_seq(seg.seq)
        out = f"{wire.flag_text(seg.flags)} {seq}:{seq + len(seg.data)}({len(seg.data)})"
        if seg.flags & 16:
            out += f" ack {(seg.ack - link.remote_shift) & MASK}"
        out += f" win {seg.win}"
        names = []
        for o in (self.option_out(x) for x in seg.options):
            match o:
                case ("TS", val, ecr):
                    names.append(f"TS val {val} ecr {ecr}")
                case ("sack", *blocks):
                    names.append("sack " + " ".join(f"{a}:{b}" for a, b in blocks))
                case _:
                    names.append(" ".join(map(str, o)))
        return f"{out} <{','.join(names)}>" if names else out

    # ---- calls and code ---------------------------------------------------------------------------------------------

    def call(self, event: Event, call: Call, start: int) -> None:
        if self.pending:
            raise Wrong(f"{self.pending.call.name} still blocks")
        if call.name == "socket":
            if self.link.known:
                if self.setup.strict_end and self.out:
                    raise Wrong(f"before it was sent also: {self.text(self.out[0][1])}")
                self.earlier.add((self.link.local_port, self.link.remote_port))
                self.out.clear()
            self.link = Link(self.port, self.link.remote_port)
        self.pending = self.calls.start(call)
        end = event.when.to_ns if event.when.end else None
        tol = self.tolerance
        if end is not None:
            end_at = start + end if event.when.kind == "rel" else START + end
            if event.when.kind == "rel":
                end_at = self.base + end
            self.pending_by = end_at - tol, end_at + tol
        else:
            self.pending_by = None
        self.pull()
        if self.pending and end is None and call.name != "poll":
            raise Wrong(f"{call.name} blocks")
        if self.pending and end is None:
            self.advance(self.now + self.calls.num(call.args[2]) * 1_000_000)

    def result(self, call: Call, rc: object) -> None:
        want = call.result
        if want is ANY:
            return
        expected = -errno_of(call.errno) if call.errno else want if isinstance(want, int) else self.calls.num(want)
        if rc != expected:
            name = f"-1 {errno_name(rc)}" if isinstance(rc, int) and rc < 0 else str(rc)
            raise Wrong(f"{call.name} returned {name}")

    def code(self, text: str) -> None:
        f = self.calls.last
        info = self.stack.info(f.fd) if f else None
        names: dict[str, object] = dict(NAMES)
        if info is not None:
            names |= tcp_info(info, self.now)
        try:
            exec(compile(textwrap.dedent(text.strip("\n")).strip(), "script", "exec"), names)
        except AssertionError as e:
            raise Wrong(f"assertion: {e}") from None
        except NameError as e:
            raise Unsupported(str(e)) from None

    # ---- the whole --------------------------------------------------------------------------------------------------

    def event(self, e: Event) -> None:
        w = e.when
        self.base = self.at
        start = self.at + w.ns if w.kind == "rel" else START + w.ns
        if w.kind != "any":
            self.at = start
        hi = start
        if w.to_ns is not None and not w.end:
            hi = self.base + w.to_ns if w.kind == "rel" else START + w.to_ns
        match e.what:
            case Packet(inbound=False, body=Tcp() as body):
                if w.kind == "any":
                    self.outbound(e, body, 0, None)
                else:
                    self.outbound(e, body, start - self.tolerance, hi + self.tolerance)
            case Packet(inbound=True, body=body):
                self.advance(start)
                self.inbound(body)
            case Call() as call:
                self.advance(start)
                self.call(e, call, start)
            case Code(text):
                self.advance(start)
                self.code(text)
            case Shell():
                if w.ns:
                    self.advance(start)
            case _:
                raise Unsupported("an outbound packet that is not TCP")

    def run(self) -> None:
        for e in self.script.events:
            try:
                self.event(e)
            except Wrong as why:
                raise Wrong(f"line {e.line}: {e.text.strip()}\n    {why}") from None
            except Unsupported as why:
                raise Unsupported(f"line {e.line}: {why}") from None
        if self.pending and self.pending_by:
            self.advance(self.pending_by[1])
        if self.pending:
            raise Wrong(f"{self.pending.call.name} never ended")
        if self.setup.strict_end and self.out:
            raise Wrong(f"at the end was sent also: {self.text(self.out[0][1])}")


def tcp_info(i: object, now: int) -> dict[str, int]:
    """TCP_INFO of Linux as far as xw_stack_info tells it."""
    mss = max(i.mss, 1)  # type: ignore[attr-defined]
    up = lambda n: (n + mss - 1) // mss  # noqa: E731
    g = lambda n: int(getattr(i, n))  # noqa: E731
    return {
        "tcpi_state": g("state"), "tcpi_ca_state": g("ca_state"), "tcpi_snd_mss": mss,
        "tcpi_snd_cwnd": g("cwnd") // mss,
        "tcpi_snd_ssthresh": 2147483647 if g("ssthresh") >= 1 << 30 else g("ssthresh") // mss,
        "tcpi_unacked": up(g("in_flight")), "tcpi_sacked": up(g("sacked")), "tcpi_lost": up(g("lost")),
        "tcpi_rtt": g("srtt_ns") // 1000, "tcpi_rttvar": g("rttvar_ns") // 1000, "tcpi_rto": g("rto_ns") // 1000,
        "tcpi_min_rtt": g("min_rtt_ns") // 1000, "tcpi_pmtu": g("path_mtu"), "tcpi_backoff": g("backoff"),
        "tcpi_retransmits": g("retries"), "tcpi_total_retrans": g("retransmits"), "tcpi_probes": g("retries"),
        "tcpi_snd_wscale": g("snd_wscale"), "tcpi_rcv_wscale": g("rcv_wscale"),
        "tcpi_options": g("timestamps") | g("sack") << 1 | g("wscale") << 2,
        "tcpi_bytes_received": g("bytes_in"), "tcpi_bytes_acked": g("bytes_out") - g("in_flight"),
        "tcpi_segs_in": g("segs_in"), "tcpi_segs_out": g("segs_out"),
    }


def run_text(text: str, setup: Setup | None = None) -> None:
    """Runs a script; Wrong, Unsupported or SyntaxTrouble say what is the matter."""
    setup = setup or Setup()
    version = re.search(r"--ip_version=(\S+)", text)
    if version and version[1] == "ipv6":
        raise Unsupported("IPv6")
    Run(read(text, setup.defines), choose(text), setup).run()
