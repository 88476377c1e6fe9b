"""tools/docs_nav.py: what the navigation does not name is appended to its last section."""
from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import docs_nav  # noqa: E402


def test_names_are_found_at_any_depth() -> None:
    nav = [{"Start": "index.md"}, "tutorial.md", {"How to": ["howto/a.md", {"B": "howto/b.md"}]}]
    assert docs_nav.named(nav) == {"index.md", "tutorial.md", "howto/a.md", "howto/b.md"}


def test_a_new_page_is_in_the_last_section(tmp_path: Path) -> None:
    for name in ("index.md", "new.md", "howto/other.md", "layer.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# x\n")
    config = {"docs_dir": str(tmp_path), "nav": [{"Start": "index.md"}, {"Explanation": ["layer.md"]}]}
    assert docs_nav.on_config(config)["nav"][-1] == {"Explanation": ["layer.md", "howto/other.md", "new.md"]}
