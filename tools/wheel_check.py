"""Whether `pip install .` gives a whole package: what git tracks, installed into an environment of its own, plays a
feed to itself.

The package is built outside of the checkout, so that nothing which make generated can hide that it is missing.
"""
from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("xdpws/_enums.py", "xdpws/_bpf/steer.bpf.o", "xdpws/_bpf/steer_nic.bpf.o", "xdpws/_bpf/steer.bcc.c",
          "xdpws/py.typed")
TRY = """
import asyncio, xdpws
from xdpws.sim.config import ExchangeConfig
from xdpws.sim.server import Exchange

async def main():
    async with Exchange(ExchangeConfig(count=500, port=0, speed=None, plain=True)) as exchange:
        async with xdpws.connect(exchange.url, transport="socket") as ws:
            print(sum([1 async for message in ws]), "messages over", ws.transport)

asyncio.run(main())
"""


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command; SystemExit with its last lines when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def main() -> int:
    """Build, install, look, play."""
    with tempfile.TemporaryDirectory() as folder:
        source, env = Path(folder, "source"), Path(folder, "env")
        source.mkdir()
        run("sh", "-c", f"git archive HEAD | tar -x -C {source}", cwd=ROOT)
        run(sys.executable, "-m", "venv", env, cwd=ROOT)
        run(env / "bin/pip", "install", "-q", "--disable-pip-version-check", source, cwd=Path(folder))
        [site] = (env / "lib").glob("python3*/site-packages")
        missing = [name for name in NEEDED if not (site / name).is_file()]
        if missing:
            raise SystemExit(f"missing in the installed package: {', '.join(missing)}")
        print(run(env / "bin/python", "-c", TRY, cwd=Path(folder)).strip())
        print(run(env / "bin/xdpws", "--version", cwd=Path(folder)).strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
