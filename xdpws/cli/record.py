"""`xdpws record IFACE URL… -o FILE`: receive over AF_XDP and write what comes and goes, with the TLS secrets."""
from __future__ import annotations

from typing import Any

import click

from xdpws.cli.attach import finish
from xdpws.cli.options import tls_from, tls_options, xdp_from, xdp_options
from xdpws.cli.receive import Receiver


@click.command()
@click.argument("interface", metavar="IFACE")
@click.argument("urls", metavar="URL…", nargs=-1, required=True)
@click.option("-o", "--out", required=True, metavar="FILE", help="The capture.")
@xdp_options
@tls_options
@click.option("--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end, nothing else there.")
def record(interface: str, urls: tuple[str, ...], out: str, ca: str | None, insecure: bool, tls_version: str | None,
           tls_engine: Any, keylog: str | None, count: int | None, seconds: float | None, as_json: bool,
           **xdp_values: Any) -> int:
    """Connect to each URL over IFACE, and write the frames of these connections to FILE as pcapng.

    tcpdump does not see what XDP redirects, so the process that owns the rings writes it: both directions, ns times,
    the TLS secrets before the frames that need them. Wireshark, tshark and `xdpws replay` read it as it is. Whoever has
    the file can read the traffic. For a process that trades use its own `--record` or XdpOptions(record=FILE).

    Exit code: 0 received and ended in order, 1 the environment or a peer did not allow it, 2 wrong usage.
    """
    xdp = xdp_from(interface, False, xdp_values | {"record": out})
    receiver = Receiver(urls, transport="xdp", xdp=xdp, tls=tls_from(ca, insecure, tls_version, keylog, tls_engine),
                        count=count, busy_poll=False)
    receiver.run(seconds)
    return finish(receiver, as_json)
