"""The code blocks of the documentation, and what the tests put in the place of addresses.

A fenced block of `docs/` or README.md begins with ```python or ```sh. A comment right above it says how it is tested:

    <!-- test: WORDS -->     words, separated by blanks:
        endless              it never ends: stopped when it has printed three lines
        interface            it names an interface: it runs in the topology's client namespace, as root
        venue=NAME           the simulator is that venue (else: the synthetic feed)
        shown                it is for hardware or an installation that a test has not: its syntax is checked only

Substitutions, in the text of the block: every `wss://HOST…` becomes the simulator's URL (with the block's path where
the venue has several), `https://api.binance.com` its address, "eth0" the topology's interface, `xdpws` at the
beginning of a command the one of this environment. The simulator's CA is trusted by SSL_CERT_FILE.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"(?:<!-- test:(?P<words>[^>]*)-->\n)?^```(?P<kind>python|sh)(?P<info>[^\n]*)\n(?P<text>.*?)^```$",
                    re.M | re.S)
_WORDS = {"endless", "interface", "shown"}


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its page, the line it begins at, "python" or "sh", its text, and the words of its comment."""

    page: Path
    line: int
    kind: str
    title: str
    text: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people: page and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def venue(self) -> str:
        """The venue to be simulated, "" for the synthetic feed."""
        return next((word.removeprefix("venue=") for word in self.words if word.startswith("venue=")), "")


def pages() -> list[Path]:
    """Every page, README first."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in order. A word that is none is a mistake in the page."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        words = tuple((match["words"] or "").split())
        wrong = [word for word in words if word not in _WORDS and not word.startswith("venue=")]
        line = text.count("\n", 0, match.start("kind")) + 1
        assert not wrong, f"{page}:{line}: {wrong[0]!r} is no word for a test"
        title = re.search(r'title="([^"]+)"', match["info"])
        yield Block(page, line, match["kind"], title[1] if title else "", match["text"], words)


def is_session(page: Path) -> bool:
    """Whether the blocks of a page belong together and run one after another (test_tutorial.py)."""
    return page.name == "tutorial.md"


def single_blocks(kind: str) -> list[Block]:
    """The blocks of all pages that run each by itself."""
    return [block for page in pages() if not is_session(page) for block in blocks(page) if block.kind == kind]


def substituted(text: str, url: str, interface: str, xdpws: str) -> str:
    """A block's text for a test."""
    base = re.sub(r"^(wss://[^/]+).*", r"\1", url)

    def address(match: re.Match[str]) -> str:
        path = match[1] or ""
        return base + path if path.startswith(("/stream", "/ws/")) and url.endswith("/ws") else url

    text = re.sub(r"wss://[a-z0-9.-]+(?::\d+)?(/[^\s\"'\\]*)?", address, text)
    text = text.replace("https://api.binance.com", base.replace("wss://", "https://"))
    text = re.sub(r"\beth0\b", interface, text)
    return re.sub(r"^(\s*(?:sudo )?)xdpws(?= )", lambda match: match[1].replace("sudo ", "") + xdpws, text, flags=re.M)
