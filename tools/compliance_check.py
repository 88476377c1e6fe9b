"""Checks the compliance tables in docs/: every requirement has one row, and every test it names exists and runs.

docs/compliance-tcp.md has the numbers of RFC 9293's appendix B. docs/compliance-ws.md has a letter for each requirement
of each section of RFC 6455 and RFC 7692, without gaps; no section with requirements may be missing.

Prints `file: text` for each fault; exit code 1 if there is any.
"""
from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# RFC 9293 appendix B numbers its requirements without gaps.
CLASSES = {"MUST": 69, "SHLD": 31, "MAY": 18, "REC": 1}
STATES = ("done", "deviation", "not applicable")
# The sections that demand something of an endpoint.
SECTIONS = {
    "6455": ("3", "4.1", "4.2.1", "4.2.2", "4.4", "5.1", "5.2", "5.3", "5.4", "5.5", "5.5.1", "5.5.2", "5.5.3", "5.6",
             "5.8", "6.1", "6.2", "7.1.1", "7.1.2", "7.1.4", "7.1.5", "7.1.7", "7.2.1", "7.2.2", "7.2.3", "7.4.1",
             "7.4.2", "8.1", "9.1", "10.1", "10.3", "10.4", "10.6", "10.7"),
    "7692": ("5", "5.1", "5.2", "6", "6.1", "6.2", "7", "7.1", "7.1.1.1", "7.1.1.2", "7.1.2.1", "7.1.2.2", "7.2.1",
             "7.2.2", "7.2.3"),
}
_TEST = re.compile(r"`(test_\w+\.(?:c|py)):(\w+)`")
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


def tcp_idents(seen: Sequence[str]) -> Iterator[str]:
    """What is wrong with the set of identifiers of RFC 9293."""
    wanted = expected_ids()
    yield from (f"{ident}: no row" for ident in wanted if ident not in seen)
    yield from (f"{ident}: RFC 9293 has no such requirement" for ident in seen if ident not in wanted)


def ws_idents(seen: Sequence[str]) -> Iterator[str]:
    """What is wrong with the set of identifiers of RFC 6455 and RFC 7692."""
    letters: dict[str, list[str]] = {f"{rfc} {section}": []
                                     for rfc, sections in SECTIONS.items() for section in sections}
    for ident in dict.fromkeys(seen):
        if ident[:-1] not in letters:
            yield f"{ident}: no section with requirements"
        letters.setdefault(ident[:-1], []).append(ident[-1])
    for section, found in letters.items():
        if not found:
            yield f"{section}: no row"
        elif sorted(found) != [chr(ord("a") + n) for n in range(len(found))]:
            yield f"{section}: the letters {''.join(sorted(found))} have a gap"


@dataclass(frozen=True, slots=True)
class Table:
    """A page, how its identifiers look, and which there must be."""

    page: str
    ident: str
    idents: Callable[[Sequence[str]], Iterator[str]]


TCP = Table("docs/compliance-tcp.md", r"(?:MUST|SHLD|MAY|REC)-\d+", tcp_idents)
WS = Table("docs/compliance-ws.md", r"(?:6455|7692) \d+(?:\.\d+)*[a-z]", ws_idents)


def parse(text: str, table: Table = TCP) -> list[Row]:
    """The rows of the tables; a row with another number of columns has an empty state."""
    rows = []
    for ident, rest in re.findall(rf"^\| ({table.ident}) \|(.*)\|$", text, re.MULTILINE):
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
        elif file.endswith(".py"):
            if not re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE):
                yield f"{row.ident}: {file} has no test {name}"
        elif not re.search(rf"^XT_TEST\({name}\)", source, re.MULTILINE):
            yield f"{row.ident}: {file} has no test {name}"
        elif not re.search(rf"XT_RUN\({name}\)", source):
            yield f"{row.ident}: {file} does not run {name}"


def faults(text: str, sources: dict[str, str], table: Table = TCP) -> Iterator[str]:
    """Everything wrong with the table, given the test programs by file name."""
    rows = parse(text, table)
    seen = Counter(row.ident for row in rows)
    yield from table.idents(list(seen))
    yield from (f"{ident}: {count} rows" for ident, count in seen.items() if count > 1)
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
    sources = {path.name: path.read_text() for pattern in ("test_*.c", "test_*.py")
               for path in (root / "tests").rglob(pattern)}
    found = [f"{table.page}: {fault}" for table in (TCP, WS)
             for fault in faults((root / table.page).read_text(), sources, table)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
