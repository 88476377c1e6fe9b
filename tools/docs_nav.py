"""A hook of mkdocs: pages that mkdocs.yml does not name are appended to the last section, so that a layer's page is in
the documentation as soon as it is written."""
from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["named", "on_config"]


def named(nav: Any) -> set[str]:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        return {nav}
    if isinstance(nav, dict):
        return set().union(*map(named, nav.values()))
    return set().union(*map(named, nav)) if nav else set()


def on_config(config: Any) -> Any:
    """Called by mkdocs when it has read its settings."""
    docs = Path(config["docs_dir"])
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    last = next(iter(config["nav"][-1].values()))
    last.extend(sorted(pages - named(config["nav"])))
    return config
