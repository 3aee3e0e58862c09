"""How vrbench lab down ends: what there was to end is told by its exit code, too."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.main import cli
from vrbench.lab.lifecycle import Found


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (Found.LOST, Exit.FAILED, "lab.json was gone: the lab was found by its processes, and is ended"),
        (Found.NOTHING, Exit.OK, "nothing to end"),
    ],
)
def test_what_there_was(found: Found, code: Exit, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrbench.lab.lifecycle.down", lambda _: found)
    done = CliRunner().invoke(cli, ["lab", "down", "--state", str(tmp_path)], standalone_mode=False)
    assert done.return_value == code
    assert words in done.output


def test_a_directory_that_is_no_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrbench.lab.lifecycle.down", lambda _: Found.NO_LAB)
    done = CliRunner().invoke(cli, ["lab", "down", "--state", str(tmp_path)], standalone_mode=False)
    assert isinstance(done.exception, UsageProblem)
