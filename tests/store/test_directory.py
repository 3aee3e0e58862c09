"""Run directories: one owner at a time, replaced whole or not at all, found by any unique beginning of their name."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.report.runs import CONTEXT, METHOD
from vrbench.core.figures.results import RunState
from vrbench.store.directory import RunDir, find_run, new_run_id, run_paths
from vrbench.store.files import NoSuchRun, RunInUse, StoreError, read_json, replace_text

HOLD = """
import sys
from pathlib import Path
from vrbench.core.figures.results import RunState
from vrbench.store.directory import RunDir
with RunDir(Path(sys.argv[1])).owned():
    print("held", flush=True)
    sys.stdin.read()
"""


def made(reports: Path, name: str = "20261124T120000Z-1a2b3c4d-x") -> RunDir:
    """Return a run that is done."""
    run = RunDir.create(reports, name, 0)
    run.write_run(RunState.DONE, CONTEXT, METHOD, {"cloud": {"endpoint": "https://cloud.example/client/api"}})
    return run


def test_names_sort_by_time_in_utc_and_are_safe_in_file_names() -> None:
    """Whatever the zone of the clock and the name of the profile."""
    noon = datetime(2026, 11, 24, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    assert new_run_id(noon, "My/Profile ").startswith("20261124T120000Z-")
    assert new_run_id(noon, "My/Profile ").endswith("-my-profile")
    assert new_run_id(noon, "//").endswith("-run")
    assert new_run_id(noon, "x") != new_run_id(noon, "x")


def test_a_run_has_one_owner(tmp_path: Path) -> None:
    """Another process is refused while one works on it; the lock goes with its process."""
    run = made(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin
    assert holder.stdout
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunInUse, match="still going on"), run.owned():
            pass
        holder.kill()
    with run.owned():
        pass


def test_a_full_disk_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"MB left, and this run may write .* choose another place"):
        RunDir.create(tmp_path, "x", 1 << 62)


def test_a_place_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    """A file stands where the directory of reports should be."""
    (tmp_path / "reports").write_text("")
    with pytest.raises(StoreError, match=r"can't make .*: Not a directory; choose another place"):
        RunDir.create(tmp_path / "reports", "x", 0)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """When it can't be, the old one stays and nothing else is left behind."""
    path = tmp_path / "here" / "facts.json"
    path.parent.mkdir()
    replace_text(path, "old", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    taken = tmp_path / "here" / "taken"
    taken.mkdir()
    (taken / "file").write_text("")
    with pytest.raises(StoreError, match="can't write"):
        replace_text(taken, "new")  # a directory that is not empty can't be replaced
    assert sorted(p.name for p in path.parent.iterdir()) == ["facts.json", "taken"]
    with pytest.raises(StoreError, match="can't write"):
        replace_text(tmp_path / "nowhere" / "facts.json", "new")


def test_a_disk_that_fills_up_takes_nothing_away(tmp_path: Path) -> None:
    """The old file stays as it was when the new one does not fit."""
    path = tmp_path / "facts.json"
    replace_text(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError, match="File too large; free some space"):
            replace_text(path, "new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]


@pytest.mark.parametrize(
    ("text", "words"), [("", "is not JSON"), ("[1]", "does not hold a JSON object"), (None, "can't read")]
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    """With the file's name."""
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StoreError, match=words) as refused:
        read_json(path)
    assert str(path) in str(refused.value)


def test_a_run_is_found_by_a_unique_beginning(tmp_path: Path) -> None:
    """Or by its path; else the message names the candidates, or the newest runs there are."""
    first, second = made(tmp_path, "20261124T1-a"), made(tmp_path, "20261124T2-b")
    assert find_run(tmp_path, "20261124T2") == second.path
    assert find_run(tmp_path / "elsewhere", str(first.path)) == first.path
    with pytest.raises(NoSuchRun, match="could be any of: 20261124T1-a, 20261124T2-b"):
        find_run(tmp_path, "2026")
    with pytest.raises(NoSuchRun, match="the newest there: 20261124T1-a, 20261124T2-b"):
        find_run(tmp_path, "2027")
    with pytest.raises(NoSuchRun, match="the newest there: none"):
        find_run(tmp_path / "elsewhere", "2027")


def test_a_journal_alone_makes_a_run(tmp_path: Path) -> None:
    """A run that broke before its first note has a cloud to clean up all the same."""
    broken = RunDir.create(tmp_path, "broken", 0)
    broken.journal.write_text("")
    assert find_run(tmp_path, "broken") == broken.path
    assert (broken.endpoint(), broken.in_lab(), broken.has_environment()) == ("", False, False)


def test_a_run_says_where_it_was_measured(tmp_path: Path) -> None:
    """The address from its profile; the lab from its directory, or from its notes when that is gone."""
    run = made(tmp_path)
    assert run.endpoint() == "https://cloud.example/client/api"
    assert run.in_lab() is CONTEXT.lab
    run.lab.mkdir()
    assert run.in_lab()


def test_secrets_are_forgotten(tmp_path: Path) -> None:
    """Also when there are none (any more)."""
    run = made(tmp_path)
    for path in (run.key, run.known_hosts):
        path.write_text("secret")
    run.forget_secrets()
    run.forget_secrets()
    assert not {"key", "known_hosts"} & set(os.listdir(run.path))


def test_a_reports_folder_that_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    """Its runs may have left something in a cloud: "no runs" would be a lie. One that was never made has none."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(StoreError, match="loop: Too many levels"):
        run_paths(loop)
    assert run_paths(tmp_path / "never made") == []
