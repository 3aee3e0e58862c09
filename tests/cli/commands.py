"""The commands there are, for tests that ask something of each."""

from __future__ import annotations

import click

from vrbench.cli.main import COMMANDS, cli


def every_command() -> dict[str, click.Command]:
    """Return every command and subcommand by its words."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
    return found


def options(command: click.Command) -> list[click.Option]:
    """Return the options of a command, without its arguments."""
    return [p for p in command.params if isinstance(p, click.Option)]
