"""The tutorial, from its first command to its last, in one shell and in a topology of its own."""
from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from blocks import ROOT, blocks
from topology import needs_topology, unique_prefix, unique_subnet


@needs_topology
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    prefix, subnet = unique_prefix(), unique_subnet()
    script = ["set -e", f"cd {ROOT}"]
    for block in blocks(ROOT / "docs" / "tutorial.md"):
        text = block.text.replace("10.199.0.", f"{subnet}.").replace("/tmp/xw-ca", str(tmp_path / "ca"))
        text = re.sub(r"\bxw-(v0|v1|srv|cli)\b", rf"{prefix}-\1", text)
        if "shown" in block.words:
            continue
        if block.kind == "python":
            assert block.title, f"{block.name} has no title to be saved under"
            (tmp_path / block.title).write_text(text)
        else:
            script.append(f"echo '== {block.name}'")
            script.append(re.sub(r"\b(feed|fast)\.py\b", rf"{tmp_path}/\1.py", text))
    env = {**os.environ, "XW_TOPO_PREFIX": prefix, "XW_TOPO_SUBNET": subnet, "PYTHONPATH": str(ROOT)}
    end = f"trap 'kill $(jobs -p) 2>/dev/null; vm/topo.sh --prefix {prefix} --subnet {subnet} down' EXIT\n"
    try:
        done = subprocess.run(["bash", "-c", end + "\n".join(script)], capture_output=True, text=True, timeout=100,
                              env=env)
    finally:
        subprocess.run([str(ROOT / "vm" / "topo.sh"), "--prefix", prefix, "--subnet", subnet, "down"], check=False,
                       capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "transport: xdp - " in done.stdout
    assert "transport: socket - " in done.stdout
    assert re.search(r"\d+ bytes, \d+ ns from the ring to here\nTrue", done.stdout)
    assert done.stdout.count("btcusdt@") + done.stdout.count("ethusdt@") >= 10, "five messages twice"
