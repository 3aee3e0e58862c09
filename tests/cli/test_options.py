"""Options are for people: every one is documented, and no command is a back door for another process."""

from __future__ import annotations

import pytest

from tests.cli.commands import every_command, options
from vrbench.cli.main import cli


@pytest.mark.parametrize("words", ["", *every_command()])
def test_no_option_is_hidden_and_each_says_what_it_does(words: str) -> None:
    """What a process inside the lab has to know stands in its plan, not in options that nobody may use."""
    listed = options(every_command()[words] if words else cli)
    assert [o.name for o in listed if o.hidden] == []
    assert [o.name for o in listed if not o.help] == []
