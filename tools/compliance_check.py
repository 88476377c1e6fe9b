"""Checks docs/compliance-tcp.md: every requirement of RFC 9293 has one row, and every test it names exists and runs.

Prints `file: text` for each fault; exit code 1 if there is any.
"""
from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("docs/compliance-tcp.md")
TESTS = Path("tests/c")
# RFC 9293 appendix B numbers its requirements without gaps.
CLASSES = {"MUST": 69, "SHLD": 31, "MAY": 18, "REC": 1}
STATES = ("done", "deviation", "not applicable")
_ROW = re.compile(r"^\| ((?:MUST|SHLD|MAY|REC)-\d+) \|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(test_\w+\.c):(\w+)`")
_SUMS = re.compile(r"(\d+) done, (\d+) deviations with their reason, (\d+) not applicable")


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement: `tests` are (file, name); `note` says how, or why not."""

    ident: str
    requirement: str
    state: str
    tests: tuple[tuple[str, str], ...]
    note: str


def expected_ids() -> list[str]:
    """The 119 numbers of the appendix."""
    return [f"{kind}-{n}" for kind, count in CLASSES.items() for n in range(1, count + 1)]


def parse(text: str) -> list[Row]:
    """The rows of the tables; a row with another number of columns has an empty state."""
    rows = []
    for ident, rest in _ROW.findall(text):
        cells = [cell.strip() for cell in rest.split("|")]
        requirement, state, tests, note = cells if len(cells) == 4 else ("", "", "", "")
        rows.append(Row(ident, requirement, state, tuple(_TEST.findall(tests)), note))
    return rows


def test_faults(row: Row, sources: dict[str, str]) -> Iterator[str]:
    """Tests of a row that are not there or not run by their program."""
    for file, name in row.tests:
        source = sources.get(file)
        if source is None:
            yield f"{row.ident}: there is no {file}"
        elif not re.search(rf"^XT_TEST\({name}\)", source, re.MULTILINE):
            yield f"{row.ident}: {file} has no test {name}"
        elif not re.search(rf"XT_RUN\({name}\)", source):
            yield f"{row.ident}: {file} does not run {name}"


def faults(text: str, sources: dict[str, str]) -> Iterator[str]:
    """Everything wrong with the table, given the test programs by file name."""
    rows = parse(text)
    seen = Counter(row.ident for row in rows)
    wanted = expected_ids()
    yield from (f"{ident}: no row" for ident in wanted if not seen[ident])
    yield from (f"{ident}: {count} rows" for ident, count in seen.items() if count > 1)
    yield from (f"{ident}: RFC 9293 has no such requirement" for ident in seen if ident not in wanted)
    for row in rows:
        if row.state not in STATES:
            yield f"{row.ident}: status is none of {', '.join(STATES)}"
        if row.state == "done" and not row.tests:
            yield f"{row.ident}: done, but no test proves it"
        if row.state in STATES[1:] and not row.note:
            yield f"{row.ident}: {row.state}, but not why"
        yield from test_faults(row, sources)
    sums = _SUMS.search(text)
    counts = Counter(row.state for row in rows)
    if sums is None or [int(n) for n in sums.groups()] != [counts[state] for state in STATES]:
        yield f"the sums at the top should be {[counts[state] for state in STATES]}"


def main() -> int:
    """Checks the project that this file belongs to."""
    root = Path(__file__).resolve().parent.parent
    sources = {path.name: path.read_text() for path in (root / TESTS).glob("test_*.c")}
    found = list(faults((root / TABLE).read_text(), sources))
    for fault in found:
        print(f"{TABLE}: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
