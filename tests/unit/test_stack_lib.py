"""The stack in a box as others get it: what the archive needs from outside, and the header by itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = ROOT / "build" / "libxdpws_stack.a"
# What a compiler may call for by itself (GCC manual, "Standards"), its stack protector, and what its own runtime knows
# of the CPU (__builtin_cpu_supports, in libgcc.a), with the table that position-independent code finds that by.
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "__stack_chk_fail", "__cpu_model", "_GLOBAL_OFFSET_TABLE_"}

pytestmark = pytest.mark.skipif(any(shutil.which(t) is None for t in ("make", "cc", "nm")), reason="needs make, cc, nm")


@pytest.fixture(scope="module")
def archive() -> Path:
    subprocess.run(["make", "-s", "stack-lib"], cwd=ROOT, check=True, timeout=300)
    return ARCHIVE


def test_needs_nothing_from_outside(archive: Path) -> None:
    needed, defined = set(), set()
    listing = subprocess.run(["nm", archive], check=True, capture_output=True, text=True).stdout
    for words in (line.split() for line in listing.splitlines()):
        if len(words) >= 2 and words[-2] == "U":
            needed.add(words[-1])
        elif len(words) == 3:
            defined.add(words[2])
    assert "xw_stack_create" in defined
    assert needed - defined <= ALLOWED


def test_keeps_nothing_between_calls(archive: Path) -> None:
    """No global symbol that can be written, no zeroed memory: everything hangs from what was handed in."""
    listing = subprocess.run(["nm", archive], check=True, capture_output=True, text=True).stdout
    kinds = {words[-2] for words in (line.split() for line in listing.splitlines()) if len(words) == 3}
    assert not kinds & set("bBCDgGsSV"), kinds


@pytest.mark.parametrize("language", ["c", "c++"])
def test_header_stands_alone(archive: Path, tmp_path: Path, language: str) -> None:
    if language == "c++" and shutil.which("c++") is None:
        pytest.skip("needs c++")
    shutil.copy(ROOT / "csrc" / "xw_stack.h", tmp_path)
    source = tmp_path / ("main.c" if language == "c" else "main.cc")
    source.write_text("""#include "xw_stack.h"
int main(void) {
    struct xw_stack_cfg cfg;
    xw_stack_cfg_default(&cfg);
    cfg.ip = 0x0a000001u;
    return xw_stack_size(&cfg) == 0;
}
""")
    compiler = ["cc", "-std=c11"] if language == "c" else ["c++", "-std=c++11"]
    program = tmp_path / "main"
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", source, archive, "-o", program], check=True)
    assert subprocess.run([program]).returncode == 0
