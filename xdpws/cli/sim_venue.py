"""`xdpws sim --venue NAME`: the options that only a played venue has, and those that it does not take."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from xdpws.errors import UsageError
from xdpws.sim.config import DROPS
from xdpws.sim.venues import VENUES
from xdpws.sim.venues.config import VenueConfig

__all__ = ["VENUE_OPTIONS", "venue_config", "venue_options"]

_DEFAULT = VenueConfig("binance")
_F = TypeVar("_F", bound=Callable[..., Any])
_COUNT = click.IntRange(min=0)
_OWN = (
    click.option("--venue", type=click.Choice(sorted(VENUES)), metavar="NAME",
                 help=f"Play a venue instead of a feed: {', '.join(sorted(VENUES))}."),
    click.option("--limit", "limits", multiple=True, metavar="NAME=VALUE",
                 help="With --venue: another rule than the venue's, e.g. life_s=60, connections=2, messages=5/1."),
    click.option("--time-scale", type=float, default=_DEFAULT.time_scale, show_default=True, metavar="X",
                 help="With --venue: its clock runs X times as fast; with 86400 its day takes a second."),
    click.option("--faulty", type=_COUNT, default=_DEFAULT.faulty, show_default=True, metavar="N",
                 help="With --venue: the first N connections have the faults below."),
    click.option("--cut-after", type=_COUNT, metavar="N", help="With --venue: cut after N messages of market data."),
    click.option("--cut", type=click.Choice((*DROPS, "close")), default=_DEFAULT.cut, show_default=True,
                 help="With --venue: how --cut-after cuts; close is a close frame with 1001."),
    click.option("--gap-after", type=_COUNT, metavar="N", help="With --venue: leave messages out after N."),
    click.option("--gap", type=click.IntRange(min=1), default=_DEFAULT.gap, show_default=True, metavar="COUNT",
                 help="With --venue: how many --gap-after leaves out."),
    click.option("--mute-after", type=_COUNT, metavar="N", help="With --venue: open but mute after N messages."),
    click.option("--restart-after", type=_COUNT, metavar="N",
                 help="With --venue: announce a restart after N messages, then close with 1012."),
)
VENUE_OPTIONS = ("limits", "time_scale", "faulty", "cut_after", "cut", "gap_after", "gap", "mute_after",
                 "restart_after")
"""Parameters that need --venue."""
_SHARED = ("rate", "seed", "host", "port", "plain", "cert_dir", "key_type")
_ANYWAY = ("venue", "listen", "once", "as_json", "quiet", "rate", "seed", "plain", "cert_dir", "key_type")


def venue_options(function: _F) -> _F:
    """The decorators of all options in here."""
    for option in reversed(_OWN):
        function = option(function)
    return function


def venue_config(ctx: click.Context, options: dict[str, Any]) -> VenueConfig:
    """The settings from the command line. Raises `UsageError` for options that a venue does not take."""
    for name in options:
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in VENUE_OPTIONS and name not in _ANYWAY:
            what = "a feed" if name == "feed" else f"--{name.replace('_', '-')}"
            raise UsageError(f"venue: {what} does not apply to a played venue")
    values = {name: options[name] for name in (*VENUE_OPTIONS, *_SHARED) if name in options}
    if ctx.get_parameter_source("rate") is not ParameterSource.COMMANDLINE:
        del values["rate"]
    return VenueConfig(options["venue"], **values)
