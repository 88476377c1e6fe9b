"""Loading: what is missing or broken is told with its cause; nothing is printed and no descriptor left. And the pure
decisions around it, which need neither root nor BPF."""
from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import packets as p
import pytest
from harness import Bench, xsk

from xdpws.control import loader_bcc
from xdpws.control.loader import OBJECTS, make_loader
from xdpws.control.loader_bcc import CHILD, BccLoader, last_lines
from xdpws.control.loader_bcc_child import header_trees, merge
from xdpws.control.loader_libbpf import LibbpfLoader, relevant
from xdpws.control.steering import ABI, FLOW_ACTIVE, MAX_QUEUES, META_LEN, Attempt, Counter, attempts, explain, flow_key
from xdpws.errors import SetupError, UsageError

ROOT = Path(__file__).resolve().parents[2]
root = pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF needs root")


def test_constants_are_those_of_the_header() -> None:
    text = (ROOT / "bpf/shared.h").read_text()
    body = re.search(r"enum xw_steer_counter \{(.*?)\};", text, re.DOTALL)
    assert body is not None
    names = re.findall(r"^\s*XW_STEER_(\w+)", body.group(1), re.MULTILINE)
    assert names == [*(counter.name for counter in Counter), "COUNTERS"]
    assert f"#define XW_STEER_ABI {ABI}\n" in text
    assert f"#define XW_STEER_MAX_QUEUES {MAX_QUEUES}\n" in text
    assert f"#define XW_FLOW_ACTIVE {FLOW_ACTIVE}u" in text
    meta = re.search(r"struct xw_meta \{(.*?)\};", text, re.DOTALL)
    assert meta is not None
    assert sum(int(bits) // 8 for bits in re.findall(r"__u(\d+) \w+;", meta.group(1))) == META_LEN
    assert re.findall(r"__u32 (\w+);", meta.group(1))[-1] == "magic"


def test_text_for_bcc_is_that_of_the_source(tmp_path: Path) -> None:
    target = tmp_path / "steer.bcc.c"
    subprocess.run([sys.executable, ROOT / "tools/flatten_bpf.py", ROOT / "bpf/steer.bpf.c", target], check=True)
    text = target.read_text()
    assert text == (OBJECTS / "steer.bcc.c").read_text()
    assert text.startswith("#define XW_BCC 1\n")
    assert '#include "' not in text
    assert text.count("struct xw_flow_key {") == 1


def test_flow_key_is_in_network_order() -> None:
    assert flow_key("1.2.3.4", 443, "5.6.7.8", 0x1234) == bytes([1, 2, 3, 4, 5, 6, 7, 8, 0x01, 0xBB, 0x12, 0x34])


def test_attempts() -> None:
    nic, native, generic = Attempt("native", True), Attempt("native", False), Attempt("generic", False)
    assert attempts("auto", "auto", "libbpf") == [nic, native, generic]
    assert attempts("auto", "auto", "bcc") == [native, generic]
    assert attempts("auto", "off", "libbpf") == [native, generic]
    assert attempts("native", "auto", "libbpf") == [nic, native]
    assert attempts("native", "on", "libbpf") == [nic]
    assert attempts("generic", "auto", "libbpf") == [generic]
    for mode, nic_time, loader in (("generic", "on", "libbpf"), ("auto", "on", "bcc"), ("skb", "auto", "libbpf"),
                                   ("auto", "maybe", "libbpf")):
        with pytest.raises(UsageError):
            attempts(mode, nic_time, loader)  # type: ignore[arg-type]


def test_explain() -> None:
    assert explain(errno.EPERM, "xw0")[1] == "run as root"
    assert explain(errno.EOPNOTSUPP, "xw0")[1] == "--mode generic"
    assert "mtu" in explain(errno.ERANGE, "xw0")[1]
    assert explain(errno.EXDEV, "xw0") == ("", "")


def test_unknown_loader() -> None:
    with pytest.raises(UsageError, match="libbpf or bcc"):
        make_loader("libxdp")


def test_what_errors_repeat() -> None:
    log = ("libbpf: prog 'xw_steer': BPF program load failed\nlibbpf: -- BEGIN\n0: (b7) r0 = 0\n"
           "R0 !read_ok\nprocessed 1\n")
    assert relevant(log) == "prog 'xw_steer': BPF program load failed | 0: (b7) r0 = 0 | R0 !read_ok"
    assert last_lines("note\nmain.c:3:1: error: expected ';'\n1 error generated.\nTraceback\n") == (
        "main.c:3:1: error: expected ';' | 1 error generated.")
    assert last_lines("one\n\ntwo\n") == "one | two"


def test_missing_files_are_named(tmp_path: Path) -> None:
    for loader in (LibbpfLoader(tmp_path), BccLoader(tmp_path / "steer.bcc.c")):
        with pytest.raises(SetupError, match=r"steer.bpf.o is missing|steer.bcc.c is missing") as caught:
            loader.load(0, False)
        assert caught.value.hint == "make bpf"


def test_broken_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "steer.bpf.o").write_bytes(b"\x7fELF and nothing else")
    with pytest.raises(SetupError, match="open the BPF object"):
        LibbpfLoader(tmp_path).load(0, False)
    assert capfd.readouterr() == ("", "")


@root
@pytest.mark.parametrize("name", ["libbpf", "bcc"])
def test_nothing_is_left_or_printed(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    program = make_loader(name).load(0, False)
    fds = [program.prog_fd, *program.maps.values()]
    assert not any(os.get_inheritable(fd) for fd in fds)
    program.close()
    program.close()
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert capfd.readouterr() == ("", "")


@root
def test_device_bound_program_needs_its_device() -> None:
    with pytest.raises(SetupError, match="load the steering program") as caught:
        make_loader("libbpf").load(2**31 - 1, True)
    assert caught.value.errno == errno.EINVAL


@root
def test_bcc_tells_the_compilers_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    source = tmp_path / "steer.bcc.c"
    source.write_text((OBJECTS / "steer.bcc.c").read_text().replace("int xw_steer(", "int xw_steer(nonsense "))
    with pytest.raises(SetupError, match="nonsense") as caught:
        BccLoader(source).load(0, False)
    assert caught.value.step == "load the steering program by BCC"
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert capfd.readouterr() == ("", "")


@root
def test_bcc_takes_a_changed_program(tmp_path: Path) -> None:
    """What the loader is for: a change of the text takes effect without anything else being built."""
    source = tmp_path / "steer.bcc.c"
    text = (OBJECTS / "steer.bcc.c").read_text()
    assert text.count("type != 12") == 1
    source.write_text(text.replace("type != 12", "type != 12 && type != 5"))
    packet = p.eth(p.ip4(p.icmp(5, p.quote()), p.ICMP, src=p.OTHER))
    with Bench(BccLoader(source).load(0, False)) as bench, xsk() as sock:
        bench.add_flow(p.EXCHANGE, p.EXCHANGE_PORT, p.US, p.OUR_PORT)
        bench.bind_socket(0, sock.fileno())
        before = bench.counters()
        bench.run(packet)
        assert bench.changed(before) == {"redirect_icmp": 1}


def test_bcc_has_no_nic_time() -> None:
    with pytest.raises(SetupError, match="bound to a device") as caught:
        BccLoader().load(1, True)
    assert caught.value.hint == "--loader libbpf"


def test_bcc_without_an_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_bcc, "interpreter", lambda: "/nonexistent/python3")
    with pytest.raises(SetupError, match=r"/nonexistent/python3 is missing") as caught:
        BccLoader().load(0, False)
    assert "python3-bpfcc" in caught.value.hint


@root
def test_bcc_under_debians_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment has no bcc module, the system's Python does it."""
    monkeypatch.setattr(loader_bcc, "interpreter", lambda: loader_bcc.SYSTEM_PYTHON)
    BccLoader().load(0, False).close()


def test_child_without_bcc(tmp_path: Path) -> None:
    """The child's own message is the cause."""
    done = subprocess.run([sys.executable, "-I", "-S", str(CHILD), str(tmp_path / "x"), "0"], capture_output=True,
                          text=True, check=False, env={"BCC_KERNEL_SOURCE": "/nonexistent"})
    assert done.returncode == 1
    assert last_lines(done.stderr) == "ModuleNotFoundError: No module named 'bcc'"


def test_header_trees_are_merged(tmp_path: Path) -> None:
    """Debian splits the headers; the newest complete pair is shown as one tree."""
    for version in ("6.1.0-9", "6.1.0-56", "6.12.9+bpo"):
        for flavour, files in (("amd64", ("include/generated/autoconf.h", "arch/x86/include/generated/asm/x.h")),
                               ("common", ("include/linux/types.h", "arch/x86/include/asm/page.h"))):
            if (version, flavour) == ("6.12.9+bpo", "amd64"):
                continue
            for file in files:
                path = tmp_path / f"linux-headers-{version}-{flavour}" / file
                path.parent.mkdir(parents=True)
                path.write_text(version)
    trees = header_trees(str(tmp_path))
    assert trees == (f"{tmp_path}/linux-headers-6.1.0-56-amd64", f"{tmp_path}/linux-headers-6.1.0-56-common")
    target = tmp_path / "merged"
    merge(*trees, str(target))
    for file in ("include/generated/autoconf.h", "include/linux/types.h", "arch/x86/include/asm/page.h",
                 "arch/x86/include/generated/asm/x.h"):
        assert (target / file).read_text() == "6.1.0-56"
    assert header_trees(str(tmp_path / "empty")) is None
