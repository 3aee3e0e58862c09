"""Stored runs, read again: one bad file hides no good trial, and every refusal names the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.report.test_reanalysis import stored
from vrbench.store.files import StoreError
from vrbench.store.loading import load_failures, load_run


def test_one_bad_trial_hides_no_good_one(tmp_path: Path) -> None:
    """What is wrong with it is part of the run."""
    run = stored(tmp_path)
    (run / "trial-02" / "facts.json").write_text('{"number": 2}')
    loaded = load_run(run)
    assert [trial.facts.number for trial in loaded.trials] == [1]
    (problem,) = loaded.unreadable
    assert "trial-02/facts.json is not whole" in problem


@pytest.mark.parametrize("log", [b"not a header\n", b'{"format": "other/1"}\n'])
def test_a_log_that_is_none_is_told(tmp_path: Path, log: bytes) -> None:
    """By its own name, for figures as for failures, which the other trial has all the same."""
    run, noted = stored(tmp_path), list[str]()
    (run / "trial-01" / "harness-syn.raw").write_bytes(log)
    assert "trial-01/harness-syn.raw can't be analysed" in load_run(run).unreadable[0]
    assert {trial for trial, *_ in load_failures(run, noted.append)} == {2}
    assert "trial-01/harness-syn.raw can't be analysed" in noted[0]


def test_a_log_without_a_header_holds_nothing(tmp_path: Path) -> None:
    """A prober that was ended before it wrote: the trial's other logs count."""
    run = stored(tmp_path)
    (run / "trial-01" / "harness-icmp.raw").write_bytes(b"")
    assert len(load_run(run).trials) == 2
    assert {trial for trial, *_ in load_failures(run, pytest.fail)} == {1, 2}


def spoil(run: Path, name: str, place: str, value: object) -> None:
    """Change one value of a file of the run; ``place`` is a path in it, with dots."""
    path = run / name
    whole = json.loads(path.read_text())
    *way, last = place.split(".")
    inner = whole
    for key in way:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[last] = value
    path.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("requested_ns", 10**30, "trialfacts.requested_ns is 1000000000000000000000000000000"),
        ("baseline_s", float("nan"), "trialfacts.baseline_s is nan"),
        ("job_s", float("inf"), "trialfacts.job_s is inf"),
        ("job_s", 10**400, "trialfacts.job_s is 1000000000"),
        ("requested_utc", "yesterday", "trialfacts.requested_utc is 'yesterday'"),
        ("requested_utc", "9999-12-31T23:59:59+00:00", "trialfacts.requested_utc is '9999"),
        ("number", 2, "it says that it is of trial 2"),
        ("\x1b", 1, "which this version does not know"),
    ],
)
def test_what_no_trial_can_have_is_named(tmp_path: Path, place: str, value: object, words: str) -> None:
    """Numbers that no clock comes to, dates that are none, another trial's facts; the other trial is there."""
    run = stored(tmp_path)
    spoil(run, "trial-01/facts.json", place, value)
    loaded = load_run(run)
    assert [trial.facts.number for trial in loaded.trials] == [2]
    assert "trial-01/facts.json" in loaded.unreadable[0]
    assert words in loaded.unreadable[0]


@pytest.mark.parametrize(
    ("place", "value"),
    [("format", ["x"] * 9000), ("run_id", {}), ("state", 10**400), ("method.threshold_s", "1e999")],
)
def test_a_run_that_is_not_whole_is_named(tmp_path: Path, place: str, value: object) -> None:
    """By its file, in a few words."""
    run = stored(tmp_path)
    spoil(run, "run.json", place, value)
    with pytest.raises(StoreError, match=r"run\.json") as caught:
        load_run(run)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "\x00", "", "[]"])
def test_json_that_is_none_of_ours_is_named(tmp_path: Path, text: str) -> None:
    """However deep, however long."""
    run = stored(tmp_path)
    (run / "run.json").write_text(text)
    with pytest.raises(StoreError, match=r"run\.json"):
        load_run(run)


def test_what_is_no_file_is_read_by_nobody(tmp_path: Path) -> None:
    """A pipe in a log's place would be waited for, and a file with holes of terabytes would be read."""
    run = stored(tmp_path)
    log, other = run / "trial-01" / "harness-syn.raw", run / "trial-02" / "harness-syn.raw"
    log.unlink()
    os.mkfifo(log)
    os.truncate(other, 1 << 40)
    pipe, holes = load_run(run).unreadable
    assert "trial-01/harness-syn.raw: it is a pipe, not a file" in pipe
    assert "trial-02/harness-syn.raw: it is larger than" in holes


@pytest.mark.parametrize(
    ("key", "value"), [("start_ns", 10**30), ("interval_ns", 1 << 70), ("grain_ns", 10**20), ("direction", "up")]
)
def test_a_header_that_no_prober_wrote_is_named(tmp_path: Path, key: str, value: object) -> None:
    """With its log."""
    run = stored(tmp_path)
    log = run / "trial-01" / "harness-syn.raw"
    line, _, records = log.read_bytes().partition(b"\n")
    header = json.loads(line)
    header["streams"][0][key] = value
    log.write_bytes(json.dumps(header).encode() + b"\n" + records)
    assert "trial-01/harness-syn.raw can't be analysed" in load_run(run).unreadable[0]
