"""The main path of one trial: baseline, operate, observe, collect. One function per phase; knows only the ports.

    start probers -> baseline -> request the operation -> observe until recovered -> stop and collect

Recovery is judged by the probes alone (``recovery``): the job's end is not the outage's end, and an outage can relapse.
A session that was cut stays so, and is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vrbench.core.facts import TrialFacts
from vrbench.core.findings import Finding
from vrbench.core.judge.baseline import Baseline, judge_baseline
from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.history import Marked
from vrbench.core.model import Direction
from vrbench.core.ports import Clock, JobState, Observation, Operation, Screen
from vrbench.run.recovery import Patience, Recovery


class UnfitBaseline(RuntimeError):
    """No figure could come of the operation, so it was not asked for."""

    def __init__(self, number: int, bad: Sequence[Finding]) -> None:
        nothing = "Nothing was restarted" + " this time" * (number > 1)
        told = " ".join(f"{finding.found} {nothing}. {finding.cure}." for finding in bad)
        super().__init__(f"trial {number}: {told}")


class CannotSendHere(UnfitBaseline):
    """It is this machine that can't send its probes."""


STEP_S = 0.25
LOOK_S = 1.0  # between two looks at a baseline that is not good yet: each goes through all its probes


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """The times of a trial, in seconds."""

    baseline_s: float
    validation_s: float
    observe_at_most_s: float
    job_timeout_s: float
    grace_s: float
    silence_s: float
    first_answers_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial to carry out: its number ``of`` how many, its times, and what it works on."""

    number: int
    limits: TrialLimits
    observation: Observation
    operation: Operation
    screen: Screen
    clock: Clock
    of: int = 1

    def phase(self, name: str, following: str) -> None:
        """Show that a phase begins, and what comes next."""
        of = f" of {self.of}" if self.of > 1 else ""
        self.screen.phase(f"trial {self.number}{of}: {name}", following)


@dataclass(frozen=True, slots=True)
class _Requested:
    """When the operation was sent, and which streams were up until then: only those can be seen to recover."""

    at_ns: int
    utc: str
    answering: frozenset[str]
    marked: Marked


@dataclass(frozen=True, slots=True)
class _Observed:
    """The job when observation ended, how long it took, and whether everything had recovered."""

    job: JobState
    job_s: float | None
    recovered: bool
    given_up: tuple[str, ...]


def run_trial(trial: Trial, requested: Callable[[TrialFacts], None] = lambda _: None) -> TrialFacts:
    """Run one trial; its samples are in the raw logs that the observation writes.

    ``requested`` is told as soon as the operation was asked for, with facts that call the trial interrupted: if it is,
    they are what its samples can be read with. Raises what the ports raise; the probers are stopped in any case, and
    what they saw stays on disk.
    """
    trial.phase("starting probers", "baseline")
    trial.observation.start()
    try:
        marked = _baseline(trial).marked
        asked = _request(trial, marked, lambda r: requested(_so_far(trial, r)))
        seen = _observe(trial, asked)
    except BaseException:
        trial.observation.stop()
        raise
    trial.phase("collecting samples", "analysis")
    observed_ns = trial.clock.monotonic_ns()
    collected = trial.observation.stop()
    return replace(
        _so_far(trial, asked),
        interrupted=False,
        observed_ns=observed_ns,
        job_s=seen.job_s,
        job_error=seen.job.error,
        job_finished=seen.job.done,
        recovered=seen.recovered,
        given_up=seen.given_up,
        clocks=dict(collected.clocks),
        gateways=dict(collected.gateways),
        agents_lost=collected.agents_lost,
        guests_rebooted=collected.guests_rebooted,
        probers_failed=collected.probers_failed,
    )


def _so_far(trial: Trial, asked: _Requested) -> TrialFacts:
    """Return the facts of a trial that has got no further than its request."""
    return TrialFacts(
        number=trial.number,
        requested_utc=asked.utc,
        requested_ns=asked.at_ns,
        baseline_s=trial.limits.baseline_s,
        interrupted=True,
        unfit=tuple(sorted(asked.marked.unfit)),
        tolerated=dict(asked.marked.tolerated),
    )


def _baseline(trial: Trial) -> Baseline:
    """Probe the untouched network, from the first answers of every stream on, for the baseline's time; judge it.

    Raises UnfitBaseline where no figure could come of a restart.
    """
    trial.phase("baseline", "the operation")
    baseline = _await_baseline(trial)
    if baseline.bad:
        raise (CannotSendHere if baseline.here else UnfitBaseline)(trial.number, baseline.bad)
    for finding in baseline.findings:
        trial.screen.note(". ".join(filter(None, (finding.found, finding.cure))))
    return baseline


def _await_baseline(trial: Trial) -> Baseline:
    """Return what the baseline came to: good as soon as it is, bad when waiting for longer is no use."""
    limits, begun = trial.limits, trial.clock.monotonic_ns()
    heard: set[str] = set()
    answered_ns: int | None = None
    judged_ns = begun
    while True:
        now, states = trial.clock.monotonic_ns(), trial.observation.states()
        trial.screen.watch(states, now, "not requested")
        heard |= {s.stream.name for s in states if s.up}
        if answered_ns is None and _all_heard(states, heard, (now - begun) / 1e9 >= limits.baseline_s):
            answered_ns = now
        whole = answered_ns is not None and (now - answered_ns) / 1e9 >= limits.baseline_s
        over = (now - begun) / 1e9 >= limits.first_answers_s + limits.baseline_s
        late = (now - begun) / 1e9 >= limits.baseline_s and (now - judged_ns) / 1e9 >= LOOK_S
        if whole or over or late:
            judged_ns = now
            found = judge_baseline(trial.observation.histories(), limits.baseline_s, trial.observation.always_up())
            good = whole and not found.bad and _all_up(states, found.marked)
            if over or good or found.conclusive:
                return found
        trial.clock.sleep(STEP_S)


def _all_heard(states: Sequence[StreamState], heard: set[str], controls_may_lack: bool) -> bool:
    """Return whether every stream that makes figures has answered, and every control unless they had their time.

    What is reported beside the figures may have no one to answer it, such as a router without DNS.
    """
    counted = [s for s in states if s.stream.kind.headline]
    controls = [] if controls_may_lack else [s for s in states if s.stream.direction is Direction.CONTROL]
    return bool(counted) and all(s.stream.name in heard for s in (*counted, *controls))


def _all_up(states: Sequence[StreamState], marked: Marked) -> bool:
    """Return whether everything is up that makes figures: what is down at the request has no beginning."""
    return all(_is_up(s, marked) for s in states if s.stream.kind.headline and s.stream.name not in marked.unfit)


def _is_up(state: StreamState, marked: Marked) -> bool:
    """Return whether a stream is up, or has just lost no more than it usually does."""
    return bool(state.up) or 0 < state.probes <= marked.tolerated.get(state.stream.name, 0)


def _request(trial: Trial, marked: Marked, note: Callable[[_Requested], None]) -> _Requested:
    """Ask for the operation; it is noted even when the answer never comes, since it may have begun."""
    trial.phase("operating", "recovery of every stream")
    sent = [_now(trial, marked)]  # what the cloud turns away has not begun: the last time that it is sent counts
    try:
        trial.operation.request(lambda: sent.append(_now(trial, marked)))
    finally:
        note(sent[-1])
    return sent[-1]


def _now(trial: Trial, marked: Marked) -> _Requested:
    """Return the moment that the operation is sent, from which windows count."""
    trial.observation.mark(marked)
    answering = frozenset(s.stream.name for s in trial.observation.states() if _is_up(s, marked)) - marked.unfit
    return _Requested(trial.clock.monotonic_ns(), trial.clock.utc(), answering, marked)


def _observe(trial: Trial, requested: _Requested) -> _Observed:
    """Watch until the job has ended and everything has recovered, or time is up."""
    job, job_s, limits, recovery = JobState(done=False), None, trial.limits, _recovery(trial)
    while True:
        now = trial.clock.monotonic_ns()
        elapsed_s = (now - requested.at_ns) / 1e9
        if not job.done and elapsed_s < limits.job_timeout_s:
            job = trial.operation.poll()
            if job.done:
                job_s = (trial.clock.monotonic_ns() - requested.at_ns) / 1e9
                trial.phase("job ended, validating", "collecting samples")
        states = trial.observation.states()
        trial.screen.watch(states, now, _job_words(job, job_s, elapsed_s))
        over_s = job_s if job_s is not None else limits.job_timeout_s
        watched = [s for s in states if s.stream.name in requested.answering and s.stream.kind.awaited]
        # Late effects of the job (rules applied again) may still come: validation counts from its end at the earliest.
        if elapsed_s >= over_s + limits.validation_s and recovery.complete(watched, now):
            return _Observed(job, job_s, True, recovery.given_up)
        if elapsed_s >= limits.observe_at_most_s or trial.observation.failed():
            return _Observed(job, job_s, False, recovery.given_up)
        trial.clock.sleep(STEP_S)


def _recovery(trial: Trial) -> Recovery:
    limits = trial.limits
    patience = Patience(limits.validation_s, limits.grace_s, limits.silence_s)
    return Recovery(trial.observation, trial.clock, patience, lambda text: trial.phase(text, "collecting samples"))


def _job_words(job: JobState, job_s: float | None, elapsed_s: float) -> str:
    if not job.done:
        return f"running, {elapsed_s:.0f} s"
    return f"failed: {job.error}" if job.error else f"done after {job_s or 0:.1f} s"
