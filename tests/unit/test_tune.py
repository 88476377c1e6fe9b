"""`xdpws tune`: deciding with facts by hand, applying and undoing on a made-up /proc and /sys, the process's part."""
from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from xdpws.cli.tune import tune
from xdpws.control.tune import HostFiles, Setting, TuneFacts, TuneWish, advice, cpu_list, decide, gather_tune, tune_plan
from xdpws.control.tune_process import ProcessWish, process_plan
from xdpws.control.tune_state import TuneState
from xdpws.errors import SetupError, UsageError

NIC = TuneFacts("eth0", (0, 1, 2, 3), {40: "0-3", 41: "1"}, {3: "powersave"}, "0", "0", 0, "950000", True, 133)


@pytest.fixture
def host(tmp_path: Path) -> HostFiles:
    """A host with four cores and a NIC of two interrupts."""
    files = HostFiles(tmp_path)
    content = {
        "/sys/devices/system/cpu/online": "0-3\n", "/sys/class/net/eth0/napi_defer_hard_irqs": "0\n",
        "/sys/class/net/eth0/gro_flush_timeout": "0\n", "/proc/irq/40/smp_affinity_list": "0-3\n",
        "/proc/irq/41/smp_affinity_list": "1\n", "/proc/sys/kernel/sched_rt_runtime_us": "950000\n",
        "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "powersave\n",
        "/sys/devices/system/cpu/cpu3/cpuidle/state0/latency": "0\n",
        "/sys/devices/system/cpu/cpu3/cpuidle/state1/latency": "133\n", "/proc/77/comm": "irqbalance\n",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n",
        "/sys/class/net/eth0/device/msi_irqs/40": "", "/sys/class/net/eth0/device/msi_irqs/41": ""}
    for path, text in content.items():
        files.at(path).parent.mkdir(parents=True, exist_ok=True)
        files.write(path, text)
    return files


def tree(files: HostFiles) -> dict[str, str]:
    """Every file but the state."""
    return {str(p): p.read_text().strip() for p in files.root.rglob("*") if p.is_file() and "/run/" not in str(p)}


def test_facts_are_those_of_the_host(host: HostFiles) -> None:
    assert gather_tune("eth0", host) == NIC
    with pytest.raises(SetupError, match="no such interface"):
        gather_tune("eth7", host)


def test_cpu_lists() -> None:
    assert cpu_list("0-2,5\n") == (0, 1, 2, 5)
    assert cpu_list("") == ()


def test_what_is_decided() -> None:
    wanted = {s.path: s.after for s in decide(NIC, TuneWish())}
    assert wanted == {
        "/sys/class/net/eth0/napi_defer_hard_irqs": "2", "/sys/class/net/eth0/gro_flush_timeout": "200000",
        "/proc/irq/40/smp_affinity_list": "0,1,2",
        "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "performance",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "32", "/proc/sys/kernel/sched_rt_runtime_us": "-1"}
    assert "/proc/irq/41/smp_affinity_list" not in wanted  # it is elsewhere already


def test_wishes_count() -> None:
    paths = {s.path for s in decide(NIC, TuneWish(cpu=1, huge_pages=0, real_time=False))}
    assert "/proc/irq/41/smp_affinity_list" in paths
    assert not any("hugepages" in path or "rt_runtime" in path or "governor" in path for path in paths)
    with pytest.raises(UsageError, match="CPU 9 is not online"):
        decide(NIC, TuneWish(cpu=9))


def test_what_is_not_there_is_left_alone() -> None:
    bare = TuneFacts("xw0", (0,))
    assert decide(bare, TuneWish()) == []
    lines = "\n".join(advice(bare, TuneWish()))
    assert "one core" in lines
    assert "no interrupts of its own" in lines
    assert "--cpu-latency" not in lines
    assert "irqbalance" in "\n".join(advice(NIC, TuneWish()))
    assert "--cpu 3 --fifo --lock-memory --cpu-latency 0 --huge-pages" in advice(NIC, TuneWish())[0]


def test_apply_and_undo_by_another_process(host: HostFiles) -> None:
    before = tree(host)
    settings = decide(gather_tune("eth0", host), TuneWish())
    TuneState("eth0", host).apply(settings)
    after = tree(host)
    assert sum(before[path] != after[path] for path in before) == len(settings)
    assert decide(gather_tune("eth0", host), TuneWish()) == []
    done, trouble = TuneState("eth0", host).undo()
    assert len(done) == len(settings)
    assert trouble == []
    assert tree(host) == before
    assert TuneState("eth0", host).undo() == ([], [])


def test_applying_twice_keeps_what_was_there_first(host: HostFiles) -> None:
    before = tree(host)
    for pages in (16, 64):
        TuneState("eth0", host).apply(decide(gather_tune("eth0", host), TuneWish(huge_pages=pages)))
    assert host.read("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") == "64"
    TuneState("eth0", host).undo()
    assert tree(host) == before


def test_a_step_that_fails_takes_back_all(host: HostFiles) -> None:
    before = tree(host)
    settings = [*decide(gather_tune("eth0", host), TuneWish()), Setting("/proc/none/there", "0", "1", "")]
    with pytest.raises(SetupError, match="none/there"):
        TuneState("eth0", host).apply(settings)
    assert tree(host) == before
    assert TuneState("eth0", host).read() == []


def test_what_somebody_else_changed_is_left(host: HostFiles) -> None:
    TuneState("eth0", host).apply(decide(gather_tune("eth0", host), TuneWish()))
    host.write("/proc/sys/kernel/sched_rt_runtime_us", "900000")
    _, trouble = TuneState("eth0", host).undo()
    assert len(trouble) == 1
    assert "changed by somebody else" in trouble[0]
    assert host.read("/proc/sys/kernel/sched_rt_runtime_us") == "900000"


def test_a_damaged_state_says_so(host: HostFiles) -> None:
    state = TuneState("eth0", host)
    state.path.parent.mkdir(parents=True)
    state.path.write_text("{")
    with pytest.raises(SetupError, match="no state of xdpws tune"):
        state.undo()


def test_the_plan_shows_what_to_type(host: HostFiles) -> None:
    shown = tune_plan("tune eth0", decide(NIC, TuneWish()), host).show()
    assert "echo 200000 > /sys/class/net/eth0/gro_flush_timeout" in shown


def test_the_command_refuses_both_ways() -> None:
    with pytest.raises(UsageError, match="exclude"):
        CliRunner().invoke(tune, ["lo", "--apply", "--undo"], standalone_mode=False, catch_exceptions=False)
    said = CliRunner().invoke(tune, ["lo", "--json", "--huge-pages", "0", "--no-real-time"], standalone_mode=False)
    assert json.loads(said.stdout)["applied"] is False


def test_a_process_gives_everything_back(tmp_path: Path) -> None:
    device = tmp_path / "latency"
    device.write_bytes(b"")
    cpu = max(os.sched_getaffinity(0))
    script = f"""
import os, sys, pathlib
from xdpws.control.tune_process import ProcessWish, process_plan
def state():
    text = pathlib.Path("/proc/self/status").read_text()
    locked = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmLck"))
    return sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0), locked > 0, len(os.listdir("/proc/self/fd"))
before = state()
plan = process_plan(ProcessWish({cpu}, 7, True, 3), {str(device)!r})
print(plan.show(), file=sys.stderr)
plan.apply()
inside = state()
assert plan.undo() == []
assert state() == before, (state(), before)
assert inside == ([{cpu}], os.SCHED_FIFO, True, before[3] + 1), inside
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert struct.unpack("=i", device.read_bytes()) == (3,)
    assert "SCHED_FIFO, priority 7" in done.stderr


def test_a_process_that_may_not_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="udev rule"):
        process_plan(ProcessWish(cpu_latency_us=0), str(tmp_path / "none")).apply()
    with pytest.raises(SetupError, match="run on CPU 4000"):
        process_plan(ProcessWish(cpu=4000)).apply()
    with pytest.raises(UsageError, match="0 to 99"):
        ProcessWish(fifo=100)
    assert process_plan(ProcessWish()).steps == ()
