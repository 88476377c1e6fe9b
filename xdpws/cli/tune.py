"""`xdpws tune IFACE`: settings of the host for the lowest latency: shown, applied, undone."""
from __future__ import annotations

import json
from dataclasses import asdict

import click

from xdpws.control.tune import HUGE_PAGES, HostFiles, TuneWish, advice, decide, gather_tune, tune_plan
from xdpws.control.tune_state import TuneState
from xdpws.errors import UsageError


@click.command()
@click.argument("interface", metavar="IFACE")
@click.option("--apply", "do_apply", is_flag=True, help="Do it; without it the steps are only shown.")
@click.option("--undo", "do_undo", is_flag=True, help="Take back what --apply has done.")
@click.option("--cpu", type=click.IntRange(min=0), help="The client's core; the last one if it is not given.")
@click.option("--huge-pages", type=click.IntRange(min=0), default=HUGE_PAGES, show_default=True,
              help="2 MiB pages that there should be at least; 0: leave them.")
@click.option("--real-time/--no-real-time", default=True, show_default=True,
              help="The client will spin with SCHED_FIFO: no throttle of real-time threads.")
@click.option("--json", "json_out", is_flag=True, help="One JSON object on stdout and nothing else there.")
def tune(interface: str, do_apply: bool, do_undo: bool, cpu: int | None, huge_pages: int, real_time: bool,
         json_out: bool) -> int:
    """Set up this host for a client that spins on IFACE.

    Interrupts, busy polling, frequency, huge pages, the real-time throttle. Nothing is changed without --apply, and
    what was there before is kept in /run/xdpws until --undo. What the client does itself (its core, SCHED_FIFO, locked
    memory, idle states) are options of `xdpws attach`, which are shown too.

    Exit code: 0 done, 1 the host did not allow it or something could not be taken back, 2 wrong usage.
    """
    if do_apply and do_undo:
        raise UsageError("--apply and --undo exclude each other")
    files = HostFiles()
    state = TuneState(interface, files)
    if do_undo:
        done, trouble = state.undo()
        if json_out:
            click.echo(json.dumps({"interface": interface, "undone": done, "trouble": trouble}))
        else:
            click.echo("\n".join([*done, *trouble]) or f"{interface} is not tuned")
        return 1 if trouble else 0
    facts, wish = gather_tune(interface, files), TuneWish(cpu, huge_pages, real_time)
    settings, lines = decide(facts, wish), advice(facts, wish)
    if do_apply:
        state.apply(settings)
    if json_out:
        click.echo(json.dumps({"interface": interface, "applied": do_apply, "advice": lines,
                               "settings": [asdict(s) for s in settings]}))
        return 0
    click.echo(tune_plan(f"tune {interface}" + (" (done)" if do_apply else ""), settings, files).show())
    click.echo("\n".join(f"  * {line}" for line in lines))
    if settings:
        click.echo(f"take it back: xdpws tune {interface} --undo" if do_apply
                   else f"do it: xdpws tune {interface} --apply")
    return 0
