"""The package is typed for its users: mypy --strict over a program that uses every face, and over one that errs."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "typed" / "user_program.py"


def mypy(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """mypy as a user runs it, outside of this repository's own settings."""
    return subprocess.run([sys.executable, "-m", "mypy", "--strict", "--config-file", "/dev/null", "--cache-dir",
                           str(ROOT / ".mypy_cache" / "users"), *arguments], cwd=folder, capture_output=True, text=True,
                          check=False)


def test_a_users_program_passes_mypy_strict(tmp_path: Path) -> None:
    done = mypy(str(PROGRAM), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", [
    'xdpws.connect("wss://x/", no_such_parameter=1)', 'xdpws.connect("wss://x/", transport="dpdk")',
    'xdpws.serve(print, 7)', 'xdpws.Keepalive(7)', 'xdpws.no_such_name',
])
def test_mistakes_are_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(f"import xdpws\n{line}\n")
    done = mypy("wrong.py", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "wrong.py:2: error" in done.stdout


def test_it_says_that_it_is_typed() -> None:
    assert (ROOT / "xdpws" / "py.typed").exists()
