"""xdpws doctor: the checks over made-up facts, the table, the JSON and the exit codes."""
from __future__ import annotations

import io
import json
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any

import pytest
from click.testing import CliRunner
from control_fake import MAC_A
from rich.console import Console

from xdpws.cli import doctor as doctor_module
from xdpws.cli.main import main
from xdpws.control.checks import Report, Status, fail, ok, warn
from xdpws.control.ethtool import DriverInfo, Feature
from xdpws.control.facts import CpuFacts, Facts, Irq, Peer, SoftwareFacts, interrupt_names
from xdpws.control.model import AddressInfo, Channels, LinkInfo, XdpAttached, XdpCapabilities
from xdpws.control.preflight import preflight

LINK = LinkInfo(7, "eth7", MAC_A, 1500, rx_queues=2)
VETH = replace(LINK, kind="veth", link_index=8)
OFF = {"tx-checksum-ip-generic": Feature(False, False), "tx-tcp-segmentation": Feature(False, False),
       "tx-generic-segmentation": Feature(False, False)}
ON = {name: Feature(True, False) for name in OFF}
CAPS = frozenset({"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_IPC_LOCK"})
ALL = XdpCapabilities(frozenset({"basic", "redirect", "xsk-zerocopy"}), 1, frozenset({"timestamp"}))
CPU = CpuFacts(8, frozenset({"performance"}), 2, "2-3")
SOFT = SoftwareFacts("1.1.2", "1.3.0", True, "/lib/modules/x/build", True, 1)
GOOD = Facts(LINK, "6.12.0", CAPS, CPU, SOFT, DriverInfo("ice", "6.12.0", "4.2", "0000:01:00.0"), ALL,
             Channels(0, 0, 2, 0, 0, 8), {}, (AddressInfo(7, IPv4Interface("10.0.0.2/24")),),
             irqs=(Irq(50, "ice-eth7-TxRx-0", "2"),), defer_hard_irqs=2, gro_flush_timeout_ns=200000,
             hugepages_total=64, hugepages_free=64)


def facts(**changes: Any) -> Facts:
    return replace(GOOD, **changes)


def test_a_fit_host_has_nothing_to_mend() -> None:
    report = preflight(GOOD)
    assert [c for c in report.checks if c.status is not Status.OK] == []
    assert report.status is Status.OK
    assert len({c.name for c in report.checks}) == len(report.checks), "names are unique"


@pytest.mark.parametrize(("changes", "name", "status", "text", "mend"), [
    ({"link": replace(LINK, up=False)}, "link", "fail", "down", "ip link set eth7 up"),
    ({"link": replace(LINK, carrier=False)}, "link", "fail", "no carrier", "ethtool eth7"),
    ({"link": replace(VETH, carrier=False), "peer": Peer("v0", 1500, "ip netns exec xws ", OFF)}, "link", "fail",
     "no carrier", "ip netns exec xws ip link set v0 up"),
    ({"link": replace(LINK, loopback=True)}, "link", "fail", "loopback", ""),
    ({"link": replace(LINK, master_index=3)}, "link", "warn", "bridge or bond", ""),
    ({"addresses": ()}, "address", "fail", "no IPv4", "ip address add IP/LEN dev eth7"),
    ({"driver": None}, "driver", "warn", "does not tell", ""),
    ({"xdp": XdpCapabilities()}, "native XDP", "warn", "driver ice has none", "--mode generic"),
    ({"xdp": None}, "native XDP", "ok", "known to have it", ""),
    ({"xdp": None}, "zero-copy", "warn", "does not tell", ""),
    ({"xdp": replace(ALL, features=frozenset({"basic", "redirect"}))}, "zero-copy", "warn", "copies", ""),
    ({"xdp": replace(ALL, rx_metadata=frozenset())}, "NIC time", "warn", "does not give", ""),
    ({"link": replace(LINK, xdp=(XdpAttached("native", 42),)), "xdp_names": ("xdp_pass",)}, "XDP program", "fail",
     "xdp_pass (id 42, native)", "ip link set eth7 xdp off"),
    ({"link": replace(LINK, mtu=9000)}, "MTU", "fail", "at most 3046", "ip link set eth7 mtu 1500"),
    ({"link": VETH, "driver": DriverInfo("veth", "1.0", "", ""), "peer": Peer("v0", 4000, "ip netns exec xws ", OFF)},
     "MTU", "fail", "peer's is 4000", "ip netns exec xws ip link set v0 mtu 1500"),
    ({"channels": Channels(0, 0, 128, 0, 0, 128)}, "queues", "fail", "at most 64", "ethtool -L eth7 combined 64"),
    ({"channels": Channels(0, 0, 16, 0, 0, 32)}, "queues", "warn", "for 8 CPUs", "ethtool -L eth7 combined 8"),
    ({"channels": Channels(0, 0, 8, 0, 0, 8), "driver": DriverInfo("ena", "2", "", "")}, "queues", "fail",
     "8 of 8", "ethtool -L eth7 combined 4"),
    ({"irqs": (Irq(50, "cfg", "0-7"), Irq(51, "eth7-rx-0", "0-7"))}, "IRQ affinity", "warn", "not pinned",
     "echo 0 > /proc/irq/51/smp_affinity_list"),
    ({"features": {"rx-lro": Feature(True, False)}}, "LRO", "fail", "on", "ethtool -K eth7 lro off"),
    ({"features": {"rx-gro-hw": Feature(True, False)}}, "GRO in hardware", "warn", "merged",
     "ethtool -K eth7 rx-gro-hw off"),
    ({"features": {"rx-gro-hw": Feature(True, True)}}, "GRO in hardware", "warn", "does not let it", ""),
    ({"link": VETH, "peer": Peer("v0", 1500, "", OFF), "features": {"rx-gro": Feature(True, False)}}, "GRO", "warn",
     "merged", "ethtool -K eth7 gro off"),
    ({"link": VETH, "peer": Peer("v0", 1500, "ip netns exec xws ", ON)}, "peer offloads", "fail",
     "v0 leaves work undone", "ip netns exec xws ethtool -K v0 tx off tso off gso off"),
    ({"link": VETH, "peer": Peer("v0", 1500, "", OFF)}, "peer offloads", "ok", "are off", ""),
    ({"link": VETH}, "peer offloads", "warn", "cannot be looked into", "ethtool -K PEER tx off tso off gso off"),
    ({"vlans": ("eth7.5",), "features": {"rx-vlan-hw-parse": Feature(True, False)}}, "VLAN tags", "fail",
     "eth7.5 on top", "ethtool -K eth7 rxvlan off"),
    ({"vlans": ("eth7.5",), "link": VETH, "peer": Peer("v0", 1500, "", {"tx-vlan-hw-insert": Feature(True, False)})},
     "VLAN tags", "fail", "beside the frame", "ethtool -K v0 txvlan off"),
    ({"vlans": ("eth7.5",)}, "VLAN tags", "ok", "eth7.5", ""),
    ({"release": "5.4.1"}, "kernel", "fail", "too old", "linux-image"),
    ({"release": "6.1.0"}, "kernel", "warn", "no NIC time", "linux-image"),
    ({"capabilities": frozenset({"CAP_NET_ADMIN"})}, "privileges", "fail", "CAP_NET_RAW, CAP_BPF missing", "sudo"),
    ({"capabilities": CAPS - {"CAP_IPC_LOCK"}, "memlock": 65536}, "locked memory", "fail", "64 KiB",
     "ulimit -l unlimited"),
    ({"capabilities": CAPS - {"CAP_IPC_LOCK"}, "memlock": None}, "locked memory", "ok", "unlimited", ""),
    ({"hugepages_total": 4, "hugepages_free": 1}, "huge pages", "warn", "1 of 2 MiB", "vm.nr_hugepages=16"),
    ({"software": replace(SOFT, bpf_jit=0)}, "BPF JIT", "warn", "off", "sysctl -w net.core.bpf_jit_enable=1"),
    ({"software": replace(SOFT, btf=False)}, "BTF", "warn", "no NIC time", "BTF"),
    ({"software": replace(SOFT, libxdp="")}, "libraries", "fail", "libxdp not found", "apt install libxdp1"),
    ({"software": replace(SOFT, bcc=False)}, "BCC", "warn", "not installed", "apt install python3-bpfcc"),
    ({"software": replace(SOFT, bcc_headers="")}, "BCC", "warn", "no kernel headers", "linux-headers-amd64"),
    ({"gro_flush_timeout_ns": 0}, "busy poll", "warn", "compete", "echo 200000 > /sys/class/net/eth7/"),
    ({"defer_hard_irqs": None}, "busy poll", "warn", "cannot be read", ""),
    ({"cpu": replace(CPU, governors=frozenset({"powersave"}))}, "CPU governor", "warn", "powersave", "performance"),
    ({"cpu": replace(CPU, idle_latency_us=200)}, "CPU sleep", "warn", "200 µs", "cpupower idle-set"),
    ({"cpu": replace(CPU, irqbalance=True)}, "irqbalance", "warn", "running", "systemctl"),
    ({"cpu": replace(CPU, isolated="")}, "isolated CPUs", "ok", "none of 8", ""),
])
def test_each_check(changes: dict[str, Any], name: str, status: str, text: str, mend: str) -> None:
    check = preflight(facts(**changes)).named(name)
    assert check.status.value == status
    assert text in check.detail
    assert mend in check.mend
    assert bool(check.mend) == bool(mend)


def test_the_worst_check_is_the_reports_status() -> None:
    assert Report("x", (ok("a", ""), warn("b", ""))).status is Status.WARN
    assert Report("x", (fail("a", ""), warn("b", ""))).status is Status.FAIL
    with pytest.raises(KeyError):
        Report("x", ()).named("a")


def test_interrupt_names() -> None:
    text = "      CPU0  CPU1\n 24:   1   0  IO-APIC   5-edge   ACPI:Ged\n 50: 9 9 MSIX 1-edge eth7-rx-0\nNMI: 0 0 x\n"
    assert interrupt_names(text) == {24: "ACPI:Ged", 50: "eth7-rx-0"}


def test_the_table_shows_each_check_and_whole_commands() -> None:
    report = preflight(facts(link=VETH, peer=Peer("v0", 1500, "ip netns exec a-very-long-name-of-a-namespace ", ON)))
    out = io.StringIO()
    doctor_module.render(report, Console(file=out, width=60))
    text = out.getvalue()
    assert all(check.name in text for check in report.checks)
    assert "\n  ip netns exec a-very-long-name-of-a-namespace ethtool -K v0 tx off tso off gso off\n" in text


@pytest.mark.parametrize(("changes", "code"), [({}, 0), ({"driver": None}, 0), ({"addresses": ()}, 1)])
def test_exit_code_and_json(changes: dict[str, Any], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "examine", lambda name: preflight(facts(**changes)))
    result = CliRunner().invoke(doctor_module.doctor, ["eth7", "--json"], standalone_mode=False)
    assert result.return_value == code
    parsed = json.loads(result.stdout)
    assert parsed["interface"] == "eth7"
    assert {"name", "status", "detail", "mend"} == set(parsed["checks"][0])
    assert parsed["status"] == {0: "ok", 1: "fail"}[code] or changes == {"driver": None}


def test_unknown_interface_and_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "xwctlnone", "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "find interface xwctlnone: there is none of that name; there are: " in shown.err
    assert "lo" in shown.err
    assert main(["doctor"]) == 2
    assert main(["doctor", "--help"]) == 0
