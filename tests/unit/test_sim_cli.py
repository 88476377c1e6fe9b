"""`xdpws sim` as a process, and the skeleton of the command: ready lines, exit codes, errors that help."""
from __future__ import annotations

import asyncio
import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from peers.process import ROOT, PeerFailed, PeerProcess, sim_process, venue_process
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from xdpws.cli import main as cli_main
from xdpws.cli.sim import parse_listen, parse_speed
from xdpws.digest import FeedDigest
from xdpws.errors import UsageError


def xdpws(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "xdpws.cli.main", *arguments], capture_output=True, text=True,
                          cwd=ROOT, timeout=60)


async def receive_all(url: str, ca: Path | None) -> tuple[FeedDigest, int | None]:
    digest = FeedDigest()
    context = ssl.create_default_context(cafile=ca) if ca else None
    async with connect(url, ssl=context, compression=None, max_size=None) as client:
        try:
            while True:
                message = await client.recv()
                digest.update(message.encode() if isinstance(message, str) else message)
        except ConnectionClosed:
            return digest, client.close_code


def test_once_serves_one_client_and_ends_with_0() -> None:
    with sim_process("synthetic", "--listen", "127.0.0.1:0", "--speed", "max", "--count", "500", "--once") as sim:
        digest, code = asyncio.run(receive_all(sim.url, sim.ca))
        assert sim.wait() == 0
        assert (digest.messages, code) == (500, 1000)
        assert digest.hexdigest() == sim.ready["rx_sha256"]
        assert sim.ready["messages"] == 500
        assert sim.port == int(sim.url.rsplit(":", 1)[1].rstrip("/"))
        assert re.search(r"^127\.0\.0\.1:\d+ TLSv1\.3 \S+ \S+: 500 messages, closed with 1000", sim.log(), re.M)
        assert sim.ca is not None
        assert not sim.ca.exists(), "the temporary certificate is gone"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_0_also_while_a_client_is_there(number: signal.Signals) -> None:
    with sim_process("synthetic", "--listen", "127.0.0.1:0", "--plain", "--loop", "0") as sim:
        assert sim.ready["messages"] is None
        assert sim.ready["rx_sha256"] is None
        assert sim.ca is None
        with socket.create_connection(("127.0.0.1", sim.port)):
            sim.process.send_signal(number)
            assert sim.wait() == 0
        assert "Traceback" not in sim.log()


def test_ready_line_for_people(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "xdpws.cli.main", "sim", "synthetic", "--listen", "localhost:0", "--cert-dir",
            str(tmp_path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 0
    assert re.fullmatch(rf"listening on wss://localhost:\d+/ CA {re.escape(str(tmp_path))}/ca\.pem\n", line)
    assert (tmp_path / "ca.pem").exists(), "a chosen folder is kept"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sim"], 2, "Missing argument"),
        (["sim", "synthetic", "--speed", "fast"], 2, "neither a number nor max"),
        (["sim", "synthetic", "--listen", "host:http"], 2, "not a port number"),
        (["sim", "synthetic", "--records", "big"], 2, "coalesce:N"),
        (["sim", "synthetic", "--ciphers", "NONE-SUCH"], 2, "ciphers"),
        (["sim", "synthetic", "--count", "0"], 2, "count"),
        (["sim", "synthetic", "--cert", "/x"], 2, "give both or neither"),
        (["sim", "/no/such.gz"], 1, "read feed /no/such.gz: No such file"),
        (["sim", "synthetic", "--cert", "/no/c", "--key", "/no/k"], 1, "load the certificate: there is no file /no/c"),
        (["sim", "synthetic", "--listen", "192.0.2.1:9443"], 1, "listen on 192.0.2.1:9443"),
        (["nonsense"], 2, "No such command"),
        (["--nonsense"], 2, "No such option"),
    ],
)
def test_exit_codes_and_words(arguments: list[str], code: int, words: str) -> None:
    result = xdpws(*arguments)
    assert result.returncode == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_help_of_every_option() -> None:
    result = xdpws("sim", "--help")
    assert result.returncode == 0
    for option in ("--listen", "--plain", "--cert", "--speed", "--loop", "--drop-after", "--ping-interval", "--stamp",
                   "--records", "--fragment", "--half-close", "--reset-mid-frame", "--groups", "--once", "--json"):
        assert option in result.stdout
    assert "sim " in xdpws("--help").stdout
    assert xdpws("--version").stdout.startswith("xdpws, version ")


def test_command_that_cannot_be_loaded_hurts_only_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli_main.COMMANDS, "broken", ("xdpws.no_such_module:command", "Broken."))
    assert cli_main.main(["broken"]) == 1
    assert "start xdpws broken: xdpws.no_such_module does not load" in capsys.readouterr().err
    assert cli_main.main(["--help"]) == 0
    assert "broken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "value"),
    [("10.0.0.1:443", ("10.0.0.1", 443)), (":0", ("127.0.0.1", 0)), ("0.0.0.0", ("0.0.0.0", 9443)),
     ("[::1]:9443", ("::1", 9443)), ("[::1]", ("::1", 9443))],
)
def test_listen(text: str, value: tuple[str, int]) -> None:
    assert parse_listen(text) == value


@pytest.mark.parametrize("text", ["a:b", "::1", "[::1:9443", "[::1]9443", "h:-1", "h:²"])
def test_listen_refused(text: str) -> None:
    with pytest.raises(UsageError, match="listen"):
        parse_listen(text)


def test_speed() -> None:
    assert (parse_speed("max"), parse_speed("2.5"), parse_speed("10x")) == (None, 2.5, 10.0)


def test_peer_that_does_not_get_ready_is_reported_with_its_words() -> None:
    with pytest.raises(PeerFailed, match="No such file"):
        sim_process("/no/such.gz")
    with pytest.raises(PeerFailed, match="said nothing"):
        PeerProcess([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.3)


def test_a_venue_is_played_and_takes_only_its_own_options() -> None:
    with venue_process("okx", "--listen", "127.0.0.1:0", "--limit", "idle_s=none") as sim:
        assert sim.url.endswith("/ws/v5/public")
        assert (sim.ready["messages"], sim.ready["rx_sha256"]) == (None, None)

        async def first() -> str:
            async with connect(sim.url, ssl=ssl.create_default_context(cafile=sim.ca)) as client:
                await client.send("ping")
                return str(await client.recv())

        assert asyncio.run(first()) == "pong"
    for arguments, words in ((["--venue", "okx", "--speed", "2"], "--speed does not apply"),
                             (["--venue", "okx", "synthetic"], "a feed does not apply"),
                             (["synthetic", "--cut-after", "5"], "applies only with --venue"),
                             (["--venue", "okx", "--limit", "x=1"], "limit: ")):
        done = xdpws("sim", *arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
