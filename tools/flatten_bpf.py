"""Write the steering program as one text for BCC: flatten_bpf.py bpf/steer.bpf.c OUTPUT.

BCC rewrites map accesses in the text that it is given and not in files that this text includes, so every
`#include "…"` is replaced by the file's text (once). `#include <…>` lines stay: the source guards them by XW_BCC, which
is defined in the first line. Comments go, because BCC hands the text to its compiler at every start.
"""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^#include "([^"]+)"[^\n]*$', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def flatten(source: Path, seen: set[Path] | None = None) -> str:
    """The text of `source` with its quoted includes in place; a file that was included before leaves nothing."""
    seen = set() if seen is None else seen
    path = source.resolve()
    if path in seen:
        return ""
    seen.add(path)
    text = COMMENT.sub("", path.read_text(encoding="utf-8"))
    return INCLUDE.sub(lambda m: flatten(path.parent / m.group(1), seen), text)


def main(source: str, target: str) -> None:
    """Flatten `source` into the file `target`."""
    text = re.sub(r"\n\s*\n+", "\n", flatten(Path(source)))
    Path(target).write_text("#define XW_BCC 1\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
