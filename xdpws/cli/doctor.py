"""`xdpws doctor IFACE`: is this interface, and this host, fit for AF_XDP?"""
from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xdpws.control.preflight import Report, Status, examine

__all__ = ["doctor", "render"]

_STYLE = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


def render(report: Report, console: Console) -> None:
    """The report as a table, then the commands alone so that they can be copied whole."""
    table = Table(title=f"{report.interface}: {report.status.value}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for check in report.checks:
        table.add_row(Text(check.name), Text(check.status.value, _STYLE[check.status]), Text(check.detail))
    console.print(table)
    mends = [check for check in report.checks if check.mend and check.status is not Status.OK]
    if mends:
        console.print("What mends it:")
    for check in mends:
        console.print(Text(f"  # {check.name} ({check.status.value})", "dim"))
        console.print(Text(f"  {check.mend}"), soft_wrap=True)


@click.command()
@click.argument("interface", metavar="IFACE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else there.")
def doctor(interface: str, as_json: bool) -> int:
    """Check whether IFACE and this host are fit for AF_XDP.

    Every line is ok, warn (works, but not at its best) or fail, with the command that mends it. Nothing is changed.
    Exit code 0: nothing failed; 1: something failed; 2: wrong usage.
    """
    report = examine(interface)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        render(report, Console())
    return 1 if report.status is Status.FAIL else 0
