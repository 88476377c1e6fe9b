"""The program on a real interface (veth, bridge): modes and their reasons, who else is there, and how it leaves."""
from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import packets as p
import pytest
from harness import Meta, xsk
from links import interface, send
from minixsk import MiniXsk
from pyroute2 import IPRoute

from xdpws._enums import Err
from xdpws._ffi import ffi, lib
from xdpws.control.loader import make_loader
from xdpws.control.occupant import holders, occupant
from xdpws.control.steering import Steering
from xdpws.errors import SetupError, UsageError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="attaching needs root")

CHILD = """
import sys
from xdpws.control.steering import Steering
s = Steering.attach(sys.argv[1], loader=sys.argv[2])
print(s.mode, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def veth() -> Iterator[tuple[str, str]]:
    """A veth pair: (where we attach, the peer)."""
    with interface("veth") as pair:
        yield pair


def wait_for(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Until the condition holds; fails after that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come"
        time.sleep(0.002)


def number(name: str) -> int:
    """Of an interface."""
    with open(f"/sys/class/net/{name}/ifindex") as file:
        return int(file.read())


@pytest.mark.parametrize("loader", ["libbpf", "bcc"])
@pytest.mark.parametrize("mode", ["native", "generic"])
def test_modes(veth: tuple[str, str], mode: Any, loader: str) -> None:
    with Steering.attach(veth[0], mode, loader, nic_time="off") as steering:
        assert (steering.mode, steering.reason, steering.loader_name) == (mode, "", loader)
        assert (steering.nic_time, steering.nic_time_reason) == (False, "")
        there = occupant(steering.ifindex)
        assert there is not None
        assert (there.mode, there.name) == (mode, "xw_steer")
        assert there.link_id > 0
    assert occupant(number(veth[0])) is None
    steering.close()


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_packets_on_the_wire(veth: tuple[str, str], mode: Any) -> None:
    """What the tables say by test run holds on an interface: each frame is counted once, by its reason."""
    with xsk() as sock, Steering.attach(number(veth[0]), mode) as steering:
        steering.add_flow(p.EXCHANGE, p.EXCHANGE_PORT, p.US, p.OUR_PORT)
        steering.set_dedicated(p.DEDICATED)
        send(veth[1], p.segment())
        wait_for(lambda: steering.counters()["pass_no_socket"] == 1)
        steering.bind_socket(0, sock.fileno())
        send(veth[1], p.segment(), p.segment(), p.eth(p.ip4(p.tcp(dport=22))), p.eth(p.arp(), 0x0806),
             p.eth(p.ip4(p.tcp(), dst=p.DEDICATED)), p.eth(p.ip4(p.icmp(3, p.quote()), p.ICMP, src=p.OTHER)))
        wait_for(lambda: sum(steering.counters().values()) >= 7)
        moved = {name: n for name, n in steering.counters().items() if n}
        assert moved == {"redirect": 2, "redirect_arp": 1, "redirect_stray": 1, "redirect_icmp": 1, "pass_no_flow": 1,
                         "pass_no_socket": 1}


@pytest.mark.parametrize(("mode", "nic_time", "loader"), [("native", "on", "libbpf"), ("native", "off", "libbpf"),
                                                          ("generic", "off", "libbpf"), ("native", "off", "bcc"),
                                                          ("generic", "off", "bcc")])
def test_packets_reach_the_socket(veth: tuple[str, str], mode: Any, nic_time: Any, loader: str) -> None:
    """Byte for byte, ours and nothing else, with the times in front. veth's driver has no hardware time to tell."""
    tagged = p.eth(p.ip4(p.tcp(b"x" * 1000)), tags=(p.AD, p.Q))
    error = p.eth(p.ip4(p.icmp(3, p.quote()), p.ICMP, src=p.OTHER))
    with Steering.attach(veth[0], mode, loader, nic_time=nic_time) as steering, MiniXsk(steering.ifindex) as socket:
        steering.bind_socket(0, socket.sock.fileno())
        steering.add_flow(p.EXCHANGE, p.EXCHANGE_PORT, p.US, p.OUR_PORT)
        begin = time.monotonic_ns()
        send(veth[1], p.segment(b"one"), p.eth(p.ip4(p.tcp(dport=22))), p.segment(bytes(1460)), error, tagged)
        for packet in (p.segment(b"one"), p.segment(bytes(1460)), error, tagged):
            got = socket.receive()
            assert got is not None
            assert got[0] == packet
            meta = Meta(*struct.unpack("=QQIIII", got[1]))
            assert (meta.magic, meta.valid, meta.hw_ns, meta.len) == (0x58575331, 2, 0, len(packet))
            assert begin <= meta.xdp_ns <= time.monotonic_ns()
        assert steering.counters()["note_no_meta"] == 0
        assert steering.counters()["pass_no_flow"] == 1
        assert socket.receive(seconds=0) is None


def test_two_interfaces_share_nothing(veth: tuple[str, str]) -> None:
    with interface("veth") as other, Steering.attach(veth[0]) as one, Steering.attach(other[0]) as two:
        one.add_flow(p.EXCHANGE, p.EXCHANGE_PORT, p.US, p.OUR_PORT)
        send(veth[1], p.segment())
        send(other[1], p.segment(), p.segment())
        wait_for(lambda: two.counters()["pass_no_flow"] == 2)
        wait_for(lambda: one.counters()["pass_no_socket"] == 1)
        assert one.counters()["pass_no_flow"] == 0
        assert two.counters()["pass_no_socket"] == 0


def test_nic_time_on_veth(veth: tuple[str, str]) -> None:
    """The driver has the kfunc, so the device-bound program is taken and works; what it tells is in the metadata."""
    with Steering.attach(veth[0]) as steering:
        if not steering.nic_time:
            assert steering.nic_time_reason != ""
            pytest.skip(f"no device-bound program here: {steering.nic_time_reason}")
        assert (steering.mode, steering.nic_time_reason) == ("native", "")
        send(veth[1], p.segment())
        wait_for(lambda: steering.counters()["pass_no_flow"] == 1)
    with Steering.attach(veth[0], nic_time="on") as steering:
        assert steering.nic_time


def test_auto_takes_generic_and_says_why() -> None:
    with interface("bridge") as (name, _):
        with Steering.attach(name) as steering:
            assert steering.mode == "generic"
            assert steering.reason == "native mode: Operation not supported; the driver has no native XDP"
            assert not steering.nic_time
            assert steering.nic_time_reason != ""
        with Steering.attach(name, "generic") as steering:
            assert (steering.mode, steering.reason) == ("generic", "")
        with pytest.raises(SetupError, match="no native XDP") as caught:
            Steering.attach(name, "native", nic_time="off")
        assert (caught.value.errno, caught.value.hint) == (errno.EOPNOTSUPP, "--mode generic")
        assert caught.value.step == f"attach to {name} in native mode"


def test_mtu_too_large_for_native() -> None:
    """Without multi-buffer a veth whose peer may send jumbo frames takes no native program."""
    with interface("veth", mtu=9000) as (name, _):
        with pytest.raises(SetupError, match="MTU") as caught:
            Steering.attach(name, "native", nic_time="off")
        assert caught.value.hint == f"ip link set dev {name} mtu 1500"
        with Steering.attach(name) as steering:
            assert steering.mode == "generic"
            assert "MTU" in steering.reason


@pytest.mark.parametrize("first", ["native", "generic"])
@pytest.mark.parametrize("second", ["auto", "native", "generic"])
def test_second_program_is_refused(veth: tuple[str, str], first: Any, second: Any) -> None:
    with Steering.attach(veth[0], first) as steering:
        there = occupant(steering.ifindex)
        assert there is not None
        with pytest.raises(SetupError) as caught:
            Steering.attach(veth[0], second)
        assert caught.value.step == f"attach to {veth[0]}"
        assert caught.value.cause == (
            f"XDP program {there.prog_id} (xw_steer, {first}) of this process is attached already")
        assert "Runtime" in caught.value.hint
        assert caught.value.errno == errno.EBUSY
        assert occupant(steering.ifindex) == there


@pytest.mark.parametrize("first", ["native", "generic"])
@pytest.mark.parametrize("second", ["native", "generic"])
def test_replace_a_link(veth: tuple[str, str], first: Any, second: Any) -> None:
    with Steering.attach(veth[0], first) as old, Steering.attach(veth[0], second, replace=True) as new:
        assert new.mode == second
        send(veth[1], p.segment())
        wait_for(lambda: new.counters()["pass_no_flow"] == 1)
        assert old.counters()["pass_no_flow"] == 0
        before = occupant(new.ifindex)
        old.close()  # its link has no interface any more: the new one stays
        assert occupant(new.ifindex) == before
    assert occupant(number(veth[0])) is None


def test_replace_one_that_was_attached_over_netlink(veth: tuple[str, str]) -> None:
    program = make_loader("libbpf").load(0, False)
    try:
        with IPRoute() as route:
            route.link("set", index=number(veth[0]), xdp_fd=program.prog_fd)
        there = occupant(number(veth[0]))
        assert there is not None
        assert there.link_id == 0
        with pytest.raises(SetupError, match=f"XDP program {there.prog_id} ") as caught:
            Steering.attach(veth[0])
        assert caught.value.hint == f"--replace, or: ip link set dev {veth[0]} xdpdrv off"
        with Steering.attach(veth[0], replace=True) as steering:
            now = occupant(steering.ifindex)
            assert now is not None
            assert now.prog_id != there.prog_id
    finally:
        program.close()
    assert occupant(number(veth[0])) is None


def test_detach_takes_only_what_was_asked_about(veth: tuple[str, str]) -> None:
    """The program on the interface changed between the question and the detachment: nothing happens."""
    info = ffi.new("struct xw_xdp_info *")
    with Steering.attach(veth[0]) as steering:
        assert lib.xw_xdp_query(steering.ifindex, info) == 1
        steering.close()
        assert lib.xw_xdp_detach(steering.ifindex, info) == Err.ESTATE
        with Steering.attach(veth[0]):
            assert lib.xw_xdp_detach(steering.ifindex, info) == Err.ESTATE
            assert occupant(steering.ifindex) is not None


def test_replace_nothing(veth: tuple[str, str]) -> None:
    with Steering.attach(veth[0], replace=True) as steering:
        assert steering.mode == "native"


@pytest.mark.parametrize("loader", ["libbpf", "bcc"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_program_leaves_with_its_process(veth: tuple[str, str], how: signal.Signals, loader: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, veth[0], loader], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "native\n"
        there = occupant(number(veth[0]))
        assert there is not None
        [(pid, name)] = holders(there.link_id)
        assert pid == child.pid
        with pytest.raises(SetupError) as caught:
            Steering.attach(veth[0])
        assert str(caught.value) == (f"attach to {veth[0]}: XDP program {there.prog_id} (xw_steer, native) of process "
                                     f"{pid} ({name}) is attached already; try: --replace, or: kill {pid}")
        child.send_signal(how)
        child.wait(10)
        wait_for(lambda: occupant(number(veth[0])) is None, 1.0)
        assert holders(there.link_id) == []
    finally:
        child.kill()
        child.communicate()


def test_interface_goes_away() -> None:
    with interface("veth") as (name, peer), Steering.attach(name) as steering:
        send(peer, p.segment())
        wait_for(lambda: steering.counters()["pass_no_flow"] == 1)
        subprocess.run(["ip", "link", "del", name], check=True)
        assert steering.counters()["pass_no_flow"] == 1


def test_no_descriptor_is_left(veth: tuple[str, str]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with Steering.attach(veth[0]):
            with pytest.raises(SetupError):
                Steering.attach(veth[0])
    with interface("bridge") as (name, _):
        with pytest.raises(SetupError):
            Steering.attach(name, "native")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_unknown_interface() -> None:
    for name in ("xwnone", "", "x" * 40, 2**31 - 1, "eth\0"):
        with pytest.raises(SetupError, match="no such interface") as caught:
            Steering.attach(name)
        assert caught.value.errno == errno.ENODEV


def test_no_privilege(veth: tuple[str, str]) -> None:
    """Root without capabilities, as in a container."""
    done = subprocess.run(["setpriv", "--bounding-set=-all", sys.executable, "-c", CHILD, veth[0], "libbpf"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("xdpws.errors.SetupError: load the steering program: ")
    assert "Operation not permitted" in last
    assert last.endswith("try: run as root, or with CAP_BPF and CAP_NET_ADMIN")
    assert "libbpf:" not in done.stderr


def test_callers_mistakes(veth: tuple[str, str]) -> None:
    with Steering.attach(veth[0]) as steering, xsk() as sock:
        for queue in (-1, 64):
            with pytest.raises(UsageError, match="queue"):
                steering.bind_socket(queue, sock.fileno())
        for port in (0, -1, 65536):
            with pytest.raises(UsageError, match="port"):
                steering.add_flow(p.EXCHANGE, port, p.US, 1)
        for address in ("10.0.0", "::1", "", -1, 2**32):
            with pytest.raises(UsageError, match="not an IPv4 address"):
                steering.add_flow(address, 443, p.US, 1)
        with open("/dev/null") as file, pytest.raises(SetupError, match="write the map xsks"):
            steering.bind_socket(0, file.fileno())
    with pytest.raises(UsageError, match="closed"):
        steering.counters()
    with pytest.raises(UsageError, match="closed"):
        steering.add_flow(p.EXCHANGE, 443, p.US, 1)


def test_flow_table_full(veth: tuple[str, str]) -> None:
    with Steering.attach(veth[0]) as steering:
        for port in range(1, 4097):
            steering.add_flow(p.EXCHANGE, 443, p.US, port)
        with pytest.raises(SetupError, match="write the map flows") as caught:
            steering.add_flow(p.EXCHANGE, 443, p.US, 5000)
        assert caught.value.errno == errno.E2BIG
        steering.add_flow(p.EXCHANGE, 443, p.US, 77)
