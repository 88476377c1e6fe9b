"""Other people's libraries, installed from PyPI into an environment of the bench's own (never into the project's)."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from xdpws.bench.clients import ClientSpec

_INSTALL_S = 180


def interpreter(venv: Path) -> Path:
    """The Python of the environment."""
    return venv / "bin" / "python"


def _run(command: list[str]) -> str:
    """"" or why it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    return "" if not done.returncode else (lines[-1] if lines else f"exit code {done.returncode}")


def _installed(python: Path) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.metadata['Name'].lower() for d in m.distributions()))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return set(done.stdout.replace("_", "-").split())


def install(venv: Path, clients: list[ClientSpec]) -> dict[str, str]:
    """Make the environment and install what the clients need; {client: why it is missing} for those that cannot run."""
    peers = [client for client in clients if client.kind == "peer"]
    if not peers:
        return {}
    python = interpreter(venv)
    if not python.exists() and (why := _run([sys.executable, "-m", "venv", str(venv)])):
        return {client.name: f"no environment for peers: {why}" for client in peers}
    have = _installed(python)
    failed: dict[str, str] = {}
    for need in sorted({need for client in peers for need in client.needs} - have):
        why = _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", need])
        if why:
            failed[need] = why
    return {client.name: "; ".join(f"{need} cannot be installed: {failed[need]}" for need in client.needs
                                   if need in failed)
            for client in peers if any(need in failed for need in client.needs)}
