"""Options are for people: every one is documented, and no command is a back door for another process."""

from __future__ import annotations

import click
import pytest

from vrbench.cli.main import COMMANDS, cli


def every_command() -> dict[str, click.Command]:
    """Every command and subcommand by its words."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {"": cli}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
    return found


@pytest.mark.parametrize("words", list(every_command()))
def test_no_option_is_hidden_and_each_says_what_it_does(words: str) -> None:
    """What a process inside the lab has to know stands in its plan, not in options that nobody may use."""
    options = [p for p in every_command()[words].params if isinstance(p, click.Option)]
    assert [o.name for o in options if o.hidden] == []
    silent = [o.name for o in options if not o.help]
    assert [name for name in silent if name not in SELF_EXPLAINING] == []


SELF_EXPLAINING = ("table", "format_", "direction")  # their choices say it
