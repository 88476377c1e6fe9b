"""Preflight: whether an interface and its host are fit for AF_XDP, each point with the command that mends it.

`preflight` is pure over `Facts`; `examine` gathers the facts first.
"""
from __future__ import annotations

from xdpws.control.checks import Check, Report, Status
from xdpws.control.checks_host import host_checks
from xdpws.control.checks_nic import nic_checks
from xdpws.control.facts import Facts, gather_facts

__all__ = ["Check", "Facts", "Report", "Status", "examine", "preflight"]


def preflight(facts: Facts) -> Report:
    """Every check over the facts of one interface."""
    return Report(facts.link.name, (*nic_checks(facts), *host_checks(facts)))


def examine(interface: str) -> Report:
    """The report for an interface of this host. `SetupError` if there is none of that name."""
    return preflight(gather_facts(interface))
