"""Every code block of the documentation runs against a simulated exchange (see blocks.py for what is substituted)."""
from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from blocks import ROOT, Block, blocks, pages, single_blocks, substituted
from peers.process import PeerProcess, sim_process, venue_process
from topology import Topology, missing

LINES = 3
"""So many lines prove that an endless program works."""
XDPWS = f"{sys.executable} -m xdpws.cli.main"


@pytest.fixture(scope="module")
def topo() -> Iterator[Topology | None]:
    """The two namespaces; None where they cannot be had."""
    if missing():
        yield None
        return
    with Topology() as made:
        yield made


def simulator(block: Block, topo: Topology | None) -> PeerProcess:
    host = topo.srv_ip if topo else "127.0.0.1"
    netns = topo.srv_ns if topo else None
    if block.venue:
        return venue_process(block.venue, "--listen", f"{host}:0", "--rate", "500", netns=netns)
    return sim_process("synthetic", "--listen", f"{host}:0", "--count", "200", "--speed", "20", netns=netns)


def environment(sim: PeerProcess) -> dict[str, str]:
    return {**os.environ, "SSL_CERT_FILE": str(sim.ca), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run(block: Block, command: Sequence[str], sim: PeerProcess, cwd: Path) -> None:
    """To its end, or to its third line if it has none."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd, env=environment(sim),
                               stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    out, deadline = b"", time.monotonic() + 45
    try:
        while time.monotonic() < deadline and not ("endless" in block.words and out.count(b"\n") >= LINES):
            if select.select([process.stdout], [], [], 0.2)[0]:
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                out += piece
        text = out.decode(errors="replace")[-3000:]
        assert "Traceback" not in text, f"{block.name}: {text}"
        if "endless" in block.words:
            assert process.poll() is None, f"{block.name} ended: {text}"
            assert out.count(b"\n") >= LINES, f"{block.name} printed too little: {text}"
        else:
            assert process.wait(10) == 0, f"{block.name}: {text}"
            assert out, f"{block.name} printed nothing"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def needs(block: Block, topo: Topology | None) -> None:
    if "interface" in block.words and topo is None:
        pytest.skip(missing())


def there_are(found: list[Block]) -> list[Block]:
    assert len(found) > 3, "the pages were not found"
    return found


@pytest.mark.parametrize("block", there_are(single_blocks("python")), ids=lambda block: block.name)
def test_python(block: Block, topo: Topology | None, tmp_path: Path) -> None:
    needs(block, topo)
    compile(block.text, block.name, "exec")
    if "shown" in block.words:
        return
    with simulator(block, topo) as sim:
        file = tmp_path / "block.py"
        file.write_text(substituted(block.text, sim.url, topo.cli_if if topo else "lo", XDPWS))
        command = [sys.executable, str(file)]
        run(block, topo.command("cli", *command) if topo else command, sim, ROOT)


@pytest.mark.parametrize("block", there_are(single_blocks("sh")), ids=lambda block: block.name)
def test_commands(block: Block, topo: Topology | None, tmp_path: Path) -> None:
    needs(block, topo)
    checked = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, timeout=20)
    assert checked.returncode == 0, f"{block.name}: {checked.stderr}"
    if "shown" in block.words:
        return
    with simulator(block, topo) as sim:
        text = substituted(block.text, sim.url, topo.cli_if if topo else "lo", XDPWS)
        command = ["bash", "-ec", f"cd {tmp_path}; export SSL_CERT_FILE={sim.ca}\n{text}"]
        run(block, topo.command("cli", *command) if topo else command, sim, ROOT)


def test_what_is_only_shown_has_a_reason() -> None:
    """Only pages about hardware, an installation or services may show what no test runs."""
    allowed = {"README.md", "tutorial.md", "attach.md", "tune.md", "service.md", "performance.md", "orders.md",
               "capture.md"}
    shown = {block.page.name for page in pages() for block in blocks(page) if "shown" in block.words}
    assert shown <= allowed
