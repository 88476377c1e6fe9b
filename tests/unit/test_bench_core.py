"""The reading of callgrind's output and the judgement on a rise; valgrind is not started."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("bench_core", Path(__file__).parents[2] / "tools" / "bench" / "core.py")
assert _spec is not None
assert _spec.loader is not None
core = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(core)

PROFILE = """version: 1
positions: line
events: Ir

ob=(1) /build/core
fl=(1) /src/csrc/tcp/in.c
fn=(1) xw_tcp_input
10 100
fi=(2) /src/csrc/wire/bytes.h
11 7
fe=(1)
12 3
cob=(2) /usr/lib/libcrypto.so.3
cfi=(3) ???
cfn=(2) EVP_DecryptUpdate
calls=5 0
13 5000

ob=(2)
fl=(3)
fn=(2)
0 5000

ob=(1)
fl=(4) /src/csrc/ws/conn.c
fn=(3) poll
+1 20
* 2
totals: 5132
"""


def test_costs_are_counted_where_they_arise() -> None:
    costs = core.self_costs(PROFILE.splitlines(keepends=True))
    assert costs == {("/src/csrc/tcp/in.c", "/build/core"): 103, ("/src/csrc/wire/bytes.h", "/build/core"): 7,
                     ("???", "/usr/lib/libcrypto.so.3"): 5000, ("/src/csrc/ws/conn.c", "/build/core"): 22}
    layers = core.by_layer(costs)
    assert layers == {"eth/ip/tcp": 110, "(libcrypto)": 5000, "ws": 22}
    assert core.total(layers) == 132


@pytest.mark.parametrize(("now", "good"), [(900, True), (1030, True), (1031, False)])
def test_three_per_cent_more_is_too_much(now: int, good: bool) -> None:
    assert (core.judge("batch1", now, 1000, "") == "") is good


def test_a_rise_that_the_changelog_names_is_allowed_up_to_its_limit() -> None:
    text = "* Stamps of every segment (bench-core/batch1: up to 1,200 instructions, 1,000 before).\n"
    assert core.permitted(text, "batch1") == 1200
    assert core.judge("batch1", 1200, 1000, text) == ""
    assert "1,201.0 instructions" in core.judge("batch1", 1201, 1000, text)
    assert core.judge("batch16", 1200, 1000, text) != ""
