"""A kernel whose network is stuck (tools/netns_ok.sh) would hang every test that makes a namespace or an interface, and
whoever waits for it: they are skipped and say so."""
from __future__ import annotations

import inspect
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# They make namespaces or interfaces, or ask the kernel for them.
NEED_NETWORK = ("tests/net/", "tests/bpf/test_attach.py", "tests/bpf/test_loaders.py", "tests/docs/test_tutorial.py",
                "tests/unit/test_control_host.py", "tests/unit/test_control_netlink.py", "tests/unit/test_phc.py")
# Words of tests elsewhere that ask it about an interface.
ASKS = ("interface=", "--interface", '"doctor"', '"attach"', "Attachment(", "IPRoute", "/sys/class/net")
STUCK = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    asked = subprocess.run([ROOT / "tools/netns_ok.sh"], stdout=subprocess.PIPE, text=True, check=False)
    config.stash[STUCK] = asked.stdout.strip()
    if config.stash[STUCK]:
        os.environ["XW_NETWORK_STUCK"] = config.stash[STUCK]  # topology.missing() says so


def pytest_report_header(config: pytest.Config) -> str:
    stuck = config.stash[STUCK]
    return f"{stuck}; tests with scapy are left out, those with namespaces skipped" if stuck else (
        "network namespaces are made when asked for")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Importing scapy asks the kernel for its interfaces, so a module that does cannot even be collected."""
    if config.stash[STUCK] and collection_path.suffix == ".py" and "scapy" in collection_path.read_text():
        return collection_path.name != "conftest.py"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash[STUCK]:
        skip = pytest.mark.skip(reason=config.stash[STUCK])
        for item in items:
            path = item.path.relative_to(ROOT).as_posix()
            code = inspect.getsource(item.function) if isinstance(item, pytest.Function) else ""
            code += repr(getattr(item, "callspec", None) and item.callspec.params)  # type: ignore[attr-defined]
            if path.startswith(NEED_NETWORK) or any(word in code for word in ASKS):
                item.add_marker(skip)
