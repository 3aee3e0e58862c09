"""How a run ended: as an exit code and in words, the same from a process inside a lab as from this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vrbench.cli.ending import NAME, Ending, ending_of, read_ending, tell, write_ending
from vrbench.cli.exits import Exit
from vrbench.cloud.errors import CloudError
from vrbench.run.errors import CannotReuse
from vrbench.run.interrupts import HANDLED
from vrbench.run.order import RunOutcome
from vrbench.store.directory import RunDir


@pytest.fixture
def store(tmp_path: Path) -> RunDir:
    """Make a run's directory."""
    return RunDir.create(tmp_path, "20261124T120000Z-1a2b3c4d-small", 0)


@pytest.mark.parametrize(
    ("outcome", "code", "clean"),
    [
        (RunOutcome(), Exit.OK, True),
        (RunOutcome(interrupted=True), Exit.OK, False),
        (RunOutcome(error=CloudError("no")), Exit.FAILED, False),
        (RunOutcome(error=CannotReuse("no")), Exit.USAGE, False),
        (RunOutcome(error=KeyError("no")), Exit.BUG, False),
        (RunOutcome(left=("network n",)), Exit.FAILED, False),
        (RunOutcome(left=("network n",), error=CannotReuse("no")), Exit.FAILED, False),
        (RunOutcome(left=("network n",), accepted=True), Exit.OK, False),
        (RunOutcome(problems=("odd",)), Exit.OK, True),
    ],
)
def test_an_outcome_has_its_exit_code(outcome: RunOutcome, code: int, clean: bool) -> None:
    """What is left in the cloud outweighs everything else, unless the profile accepts it."""
    ending = ending_of(outcome)
    assert (ending.code, ending.clean) == (code, clean)


def test_what_was_written_inside_is_read_outside(store: RunDir) -> None:
    """Every part of it."""
    ending = Ending(Exit.FAILED, "no room", True, ("network n",), ("odd",))
    write_ending(store, ending)
    assert read_ending(store, 0) == ending


@pytest.mark.parametrize(("code", "told"), [(2, 2), (0, Exit.FAILED), (-9, Exit.FAILED)])
@pytest.mark.parametrize("text", [None, "[]", '{"code": "x"}'])
def test_a_process_that_said_nothing_has_failed(store: RunDir, text: str | None, code: int, told: int) -> None:
    """Its exit code is all there is; none, or that of a signal, is no success."""
    if text is not None:
        (store.path / NAME).write_text(text)
    ending = read_ending(store, code)
    assert ending.code == told
    assert f"exit code {code}" in ending.error


def test_everything_is_said_with_what_to_do(store: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, one line each."""
    tell(Ending(Exit.FAILED, "no room", True, ("network n",), ("while removing: odd",)), store, in_lab=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "vrbench: no room",
        "interrupted; what was measured is kept",
        "while removing: odd",
        "still in the cloud: network n",
        f"remove it with: vrbench cleanup {store.path}",
    ]


def test_what_was_in_a_lab_is_gone_with_it(store: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to clean up."""
    tell(Ending(Exit.FAILED, left=("network n",)), store, in_lab=True)
    assert capsys.readouterr().err == "1 object went with the lab\n"
    tell(Ending(), store, in_lab=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", HANDLED)
def test_a_signal_at_the_very_end_changes_no_exit_code(number: int) -> None:
    """All is done and told by then, and the interpreter takes its time to close."""
    late = (
        f"import atexit, os, sys; from vrbench.cli.main import main; atexit.register(os.kill, os.getpid(), {number:d})"
    )
    command = [sys.executable, "-c", f"{late}; sys.argv = ['vrbench', 'profiles', 'no-such-profile']; main()"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (Exit.USAGE, 1)
