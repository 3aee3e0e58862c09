"""Runs that belong to another user, as those that were measured with sudo."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vrbench.cli.error_codes import code_and_text
from vrbench.cli.exits import Exit
from vrbench.cli.main import cli
from vrbench.store.directory import RunDir, find_run, run_paths
from vrbench.store.files import NotYours, StoreError, failure, read_json

NOBODY = 65534


@pytest.fixture
def reports() -> Iterator[Path]:
    """Two runs where both users can look: root's own, and one of the user whom the test becomes."""
    if os.geteuid():
        pytest.skip("becoming another user takes root")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    for name, uid in (("20261124-roots", 0), ("20261125-mine", NOBODY)):
        run = RunDir.create(place, name, 0)
        (run.path / "run.json").write_text("{}")
        for path in (run.path / "run.json", run.path):
            os.chown(path, uid, -1)
    os.seteuid(NOBODY)
    yield place
    os.seteuid(0)
    shutil.rmtree(place)


def test_it_is_said_whose_it_is_and_what_to_do(reports: Path) -> None:
    """Found by the beginning of its name, like any other."""
    path = find_run(reports, "20261124")
    with pytest.raises(NotYours, match=r"run.json: it belongs to root. Use sudo, or run vrbench as root") as caught:
        read_json(path / "run.json")
    assert code_and_text(caught.value)[0] == Exit.USAGE


def test_cleaning_all_goes_on_with_the_others(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that can't be read stops nothing, and is told."""
    assert len(run_paths(reports)) == 2
    code = cli.main(["cleanup", "--all", "--reports", str(reports)], standalone_mode=False)
    out, err = capsys.readouterr()
    assert out.startswith("20261125-mine: nothing left, as there is no journal")
    assert "20261124-roots: can't write" in err
    assert "it belongs to root. Use sudo" in err
    assert code == Exit.USAGE


def test_what_is_no_matter_of_users_is_worded_as_before(tmp_path: Path) -> None:
    """A full disk is no reason to become somebody else, and neither is a file of one's own."""
    full = failure("write", tmp_path, OSError(28, "No space left on device"), "; free some")
    own = failure("read", tmp_path, PermissionError(13, "Permission denied"))
    assert type(full) is type(own) is StoreError
    assert str(full) == f"can't write {tmp_path}: No space left on device; free some"


def test_a_user_without_a_name_is_named_by_number(tmp_path: Path) -> None:
    """As in a container."""
    if os.geteuid():
        pytest.skip("giving a file away takes root")
    os.chown(tmp_path, 4_000_001, -1)
    assert "it belongs to user 4000001." in str(failure("read", tmp_path, PermissionError(13, "denied")))
