"""A faulty wire between a server and a client: a namespace in the middle that loses, damages, doubles and reorders.

    with FaultLink(both=Faults(loss=0.01)) as link:
        link.exec("cli", "ping", "-c100", link.srv_ip)
        print(link.counts("to_client"))

    P-srv [P-v0] ==== [P-w0] P-mid [P-w1] ==== [P-v1] P-cli

It has the face of ``Topology`` (sides, names, addresses), so that a test can run on either. The faults happen in
``faultlink.bpf.c``; what its counters say is exact. ``missing()`` says what is not there.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import bpfobj
import pytest
import topology
from topology import Namespaces, entered, interface_mac, unique_prefix, unique_subnet

Direction = Literal["to_client", "to_server"]
DIRECTIONS: tuple[Direction, Direction] = ("to_client", "to_server")

SOURCE = Path(__file__).with_name("faultlink.bpf.c")


def missing() -> str:
    """Say why a faulty wire cannot be had here; the empty string when it can."""
    return topology.missing() or bpfobj.missing()


needs_faultlink = pytest.mark.skipif(missing() != "", reason=missing() or "the faulty wire works")


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to IPv4 frames of one direction: probabilities from 0 to 1, to the millionth."""

    loss: float = 0
    dup: float = 0
    reorder: float = 0  # the frame is held and sent after the next one
    corrupt: float = 0  # one bit of the IP packet is inverted

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        for name in ("loss", "dup", "reorder", "corrupt"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is not between 0 and 1")


@dataclass(frozen=True, slots=True)
class Counts:
    """Exact counts of one direction: frames that came out = seen - lost + duplicated - held - failed (+ other)."""

    seen: int        # IPv4 frames that entered the wire
    lost: int
    duplicated: int
    reordered: int   # held frames that were sent after their successor
    corrupted: int
    held: int        # 1 while a frame waits for its successor
    other: int       # frames that are not IPv4: passed on, never harmed
    failed: int      # held frames that could not be rebuilt; 0 unless the kernel is out of memory


class _Rates(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("out_ifindex", "loss", "dup", "reorder", "corrupt"))


class _Counts(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in
                     ("seen", "lost", "duplicated", "reordered", "corrupted", "held", "other", "failed"))


class FaultLink(Namespaces):
    """Server, wire and client namespaces; faults can be changed while traffic flows."""

    def __init__(self, prefix: str | None = None, subnet: str | None = None, *, queues: int = 1, mtu: int = 1500,
                 both: Faults | None = None, to_client: Faults | None = None, to_server: Faults | None = None) -> None:
        """Name the topology; nothing is made before ``up`` or ``with``.

        queues: of the server's and the client's interface. both: faults of either direction unless given by itself.
        """
        self.prefix = prefix or unique_prefix()
        subnet = subnet or unique_subnet()
        self.srv_ns, self.mid_ns, self.cli_ns = (f"{self.prefix}-{side}" for side in ("srv", "mid", "cli"))
        self.srv_if, self.cli_if = f"{self.prefix}-v0", f"{self.prefix}-v1"
        self.srv_ip, self.cli_ip = f"{subnet}.1", f"{subnet}.2"
        super().__init__({"srv": self.srv_ns, "mid": self.mid_ns, "cli": self.cli_ns})
        self._ends = (f"{self.prefix}-w0", f"{self.prefix}-w1")  # of the wire: the server's, the client's
        self._queues, self._mtu = queues, mtu
        self._faults = {"to_client": to_client or both or Faults(), "to_server": to_server or both or Faults()}
        self._index = (0, 0)
        self._object: bpfobj.BpfObject | None = None

    def up(self) -> None:
        """Make it; what was made is removed again when that fails."""
        try:
            self._make_namespaces()
            self._make_wire()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Remove it. Processes that still run in the namespaces lose their interfaces and keep running."""
        if self._object:
            self._object.close()
            self._object = None
        for name in (self.mid_ns, self.srv_ns, self.cli_ns):
            if not os.path.exists(f"/run/netns/{name}"):
                continue
            for device in self._devices(name):  # a namespace with processes in it outlives its name
                subprocess.run(["ip", "-n", name, "link", "delete", "dev", device], capture_output=True)
            subprocess.run(["ip", "netns", "delete", name], check=True)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.down()

    def set(self, *, both: Faults | None = None, to_client: Faults | None = None,
            to_server: Faults | None = None) -> None:
        """Change the faults of one direction or of both; a direction that is not named keeps its own."""
        for direction, faults in (("to_client", to_client or both), ("to_server", to_server or both)):
            if faults is not None:
                self._faults[direction] = faults
        self._write_rates()

    def counts(self, direction: Direction) -> Counts:
        """Return what has happened in one direction since ``up``."""
        assert self._object is not None, "the link is not up"
        raw = self._object.read("counts", DIRECTIONS.index(direction), _Counts)
        return Counts(**{field.name: getattr(raw, field.name) for field in dataclasses.fields(Counts)})

    def mac(self, side: str) -> str:
        """Return the MAC address of the server's or the client's interface, ``aa:bb:cc:dd:ee:ff``."""
        with entered(self.netns(side)):
            return interface_mac(self.srv_if if side == "srv" else self.cli_if)

    def _devices(self, namespace: str) -> tuple[str, ...]:
        return {self.srv_ns: (self.srv_if,), self.cli_ns: (self.cli_if,), self.mid_ns: self._ends}[namespace]

    def _make_namespaces(self) -> None:
        for name in (self.srv_ns, self.mid_ns, self.cli_ns):
            _run("ip", "netns", "add", name)
            with entered(f"/run/netns/{name}"):
                _no_ipv6()
        for name, device, end, address in ((self.srv_ns, self.srv_if, self._ends[0], self.srv_ip),
                                           (self.cli_ns, self.cli_if, self._ends[1], self.cli_ip)):
            # as many on both ends: native XDP wants no more transmit queues at the peer than it has receive queues
            queues = ("numrxqueues", str(self._queues), "numtxqueues", str(self._queues))
            _run("ip", "link", "add", "name", device, "mtu", str(self._mtu), *queues, "netns", name, "type", "veth",
                 "peer", "name", end, "mtu", str(self._mtu), *queues, "netns", self.mid_ns)
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
        for name in (self.srv_ns, self.cli_ns, self.mid_ns):
            for device in self._devices(name):
                _run("ip", "netns", "exec", name, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off",
                     "tx", "off", "rx", "off")
            for device in ("lo", *self._devices(name)):
                _run("ip", "-n", name, "link", "set", "dev", device, "up")

    def _make_wire(self) -> None:
        self._object = bpfobj.BpfObject(bpfobj.compile_bpf(SOURCE))
        with entered(self.netns("mid")):
            at_server, at_client = (socket.if_nametoindex(end) for end in self._ends)
            self._index = (at_client, at_server)  # where each direction leaves the wire
            self._write_rates()
            self._object.attach_ingress("to_client", at_server)
            self._object.attach_ingress("to_server", at_client)
        # one processor a direction: frames cannot overtake each other when a sender moves between processors
        for number, end in enumerate(self._ends):
            mask = f"{1 << number % (os.cpu_count() or 1):x}"
            files = f"/sys/class/net/{end}/queues/rx-*/rps_cpus"
            _run("ip", "netns", "exec", self.mid_ns, "sh", "-c", f"for f in {files}; do echo {mask} > $f; done")

    def _write_rates(self) -> None:
        assert self._object is not None, "the link is not up"
        for number, direction in enumerate(DIRECTIONS):
            faults = self._faults[direction]
            ppm = [round(rate * 1_000_000) for rate in (faults.loss, faults.dup, faults.reorder, faults.corrupt)]
            self._object.write("rates", number, _Rates(self._index[number], *ppm))


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _no_ipv6() -> None:
    """Switch IPv6 off in the calling thread's namespace: its own traffic would disturb exact counts."""
    for which in ("all", "default"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
