"""The main path of one trial: baseline, operate, observe, collect. One function per phase; knows only the ports.

    start probers -> baseline -> request the operation -> observe until recovered -> stop and collect

Recovery is judged by the probes alone: the job's end is not the outage's end, and an outage can relapse. Every stream
must have been up for the validation time, with at least five probes, seen recently; one beside the figures that probes
too rarely for that must have been up when it last did. A session that was cut stays so, and is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vrbench.core.facts import TrialFacts
from vrbench.core.log.live import StreamState
from vrbench.core.model import Direction
from vrbench.core.ports import Clock, JobState, Observation, Operation, Screen


class NothingAnswers(RuntimeError):
    """A whole direction can't be probed, so the operation was not asked for."""


STEP_S = 0.25
FRESH_S = 3.0  # news of a stream older than this are no news
VALIDATION_PROBES = 5


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """The times of a trial, in seconds."""

    baseline_s: float
    validation_s: float
    observe_at_most_s: float
    job_timeout_s: float
    first_answers_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Requested:
    """When the operation was sent, and which streams were up until then: only those can be seen to recover."""

    at_ns: int
    utc: str
    answering: frozenset[str]


def run_trial(
    number: int,
    limits: TrialLimits,
    observation: Observation,
    operation: Operation,
    screen: Screen,
    clock: Clock,
    requested: Callable[[TrialFacts], None] = lambda _: None,
) -> TrialFacts:
    """Run one trial; its samples are in the raw logs that the observation writes.

    ``requested`` is told as soon as the operation was asked for, with facts that call the trial interrupted: if it is,
    they are what its samples can be read with. Raises what the ports raise; the probers are stopped in any case, and
    what they saw stays on disk.
    """
    screen.phase(f"trial {number}: starting probers", "baseline")
    observation.start()
    try:
        _baseline(number, limits, observation, screen, clock)
        asked = _request(number, observation, operation, screen, clock, lambda r: requested(_so_far(number, limits, r)))
        job, job_s, recovered = _observe(number, limits, asked, observation, operation, screen, clock)
    except BaseException:
        observation.stop()
        raise
    screen.phase(f"trial {number}: collecting samples", "analysis")
    observed_ns = clock.monotonic_ns()
    collected = observation.stop()
    return replace(
        _so_far(number, limits, asked),
        interrupted=False,
        observed_ns=observed_ns,
        job_s=job_s,
        job_error=job.error,
        job_finished=job.done,
        recovered=recovered,
        clocks=dict(collected.clocks),
        gateways=dict(collected.gateways),
        agents_lost=collected.agents_lost,
        guests_rebooted=collected.guests_rebooted,
        probers_failed=collected.probers_failed,
    )


def _so_far(number: int, limits: TrialLimits, asked: _Requested) -> TrialFacts:
    """The facts of a trial that has got no further than its request."""
    return TrialFacts(
        number=number,
        requested_utc=asked.utc,
        requested_ns=asked.at_ns,
        baseline_s=limits.baseline_s,
        interrupted=True,
    )


def _baseline(number: int, limits: TrialLimits, observation: Observation, screen: Screen, clock: Clock) -> None:
    """Probe the untouched network: from the first answers of every stream on, for the baseline's time."""
    screen.phase(f"trial {number}: baseline", "the operation")
    begun = clock.monotonic_ns()
    answered: int | None = None
    while True:
        now, states = clock.monotonic_ns(), observation.states()
        screen.watch(states, now, "not requested")
        # What is reported beside the figures may have no one to answer it, such as a router without DNS.
        needed = [s for s in states if s.stream.counts or s.stream.direction is Direction.CONTROL]
        all_up = bool(needed) and all(s.up for s in needed)
        if answered is None and all_up:
            answered = now
        waited_s = (now - begun) / 1e9
        if all_up and answered is not None and (now - answered) / 1e9 >= limits.baseline_s:
            break
        if waited_s >= limits.first_answers_s + limits.baseline_s:
            _check_answers(number, states)
            screen.note("some streams do not answer although nothing was restarted yet: the trial will say so")
            break
        clock.sleep(STEP_S)
    unmeasured = [s.stream.name for s in states if not s.up and s.stream.direction in ADVICE and not s.stream.counts]
    if unmeasured:
        more = f" and {len(unmeasured) - 1} more" if len(unmeasured) > 1 else ""
        screen.note(f"not measured, since nothing answers before the operation: {unmeasured[0]}{more}")


ADVICE = {
    Direction.EGRESS: "probes.egress_target must answer a ping from the VMs",
    Direction.INGRESS: "the public addresses must be reachable from here, see environment.source_cidr",
}


def _check_answers(number: int, states: Sequence[StreamState]) -> None:
    """Restarting a router is no use when one direction can't be measured at all. Raises NothingAnswers."""
    for direction, advice in ADVICE.items():
        if not any(s.up for s in states if s.stream.direction is direction and s.stream.counts):
            raise NothingAnswers(f"trial {number}: no {direction} probe is answered; nothing was restarted. {advice}")


def _request(
    number: int,
    observation: Observation,
    operation: Operation,
    screen: Screen,
    clock: Clock,
    note: Callable[[_Requested], None],
) -> _Requested:
    """Ask for the operation; it is noted even when the answer never comes, since it may have begun."""
    screen.phase(f"trial {number}: operating", "recovery of every stream")
    observation.mark()
    answering = frozenset(s.stream.name for s in observation.states() if s.up)
    requested = _Requested(clock.monotonic_ns(), clock.utc(), answering)
    try:
        operation.request()
    finally:
        note(requested)
    return requested


def _observe(
    number: int,
    limits: TrialLimits,
    requested: _Requested,
    observation: Observation,
    operation: Operation,
    screen: Screen,
    clock: Clock,
) -> tuple[JobState, float | None, bool]:
    """Watch until the job has ended and everything has recovered, or time is up."""
    job, job_s = JobState(done=False), None
    while True:
        now = clock.monotonic_ns()
        elapsed_s = (now - requested.at_ns) / 1e9
        if not job.done and elapsed_s < limits.job_timeout_s:
            job = operation.poll()
            if job.done:
                job_s = (clock.monotonic_ns() - requested.at_ns) / 1e9
                screen.phase(f"trial {number}: job ended, validating", "collecting samples")
        states = observation.states()
        screen.watch(states, now, _job_words(job, job_s, elapsed_s))
        over_s = job_s if job_s is not None else limits.job_timeout_s
        watched = [s for s in states if s.stream.name in requested.answering and s.stream.awaited]
        # Late effects of the job (rules applied again) may still come: validation counts from its end at the earliest.
        if elapsed_s >= over_s + limits.validation_s and recovered(watched, now, limits.validation_s):
            return job, job_s, True
        if elapsed_s >= limits.observe_at_most_s or observation.failed():
            return job, job_s, False
        clock.sleep(STEP_S)


def recovered(states: Sequence[StreamState], now_ns: int, validation_s: float) -> bool:
    """Whether every stream is up, was seen so lately, and has been up for the validation time and five probes.

    One beside the figures that probes too rarely for that is up when its last probe was answered.
    """
    return bool(states) and all(_is_back(s, now_ns, validation_s) for s in states)


def _is_back(state: StreamState, now_ns: int, validation_s: float) -> bool:
    interval_s = state.stream.interval_s
    rare = not state.stream.counts and interval_s * VALIDATION_PROBES > validation_s
    seen_lately = (now_ns - state.judged_ns) / 1e9 <= FRESH_S + (interval_s if rare else 0.0)
    lasting = rare or (state.probes >= VALIDATION_PROBES and (state.judged_ns - state.since_ns) / 1e9 >= validation_s)
    return bool(state.up) and seen_lately and lasting


def _job_words(job: JobState, job_s: float | None, elapsed_s: float) -> str:
    if not job.done:
        return f"running, {elapsed_s:.0f} s"
    return f"failed: {job.error}" if job.error else f"done after {job_s or 0:.1f} s"
