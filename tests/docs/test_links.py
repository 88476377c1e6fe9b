"""Links of README lead to something (mkdocs --strict checks those within docs/), and every page is reachable."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from blocks import ROOT, pages

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the generator and GitHub make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", title.replace("`", "")).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for target in _LINK.findall(text):
        path, _, anchor = target.partition("#")
        assert not path.startswith(("http:", "file:")), f"{page}: {target}"
        if path.startswith("https:"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page}: {target} leads nowhere"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{page}: {there.name} has no heading for #{anchor}"


def test_every_venue_of_the_simulator_is_in_its_table() -> None:
    from xdpws.sim.venues import VENUES

    table = (ROOT / "docs" / "simulator.md").read_text()
    assert [name for name in VENUES if name not in table] == []


def test_every_example_is_named_in_the_how_to() -> None:
    text = "".join(page.read_text() for page in (ROOT / "docs" / "howto").glob("*.md"))
    examples = {path.name for path in (ROOT / "examples").glob("*.py")} - {"common.py"}
    assert {name for name in examples if name not in text} == set()


def test_every_command_has_a_page() -> None:
    from xdpws.cli.main import COMMANDS

    text = "".join(page.read_text() for page in pages())
    assert [name for name in COMMANDS if f"xdpws {name}" not in text] == []
