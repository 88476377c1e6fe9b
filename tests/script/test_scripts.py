"""The scripts beside this file, each run whole: what is expected comes, when it is expected, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pkt_calls import Unsupported, Wrong
from pkt_run import Setup, run_text
from pkt_syntax import SyntaxTrouble, read

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.rglob("*.pkt"))
STRICT = Setup(tolerance_ns=0, strict_end=True)

HANDSHAKE = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
"""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.relative_to(HERE).with_suffix("").as_posix())
def test_script(path: Path) -> None:
    run_text(path.read_text(), STRICT)


@pytest.mark.parametrize(("script", "why"), [
    ("+0 < P. 1:11(10) ack 1 win 65535\n+0 > . 1:1(0) ack 12", "sent: . 1:1(0) ack 11"),
    ("+0 < P. 1:11(10) ack 1 win 65535\n+.1 > . 1:1(0) ack 11", "sent at 0.100000"),
    ("+0 > . 1:1(0) ack 1", "nothing was sent"),
    ("+0 < P. 1:11(10) ack 1 win 65535", "at the end was sent also"),
    ("+0 write(4, ..., 10) = 9", "write returned 10"),
    ("+0 read(4, ..., 10) = 10", "read blocks"),
    ("+0...0.2 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 65535\n+0 > . 1:1(0) ack 11", "read ended at 0.2"),
    ("+0 %{ assert tcpi_state == TCP_CLOSE, tcpi_state }%", "assertion: 1"),
    ("+0 < P. 2:12(10) ack 1 win 65535\n+0 > . 1:1(0) ack 1\n+0 < P. 1:2(1) ack 1 win 65535\n+0 > . 1:1(0) ack 11\n",
     "sent: . 1:1(0) ack 12"),
])
def test_a_wrong_script_is_told_what_was_seen(script: str, why: str) -> None:
    with pytest.raises(Wrong, match=r"line (9|1\d)|at the end") as e:
        run_text(HANDSHAKE + script, STRICT)
    assert why in str(e.value)


def test_octets_are_compared_too() -> None:
    """The payload tells its place in the stream: data that begins elsewhere is found out when it is read."""
    shifted = HANDSHAKE.replace("0:0(0) win", "5:5(0) win").replace("ack 1 <mss", "ack 6 <mss")
    shifted = shifted.replace("1:1(0) ack 1 win", "6:6(0) ack 1 win")
    with pytest.raises(Wrong, match="octets read"):
        run_text(shifted + "+0 < P. 6:16(10) ack 1 win 65535\n+0 > . 1:1(0) ack 16\n+0 read(4, ..., 10) = 10", STRICT)


@pytest.mark.parametrize("line", ["0 socket(..., SOCK_STREAM, IPPROTO_TCP", "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
                                  "+0 > Q. 1:1(0) ack 1", "+0 < . 1:1(0) ack 1 win 5 <mss>"])
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(SyntaxTrouble, match="line 2"):
        read("// a comment\n" + line + "\n")


def test_what_the_stack_has_not_is_named() -> None:
    with pytest.raises(Unsupported, match="TCP_MD5SIG"):
        run_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 setsockopt(3, SOL_TCP, TCP_MD5SIG, [1], 4) = 0")
    with pytest.raises(Unsupported, match="IPv6"):
        run_text("--ip_version=ipv6\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3")
