"""Stored runs, read and analysed: every figure is computed anew from the raw samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import Run, TrialResult
from vrbench.core.log.rawlog import RawLogError
from vrbench.core.model import Stream
from vrbench.core.plan.method import ESTIMATOR, Method
from vrbench.store.codec import decode, decode_header, decode_method
from vrbench.store.files import StoreError, read_json

if TYPE_CHECKING:
    from vrbench.core.log.failures import Failure


def load_run(path: Path) -> Run:
    """Read a run and analyse all its whole trials. Raises StoreError."""
    header = decode_header(read_json(path / "run.json"), path / "run.json")
    method = replace(header.method, estimator=ESTIMATOR)  # it is this one that computes, whatever computed then
    trials, unreadable = _load_trials(path, method)
    ways = sorted({way for trial in trials for way in trial.without_python})
    return Run(
        header.run_id,
        str(path),
        header.context,
        replace(method, without_python="+".join(ways)),
        header.state,
        trials,
        unreadable,
        calibrated=header.calibrated,
        planned=header.planned,
        limits=header.limits,
        recorded_under=header.method.estimator if header.method.estimator != ESTIMATOR else "",
    )


def load_method(path: Path) -> Method:
    """Return the method by which a run's samples are analysed: its own rules, and today's estimator.

    Raises StoreError.
    """
    return replace(decode_method(read_json(path / "run.json"), path / "run.json"), estimator=ESTIMATOR)


def load_failures(path: Path) -> Iterator[tuple[int, Stream, Failure, int]]:
    """Yield why probes of ingress failed in each trial, after the request: (trial, stream, reason, how often).

    Raises StoreError.
    """
    from vrbench.core.analysis import read_logs  # numpy takes its time to load, and few commands analyse
    from vrbench.core.log.failures import count_failures

    threshold_s = load_method(path).threshold_s
    for facts_path in _facts_paths(path):
        facts = decode(TrialFacts, read_json(facts_path), facts_path)
        try:
            for log in read_logs(facts, _logs(facts_path.parent)):
                for stream, counted in count_failures(log, threshold_s).items():
                    for failure, count in sorted(counted.items()):
                        yield facts.number, stream, failure, count
        except (RawLogError, TypeError, KeyError, ValueError) as error:
            raise StoreError(f"{facts_path.parent} can't be analysed: {error}") from error


def load_trial(facts_path: Path, method: Method) -> TrialResult:
    """Analyse one stored trial. Raises StoreError."""
    from vrbench.core.analysis import analyze_trial  # loads numpy, as above

    facts = decode(TrialFacts, read_json(facts_path), facts_path)
    try:
        return analyze_trial(facts, list(_logs(facts_path.parent)), method)
    except (RawLogError, TypeError, KeyError, ValueError) as error:
        raise StoreError(f"{facts_path.parent} can't be analysed: {error}") from error


def _load_trials(path: Path, method: Method) -> tuple[tuple[TrialResult, ...], tuple[str, ...]]:
    """Return the trials that can be analysed, and what is wrong with the others: one bad file hides no good trial."""
    trials, unreadable = [], []
    for facts_path in _facts_paths(path):
        try:
            trials.append(load_trial(facts_path, method))
        except StoreError as error:
            unreadable.append(str(error))
    return tuple(trials), tuple(unreadable)


def _facts_paths(run: Path) -> list[Path]:
    return sorted(run.glob("trial-*/facts.json"))


def _logs(trial: Path) -> Iterator[bytes]:
    """Yield the trial's raw logs in a fixed order; a log that never got its header holds nothing to analyse."""
    for path in sorted(trial.glob("*.raw")):
        log = path.read_bytes()
        if b"\n" in log:
            yield log
