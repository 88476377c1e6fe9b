"""tools/style_check.py: each rule on an example that breaks it and on one that does not."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import style_check as sc


def rules(offences: object) -> list[str]:
    return [o.rule for o in offences]  # type: ignore[attr-defined]


def body(lines: int) -> str:
    return "int f(void)\n{\n" + "    g();\n" * (lines - 3) + "}\n"


@pytest.mark.parametrize("text", ["// TO" "DO later", "x  # FIX" "ME", "XX" "X"])
def test_unfinished_words_are_found(text: str) -> None:
    assert rules(sc.check_text("csrc/a/b.c", text)) == ["unfinished"]


def test_similar_words_are_not_unfinished() -> None:
    assert rules(sc.check_text("a.md", "XXXVI todos, TODOIST and xxx")) == []


def test_a_path_of_the_machine_is_found_with_its_line() -> None:
    (offence,) = sc.check_text("docs/a.md", "fine\nsee /wo" "rk/main\n")
    assert (offence.rule, offence.line) == ("machine-path", 2)
    assert rules(sc.check_text("docs/a.md", "src/wo" "rk/main, the network/wo" "rk/ folder")) == []


def test_file_length() -> None:
    assert rules(sc.check_length("a.c", "x\n" * sc.FILE_LINES)) == []
    assert rules(sc.check_length("a.c", "x\n" * (sc.FILE_LINES + 1))) == ["file-length"]


def test_c_line_length() -> None:
    assert rules(sc.check_c("csrc/a/b.c", "/* " + "x" * sc.COLUMNS + " */\n")) == ["line-length"]


def test_c_function_length_counts_from_the_signature() -> None:
    assert rules(sc.check_c("csrc/a/b.c", body(sc.FUNCTION_LINES))) == []
    assert rules(sc.check_c("csrc/a/b.c", body(sc.FUNCTION_LINES + 1))) == ["function-length"]


def test_c_function_length_sees_the_name_and_is_not_misled_by_braces_in_text() -> None:
    text = "__attribute__((noinline)) static int named(int a)\n{\n    char c = '}'; /* } */ h(\"}\");\n"
    text += "    if (a) { b(); }\n" * sc.FUNCTION_LINES + "}\nstatic int small(void) { return 0; }\n"
    (offence,) = sc.check_c("csrc/a/b.c", text)
    assert offence.text.startswith("named: ")


@pytest.mark.parametrize("declaration", [
    "static int count;", "int count = 3;", "static const char *name;", "static char buf[32];",
    "static struct xw_a state;", "static struct { int a; } state;", "struct xw_a { int a; } state;",
    "static int table[2] = { 1, 2 };", "static int (*hook)(int);", "static _Thread_local int last;",
    "int f(void)\n{\n    static int calls;\n    return calls++;\n}",
])
def test_mutable_globals_are_found(declaration: str) -> None:
    assert rules(sc.check_c("csrc/a/b.c", declaration + "\n")) == ["mutable-global"]


@pytest.mark.parametrize("declaration", [
    "static const int count = 3;", "static const char *const name = \"x\";", "struct xw_a;", "struct xw_a { int a; };",
    "enum e { A = 1, B };", "typedef int (*fn)(void);", "int f(int a, int (*g)(void));", "extern const int x;",
    "static const struct xw_ops ops = { .f = g, .h = { 1, 2 } };", "static int (*const hook)(int) = f;",
    "_Static_assert(sizeof(int) == 4, \"x\");", "static const uint8_t t[] = { [1] = 2 };",
    "int f(void)\n{\n    int local = 3;\n    struct a s = { 0 };\n    g((struct a){ 1 }, &s);\n    return local;\n}",
])
def test_constants_types_prototypes_and_locals_are_no_globals(declaration: str) -> None:
    assert rules(sc.check_c("csrc/a/b.c", declaration + "\n")) == []


def test_the_per_thread_error_text_is_allowed() -> None:
    assert rules(sc.check_c("csrc/base/setup_error.c", "static _Thread_local int saved;\n")) == []


@pytest.mark.parametrize(("path", "header", "allowed"), [
    ("csrc/wire/tcp.c", "wire/bytes.h", True), ("csrc/wire/tcp.c", "base/span.h", True),
    ("csrc/wire/tcp.c", "mem/bytering.h", False), ("csrc/net/ip.c", "tcp/tcp.h", False),
    ("csrc/net/ip.c", "dev/dev.h", True), ("csrc/net/ip.c", "dev/xsk.h", False),
    ("csrc/tls/tls.c", "bs/bs.h", True), ("csrc/tls/tls.c", "bs/bs_tcp.h", False),
    ("csrc/bs/bs_tcp.c", "tcp/tcp.h", True), ("csrc/bs/bs_sock.c", "tcp/tcp.h", False),
    ("csrc/base/err.c", "err.def", True), ("csrc/engine/rx.c", "dev/xsk.h", True),
    ("csrc/mem/frames.c", "xw.h", False),
])
def test_includes_follow_the_layers(path: str, header: str, allowed: bool) -> None:
    found = list(sc.check_includes(path, f'/* one\n two */\n#include "{header}"\n'))
    assert rules(found) == ([] if allowed else ["include"])
    assert all(o.line == 3 for o in found)


def test_an_include_in_a_comment_does_not_count() -> None:
    assert rules(sc.check_includes("csrc/base/a.c", '/*\n#include "tcp/tcp.h"\n*/\n')) == []


def test_each_c_file_with_a_function_needs_a_test_that_includes_its_header() -> None:
    sources = {"csrc/wire/ip4.c": "int f(void)\n{\n    return 0;\n}\n", "csrc/base/tables.c": "const int x = 3;\n",
               "csrc/ws/simd_avx2.c": "int g(void) { return 1; }\n"}
    headers = ["wire/ip4.h", "wire/tcp.h", "ws/simd.h", "ws/mask.h"]
    tests = {"tests/c/test_simd.c": '#include "ws/simd.h"\n'}
    (offence,) = sc.check_c_tests(sources, headers, tests)
    assert (offence.path, offence.rule) == ("csrc/wire/ip4.c", "c-test")
    tests["tests/c/test_ip4.c"] = '#include "wire/ip4.h"\n'
    assert rules(sc.check_c_tests(sources, headers, tests)) == []


def test_python_function_length() -> None:
    text = "def f():\n" + "    g()\n" * (sc.FUNCTION_LINES - 1)
    assert rules(sc.check_python("xdpws/a.py", text)) == []
    assert rules(sc.check_python("xdpws/a.py", text + "    g()\n")) == ["function-length"]


@pytest.mark.parametrize(("path", "line", "allowed"), [
    ("xdpws/stack/loop.py", "from xdpws import _core", False), ("xdpws/_ffi.py", "from xdpws import _core", True),
    ("xdpws/stack/loop.py", "import OpenSSL.SSL", False), ("xdpws/cli/sim.py", "from OpenSSL import SSL", True),
    ("xdpws/control/host.py", "from xdpws.stack.loop import Loop", False),
    ("xdpws/control/host.py", "from ..stack import loop", False),
    ("xdpws/control/netlink.py", "import pyroute2.netlink", True), ("xdpws/client.py", "import pyroute2", False),
    ("xdpws/cli/doctor.py", "import rich.table", True), ("xdpws/client.py", "import rich", False),
    ("xdpws/errors.py", "from xdpws.http import Close", True), ("xdpws/errors.py", "import xdpws.stack", False),
    ("xdpws/client.py", "import websockets", False), ("tests/unit/a.py", "import websockets", True),
])
def test_imports_follow_the_layers(path: str, line: str, allowed: bool) -> None:
    assert rules(sc.check_python(path, line + "\n")) == ([] if allowed else ["import"])


def test_a_whole_tree_is_read_without_what_was_built(tmp_path: Path) -> None:
    (tmp_path / "csrc" / "base").mkdir(parents=True)
    (tmp_path / "build").mkdir()
    (tmp_path / "csrc" / "base" / "a.c").write_text("static int x;\n")
    (tmp_path / "build" / "b.c").write_text("static int y;\n")
    (tmp_path / "notes.md").write_text("TO" "DO\n")
    assert [str(o) for o in sc.check_tree(tmp_path)] == [
        "csrc/base/a.c:1: mutable-global: static int x", "notes.md:1: unfinished: TO" "DO in committed text"]
