"""Histograms of stages: recorded by a live client, read by another process's view of them, shown by `xdpws top`."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_client import exchange

import xdpws
from xdpws.cli.top import top
from xdpws.config import EngineConfig
from xdpws.errors import SetupError, UsageError
from xdpws.stack.stages import StageArea, areas

HISTOGRAM = EngineConfig(stamps="histogram")


def _area_of(client: xdpws.Client) -> Path:
    area = client.runtime.engine.stages
    assert area is not None
    assert area.path is not None
    return area.path


@pytest.mark.parametrize("batches", [False, True])
def test_a_client_records_every_message_and_top_reads_them(batches: bool) -> None:
    seen = 0

    def take(messages: list[xdpws.Message]) -> None:
        nonlocal seen
        seen += len(messages)

    with exchange(tls="1.3") as running:
        client = (xdpws.Client(running.url, on_batch=take, tls=running.tls, busy_poll=False, config=HISTOGRAM)
                  if batches else xdpws.Client(running.url, lambda m: take([m]), tls=running.tls, busy_poll=False,
                                               config=HISTOGRAM))
        with client:
            client.run(20)
            path = _area_of(client)
            assert path in areas(os.getpid())
            assert path.stat().st_mode & 0o777 == 0o600
            result = CliRunner().invoke(top, [str(os.getpid()), "--once", "--json"], standalone_mode=False)
            shown = CliRunner().invoke(top, [str(os.getpid()), "--once"], standalone_mode=False)
        assert not path.exists()
    (report,) = client.stages()
    assert seen == report.messages == running.messages
    assert not report.live
    assert report.name == running.url
    for stage in ("kernel_to_ring", "ring_to_decrypt", "decrypt", "parse", "parsed_to_user", "first_to_user"):
        histogram = report.stages[stage]
        # the kernel begins to stamp a moment after it was asked to
        assert histogram.count == seen or (stage == "kernel_to_ring" and 0 < histogram.count <= seen)
    assert ("callback" in report.stages and report.stages["callback"].count > 0) or batches
    assert "nic_to_kernel" not in report.stages
    (said,) = json.loads(result.stdout)["connections"]
    assert said["messages"] == seen
    assert said["stages"]["decrypt"]["count"] == seen
    assert said["stages"]["decrypt"]["hdr"]
    assert "parsed to user" in shown.stdout
    assert f"{seen:,} messages" in shown.stdout


def test_stages_that_are_not_recorded() -> None:
    with pytest.raises(UsageError, match="histogram"):
        EngineConfig(stamps="yes")  # type: ignore[arg-type]
    with xdpws.Client("ws://127.0.0.1:1/", lambda m: None) as client, pytest.raises(UsageError, match="not recorded"):
        client.stages()


def test_what_is_left_by_a_killed_process_is_removed() -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True,
                          check=True)
    left = Path(f"/dev/shm/xdpws.{dead.stdout.strip()}.0")
    left.write_bytes(b"")
    assert left not in areas()
    assert not left.exists()


@pytest.mark.parametrize(("content", "why"), [
    (b"", "too short"), (bytes(4096), "not yet written"),
    ((0x3154535357504458).to_bytes(8, "little") + b"\x63" + bytes(4000), "version 99")])
def test_a_file_that_is_no_area_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "xdpws.1.0"
    path.write_bytes(content)
    with pytest.raises(SetupError, match=why):
        StageArea.open(path)
    link = tmp_path / "xdpws.1.1"
    link.symlink_to(path)
    with pytest.raises(SetupError, match="read the histograms"):
        StageArea.open(link)


def test_top_without_a_client_says_what_to_do() -> None:
    with pytest.raises(SetupError) as error:
        CliRunner().invoke(top, ["1", "--once"], standalone_mode=False, catch_exceptions=False)
    assert "stamps" in (error.value.hint or "")
