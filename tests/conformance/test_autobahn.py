"""Autobahn|Testsuite's 301 core cases against the asyncio client over loopback; `make autobahn` runs all 517."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_core_cases_of_the_client(tmp_path: Path) -> None:
    """Nothing failed in either field, nothing unimplemented; a suite that cannot be had here is a skip."""
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "autobahn.py"), "--core", "--out", str(tmp_path),
                           "--timeout", "150"], capture_output=True, text=True, timeout=280, cwd=ROOT)
    if done.returncode == 2:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "autobahn client: 301 cases" in done.stdout
