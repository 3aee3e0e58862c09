"""Stored runs, read again: one bad file hides no good trial, and every refusal names the file."""

from __future__ import annotations

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
    """By its trial's name, for figures as for failures."""
    run = stored(tmp_path)
    (run / "trial-01" / "harness-syn.raw").write_bytes(log)
    assert "trial-01 can't be analysed" in load_run(run).unreadable[0]
    with pytest.raises(StoreError, match="trial-01 can't be analysed"):
        list(load_failures(run))


def test_a_log_without_a_header_holds_nothing(tmp_path: Path) -> None:
    """A prober that was ended before it wrote: the trial's other logs count."""
    run = stored(tmp_path)
    (run / "trial-01" / "harness-icmp.raw").write_bytes(b"")
    assert len(load_run(run).trials) == 2
    assert {trial for trial, *_ in load_failures(run)} <= {1, 2}
