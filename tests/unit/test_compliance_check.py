"""The checker of the compliance table finds what it is for, and the table is in order."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("compliance_check", ROOT / "tools" / "compliance_check.py")
assert _spec is not None
assert _spec.loader is not None
check = importlib.util.module_from_spec(_spec)
sys.modules["compliance_check"] = check
_spec.loader.exec_module(check)

SOURCES = {"test_a.c": "XT_TEST(one) {\n}\nXT_TEST(idle) {\n}\nXT_MAIN(XT_RUN(one))\n"}


def table(change: dict[str, str] | None = None) -> str:
    """A good table, but for the rows in `change`; an empty row is left out."""
    rows = {i: f"| {i} | text | done | `test_a.c:one` | |" for i in check.expected_ids()}
    rows.update(change or {})
    sums = "119 done, 0 deviations with their reason, 0 not applicable"
    return "\n".join([sums, *(row for row in rows.values() if row), ""])


def test_the_project_is_in_order() -> None:
    assert check.main() == 0


def test_there_are_119() -> None:
    assert len(set(check.expected_ids())) == 119


def test_good_table() -> None:
    assert list(check.faults(table(), SOURCES)) == []


@pytest.mark.parametrize(("row", "fault"), [
    ("", "MUST-7: no row"),
    ("| MUST-7 | text | done | | |", "MUST-7: done, but no test proves it"),
    ("| MUST-7 | text | done | `test_b.c:one` | |", "MUST-7: there is no test_b.c"),
    ("| MUST-7 | text | done | `test_a.c:two` | |", "MUST-7: test_a.c has no test two"),
    ("| MUST-7 | text | done | `test_a.c:idle` | |", "MUST-7: test_a.c does not run idle"),
    ("| MUST-7 | text | deviation | | |", "MUST-7: deviation, but not why"),
    ("| MUST-7 | text | perhaps | `test_a.c:one` | |", "MUST-7: status is none of done, deviation, not applicable"),
    ("| MUST-7 | text | done |", "MUST-7: status is none of done, deviation, not applicable"),
    ("| MUST-6 | text | done | `test_a.c:one` | |", "MUST-6: 2 rows"),
    ("| MUST-70 | text | done | `test_a.c:one` | |", "MUST-70: RFC 9293 has no such requirement"),
])
def test_faults_are_found(row: str, fault: str) -> None:
    assert fault in list(check.faults(table({"MUST-7": row}), SOURCES))


def test_wrong_sums_are_found() -> None:
    text = table().replace("119 done", "118 done")
    assert list(check.faults(text, SOURCES)) == ["the sums at the top should be [119, 0, 0]"]


def ws_table(change: dict[str, str] | None = None) -> str:
    """As `table`, of the WebSocket page."""
    idents = [f"{rfc} {section}a" for rfc, sections in check.SECTIONS.items() for section in sections]
    rows = {i: f"| {i} | text | done | `test_a.c:one` | |" for i in idents}
    rows.update(change or {})
    sums = f"{len(idents)} done, 0 deviations with their reason, 0 not applicable"
    return "\n".join([sums, *(row for row in rows.values() if row), ""])


def test_good_ws_table() -> None:
    assert list(check.faults(ws_table(), SOURCES, check.WS)) == []


@pytest.mark.parametrize(("row", "fault"), [
    ("", "6455 5.5.1: no row"),
    ("| 6455 5.5.1b | text | done | `test_a.c:one` | |", "6455 5.5.1: the letters b have a gap"),
    ("| 6455 5.5.1a | text | done | `test_a.py:one` | |", "6455 5.5.1a: there is no test_a.py"),
    ("| 6455 5.5.1a | text | done | `test_b.py:one` | |", "6455 5.5.1a: test_b.py has no test one"),
    ("| 6455 1.5a | text | done | `test_a.c:one` | |", "6455 1.5a: no section with requirements"),
    ("| 6455 5.5.1a | text | deviation | | |", "6455 5.5.1a: deviation, but not why"),
])
def test_faults_of_ws_are_found(row: str, fault: str) -> None:
    sources = SOURCES | {"test_b.py": "async def two(x):\n"}
    assert fault in list(check.faults(ws_table({"6455 5.5.1a": row}), sources, check.WS))


def test_python_tests_are_found() -> None:
    row = "| 6455 5.5.1a | text | done | `test_b.py:two` | |"
    sources = SOURCES | {"test_b.py": "async def two(x):\n"}
    assert list(check.faults(ws_table({"6455 5.5.1a": row}), sources, check.WS)) == []
