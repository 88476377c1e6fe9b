"""The command `xdpws` and its list of sub-commands.

Sub-commands are imported when they are used, so that `xdpws sim` runs where the C extension is not built, and
`xdpws --help` is quick. Exit codes: 0 done, 1 the environment or a peer did not allow it, 2 wrong usage. A
command raises `UsageError` or another `XdpwsError`; `main` prints it and chooses the code.
"""
from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from xdpws.errors import SetupError, UsageError, XdpwsError

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "doctor": ("xdpws.cli.doctor:doctor", "Check whether an interface and this host are fit for AF_XDP."),
    "attach": ("xdpws.cli.attach:attach", "Receive feeds over AF_XDP on an interface and say how it went."),
    "connect": ("xdpws.cli.connect:connect", "Connect to one URL: messages to stdout, stdin lines sent."),
    "bench": ("xdpws.cli.bench:command", "Measure latency and throughput beside C loops and the clients on PyPI."),
    "top": ("xdpws.cli.top:top", "Show live how long messages of running clients take from stage to stage."),
    "tune": ("xdpws.cli.tune:tune", "Set up the host for the lowest latency: show, apply, undo."),
    "record": ("xdpws.cli.record:record", "Receive over AF_XDP and write the steered flows as pcapng."),
    "replay": ("xdpws.cli.replay:replay", "Play a capture through the real path: messages, stages, cost."),
    "sim": ("xdpws.cli.sim:sim", "Play a recorded or synthetic exchange feed to WebSocket clients."),
}
"""Name → ("module:function", one line of help). The function is a `click.Command`."""


class _LazyGroup(click.Group):
    """A group whose commands are those of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module_name, _, function = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(importlib.import_module(module_name), function)
        except ImportError as exc:
            cause, hint = f"{module_name} does not load: {exc}", "make setup"
            raise SetupError(f"start xdpws {cmd_name}", cause, hint) from None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _version() -> str:
    try:
        return version("xdpws")
    except PackageNotFoundError:
        return "0.1.0 (source tree)"


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), "--version", "-V", prog_name="xdpws")
def cli() -> None:
    """Exchange market data over wss:// by kernel-bypass AF_XDP, with the same API over a kernel socket."""


def _text(exc: XdpwsError) -> str:
    """The error for people; a `SetupError` has what to type on a line of its own."""
    if isinstance(exc, SetupError):
        return f"{exc.step}: {exc.cause}" + (f"\n  try: {exc.hint}" if exc.hint else "")
    return str(exc)


def main(args: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors of xdpws are printed, never shown as a traceback."""
    try:
        result = cli.main(args=args, prog_name="xdpws", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        return 130
    except XdpwsError as exc:
        click.echo(f"xdpws: {_text(exc)}", err=True)
        return 2 if isinstance(exc, UsageError) else 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
