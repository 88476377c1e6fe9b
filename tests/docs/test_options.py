"""What the pages type is there: every `xdpws COMMAND` and its options, also in indented blocks and in prose."""
from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from blocks import ROOT, blocks, pages

from xdpws.cli.main import COMMANDS, cli

_COMMAND = re.compile(r"\bxdpws (?P<name>[a-z]+)\b(?P<rest>(?:\\\n|[^\n`#|;&])*)")
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[a-z])\b")


def options(name: str) -> set[str]:
    """The options of a command, --help included."""
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    names: set[str] = {"--help", "-h"}
    for parameter in command.params:
        names.update(parameter.opts, parameter.secondary_opts)
    return names


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    text = re.sub(r"^\[Unit\].*?^UNIT$", "", page.read_text(), flags=re.M | re.S)
    for match in _COMMAND.finditer(text):
        name = match["name"]
        begins_code = text[: match.start()].endswith(("`", "    ", "$ ", "/", "exec cli ", "exec srv "))
        typed = begins_code or any(f"\n{match.group()}" in f"\n{block.text}" for block in blocks(page))
        if name not in COMMANDS:
            assert not typed, f"{page.name}: there is no command xdpws {name}"
            continue
        wrong = [option for option in _OPTION.findall(match["rest"]) if option not in options(name)]
        assert not wrong, f"{page.name}: xdpws {name} has no {', '.join(wrong)}"
