"""Options that several commands share, and what they make of them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from xdpws.config import TlsEngine, TlsOptions, XdpOptions
from xdpws.control.tune_process import ProcessWish
from xdpws.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])


def _all(options: list[Callable[[Any], Any]]) -> Callable[[_F], _F]:
    def decorate(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function
    return decorate


tls_options = _all([
    click.option("--ca", type=click.Path(dir_okay=False), help="PEM file of trusted CAs instead of the system's."),
    click.option("--insecure", is_flag=True, help="Do not verify the certificate. Anybody may be the server then."),
    click.option("--tls-version", type=click.Choice(["1.2", "1.3"]), help="Allow only this version of TLS."),
    click.option("--tls-engine", type=click.Choice(["auto", "openssl", "own"]), default="auto", show_default=True,
                 help="Who protects the records after the handshake: OpenSSL, or xdpws itself."),
    click.option("--keylog", type=click.Path(dir_okay=False), help="Append the TLS secrets to this file."),
])
"""Options of every command that makes TLS connections."""

process_options = _all([
    click.option("--cpu", type=click.IntRange(min=0), help="Run on this core."),
    click.option("--fifo", type=click.IntRange(1, 99), is_flag=False, flag_value=50,
                 help="SCHED_FIFO, with this priority or 50."),
    click.option("--lock-memory", is_flag=True, help="Lock all memory (mlockall)."),
    click.option("--cpu-latency", type=click.IntRange(min=0), metavar="US",
                 help="No idle state that takes longer to leave than US microseconds while this runs."),
])
"""Options of commands that tune their own process; see `xdpws tune`."""

xdp_options = _all([
    click.option("--loader", type=click.Choice(["libbpf", "bcc"]), default="libbpf", show_default=True,
                 help="Load the steering program as compiled ahead of time, or compile it here with BCC."),
    click.option("--mode", type=click.Choice(["auto", "native", "generic"]), default="auto", show_default=True,
                 help="Where the program runs: in the driver, or in the kernel's generic path."),
    click.option("--zero-copy", type=click.Choice(["auto", "on", "off"]), default="auto", show_default=True,
                 help="Let the driver write into our memory."),
    click.option("--nic-time", type=click.Choice(["auto", "on", "off"]), default="auto", show_default=True,
                 help="Ask the NIC for its receive time."),
    click.option("--address", metavar="IP/LEN", help="An address of the stack's own (dedicated mode)."),
    click.option("--replace", is_flag=True, help="Take another XDP program off the interface."),
    click.option("--huge-pages", is_flag=True, help="Try 2 MiB pages for the packet memory."),
])
"""Options of every command that attaches to an interface."""


def process_from(values: dict[str, Any]) -> ProcessWish:
    """What `process_options` say, taken out of `values`."""
    return ProcessWish(values.pop("cpu"), values.pop("fifo") or 0, values.pop("lock_memory"),
                       values.pop("cpu_latency"))


def tls_from(ca: str | None, insecure: bool, tls_version: str | None, keylog: str | None,
             engine: TlsEngine) -> TlsOptions:
    """TLS settings of the command line."""
    if insecure and ca:
        raise UsageError("--ca and --insecure exclude each other")
    low, high = (tls_version, tls_version) if tls_version else ("1.2", "1.3")
    return TlsOptions(verify=not insecure, ca_file=ca, minimum=low, maximum=high,  # type: ignore[arg-type]
                      keylog_file=keylog, engine=engine)


def xdp_from(interface: str, busy_poll: bool, values: dict[str, Any]) -> XdpOptions:
    """XDP settings of the command line; `values`: what `xdp_options` gave."""
    return XdpOptions(interface, busy_poll=busy_poll, **values)
