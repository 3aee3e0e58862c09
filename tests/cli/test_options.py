"""Options are for people: every one is documented, and no command is a back door for another process."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from tests.cli.commands import every_command, options
from vrbench.cli.exits import UsageProblem
from vrbench.cli.main import NEED_LINUX, cli


@pytest.mark.parametrize("words", ["", *every_command()])
def test_no_option_is_hidden_and_each_says_what_it_does(words: str) -> None:
    """What a process inside the lab has to know stands in its plan, not in options that nobody may use."""
    listed = options(every_command()[words] if words else cli)
    assert [o.name for o in listed if o.hidden] == []
    assert [o.name for o in listed if not o.help] == []


@pytest.mark.parametrize("name", NEED_LINUX)
def test_another_system_is_told_what_works_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the command is loaded: it may not even be importable there."""
    monkeypatch.setattr(sys, "platform", "darwin")
    done = CliRunner().invoke(cli, [name], standalone_mode=False)
    assert isinstance(done.exception, UsageProblem)
    assert str(done.exception).startswith(f"vrbench {name} needs Linux, and this is darwin; what works here: init,")
