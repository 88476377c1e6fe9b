"""A kernel whose network is stuck (tools/netns_ok.sh) would hang every test that makes a namespace or an interface, and
whoever waits for it: they are skipped and say so."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# They make namespaces or interfaces, or ask the kernel for them.
NEED_NETWORK = ("tests/net/", "tests/bpf/test_attach.py", "tests/bpf/test_loaders.py", "tests/docs/test_tutorial.py")
STUCK = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    asked = subprocess.run([ROOT / "tools/netns_ok.sh"], stdout=subprocess.PIPE, text=True, check=False)
    config.stash[STUCK] = asked.stdout.strip()
    if config.stash[STUCK]:
        os.environ["XW_NETWORK_STUCK"] = config.stash[STUCK]  # topology.missing() says so


def pytest_report_header(config: pytest.Config) -> str:
    return config.stash[STUCK] or "network namespaces are made when asked for"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash[STUCK]:
        skip = pytest.mark.skip(reason=config.stash[STUCK])
        for item in items:
            if item.path.relative_to(ROOT).as_posix().startswith(NEED_NETWORK):
                item.add_marker(skip)
