"""Install Autobahn|Testsuite 25.10.1 into a folder: autobahn_setup.py [FOLDER]. Quick when it is there already.

A set-up that is ready elsewhere is used as it is: $AUTOBAHN_SUITE, or ../shared/autobahn, with the suite in py2/.

The suite is of CPython 2.7's time, and so is what it needs. That interpreter is looked for in $AUTOBAHN_PYTHON, on the
PATH and in pyenv's versions; everything else comes from PyPI. `ensure` raises Unavailable, with the reason, when one
of them cannot be had.
"""
from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "25.10.1"
_READY = f"autobahntestsuite {VERSION}\n"
# In this order: each step's build needs what the one before brought.
_STEPS = (
    ("pip==20.3.4", "setuptools==44.0.0", "wheel==0.36.2", "incremental==16.10.1"),
    ("--no-build-isolation", "pyOpenSSL==19.1.0", "cryptography==3.3.2", "Twisted==19.10.0",
     f"autobahntestsuite=={VERSION}"),
)


class Unavailable(RuntimeError):
    """The suite cannot be had here; the text says why."""


def find_python2() -> str:
    """The path of a CPython 2.7 with pip; Unavailable if there is none."""
    pyenv = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    if shutil.which("pyenv"):
        asked = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
        pyenv = asked.stdout.strip() or pyenv
    candidates = [os.environ.get("AUTOBAHN_PYTHON"), shutil.which("python2.7"),
                  *sorted(glob.glob(f"{pyenv}/versions/2.7*/bin/python2.7"), reverse=True)]
    for path in candidates:
        if path and subprocess.run([path, "-m", "pip", "--version"], capture_output=True, check=False,
                                   env=_environment()).returncode == 0:
            return path
    raise Unavailable("no CPython 2.7 with pip: none in $AUTOBAHN_PYTHON, on the PATH or in pyenv")


def _environment(**more: str) -> dict[str, str]:
    """Without what this interpreter's environment says of paths."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return env | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_PYTHON_VERSION_WARNING": "1"} | more


def _run(log: Path, argv: list[str], **more: str) -> None:
    with log.open("ab") as out:
        done = subprocess.run(argv, stdout=out, stderr=out, env=_environment(**more), check=False)
    if done.returncode != 0:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise Unavailable(f"{' '.join(argv[-4:])}: {lines[-1] if lines else 'failed'} (all of it: {log})")


def ready_elsewhere() -> Path | None:
    """The interpreter of a set-up that somebody else made, if it has the suite in our version."""
    shared = Path(__file__).resolve().parents[2] / "shared" / "autobahn"
    for folder in (os.environ.get("AUTOBAHN_SUITE"), shared):
        python = Path(folder or "/nonexistent") / "py2" / "bin" / "python"
        if not python.exists():
            continue
        asked = subprocess.run([str(python), "-c", "import autobahntestsuite as a; print(a.__version__)"],
                               capture_output=True, text=True, check=False, env=_environment())
        if asked.stdout.strip() == VERSION:
            return python
    return None


def ensure(folder: Path) -> Path:
    """Install the suite into `folder` if it is neither there nor ready elsewhere; returns its Python interpreter."""
    folder = folder.resolve()
    python, stamp, log = folder / "py2" / "bin" / "python", folder / "ready", folder / "setup.log"
    if stamp.is_file() and stamp.read_text() == _READY and python.exists():
        return python
    elsewhere = ready_elsewhere()
    if elsewhere is not None:
        return elsewhere
    python2 = find_python2()
    shutil.rmtree(folder / "py2", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    tool = folder / "virtualenv"
    _run(log, [python2, "-m", "pip", "install", "--upgrade", "--target", str(tool), "virtualenv==16.7.12"])
    _run(log, [python2, "-m", "virtualenv", "--no-download", str(folder / "py2")], PYTHONPATH=str(tool))
    for step in _STEPS:
        _run(log, [str(python), "-m", "pip", "install", *step])
    stamp.write_text(_READY)
    return python


if __name__ == "__main__":
    try:
        print(ensure(Path(sys.argv[1] if len(sys.argv) > 1 else "build/autobahn")))
    except Unavailable as reason:
        sys.exit(f"Autobahn|Testsuite cannot be installed: {reason}")
