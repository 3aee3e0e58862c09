"""Stored runs, read and analysed: every figure is computed anew from the raw samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import Run, TrialResult
from vrbench.core.model import Stream
from vrbench.core.plan.method import ESTIMATOR, Method
from vrbench.store.codec import decode_facts, decode_header, decode_method
from vrbench.store.files import StoreError, read_bytes, read_json

if TYPE_CHECKING:
    from vrbench.core.log.failures import Failure

Made = TypeVar("Made")
# What samples and facts that contradict themselves end in: they say what was measured, and were no error when written.
DAMAGE = (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RecursionError)


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


def load_failures(path: Path, note: Callable[[str], None]) -> Iterator[tuple[int, Stream, Failure, int]]:
    """Yield why probes of ingress failed in each trial, after the request: (trial, stream, reason, how often).

    ``note`` is told what is wrong with trials that can't be read. Raises StoreError.
    """
    threshold_s = load_method(path).threshold_s
    for facts_path in _facts_paths(path):
        try:
            counted = _count_failures(facts_path, threshold_s)
        except StoreError as error:
            note(str(error))
        else:
            yield from counted


def _count_failures(facts_path: Path, threshold_s: float) -> list[tuple[int, Stream, Failure, int]]:
    from vrbench.core.analysis import read_logs  # numpy takes its time to load, and few commands analyse
    from vrbench.core.log.failures import count_failures

    def count(facts: TrialFacts, logs: list[bytes]) -> list[tuple[int, Stream, Failure, int]]:
        return [
            (facts.number, stream, why, often)
            for log in read_logs(facts, logs)
            for stream, counted in count_failures(log, threshold_s).items()
            for why, often in sorted(counted.items())
        ]

    return _made_of(facts_path, count)


def load_trial(facts_path: Path, method: Method) -> TrialResult:
    """Analyse one stored trial. Raises StoreError."""
    from vrbench.core.analysis import analyze_trial  # loads numpy, as above

    return _made_of(facts_path, lambda facts, logs: analyze_trial(facts, logs, method))


def _made_of(facts_path: Path, make: Callable[[TrialFacts, list[bytes]], Made]) -> Made:
    """Return what is made of a trial's facts and logs. Raises StoreError, which names the file that is damaged."""
    facts, paths = decode_facts(read_json(facts_path), facts_path), sorted(facts_path.parent.glob("*.raw"))
    logs = {path: log for path in paths if b"\n" in (log := read_bytes(path))}  # without its header it holds nothing
    try:
        return make(facts, list(logs.values()))
    except DAMAGE as error:
        bad = next((path for path, log in logs.items() if _fails(make, facts, log)), facts_path.parent)
        reason = str(error) or f"it takes more than there is ({type(error).__name__})"
        raise StoreError(f"{bad} can't be analysed: {reason}") from error


def _fails(make: Callable[[TrialFacts, list[bytes]], Made], facts: TrialFacts, log: bytes) -> bool:
    try:
        make(facts, [log])
    except DAMAGE:
        return True
    return False


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
