"""All trials of a run, one after the other on one environment, each noted on disk as soon as it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vrbench.cloud.errors import CloudError
from vrbench.core.caveats import Caveat
from vrbench.core.facts import Router, TrialFacts
from vrbench.core.model import Environment
from vrbench.core.plan.streams import expected_streams, guests_behind, short_name
from vrbench.core.plan.tables import Profile
from vrbench.core.ports import Operation
from vrbench.core.text import some
from vrbench.run.adapters import Adapters, Guests
from vrbench.run.errors import OperationFailed
from vrbench.run.order import RunOrder
from vrbench.run.trial import Trial, TrialLimits, run_trial

JOB_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class _Series:
    """What all trials of a run share; ``caveats`` were found before the first."""

    order: RunOrder
    adapters: Adapters
    environment: Environment
    guests: Guests
    caveats: tuple[Caveat, ...]

    @property
    def limits(self) -> TrialLimits:
        return trial_limits(self.order.plan.profile)

    def write(self, facts: TrialFacts) -> None:
        """Note a trial's facts on disk, with those that all trials share."""
        plan, environment = self.order.plan, self.environment
        expected, behind = expected_streams(plan, environment), guests_behind(environment)
        shared = replace(
            facts,
            lab=self.order.in_lab,
            operation=self.adapters.operation.name,
            expected_streams=expected,
            guest_of_endpoint=behind,
            pre_trial_caveats=self.caveats,
        )
        self.order.store.write_facts(shared)


def run_trials(order: RunOrder, adapters: Adapters, environment: Environment) -> None:
    """Wait for the VMs, then carry out every trial. Raises what ports raise, and OperationFailed."""
    guests, count = adapters.guests(environment, order.keys), order.plan.profile.trials.count
    try:
        series = _await_guests(order, adapters, environment, guests)
        for number in range(1, count + 1):
            over_ns = _run_one(series, number)
            if number < count:
                _settle(series, over_ns, f"trial {number + 1} of {count}")
    finally:
        guests.leave()


def _settle(series: _Series, over_ns: int, following: str) -> None:
    """Leave the network alone between two trials; what was collected and tidied up meanwhile counts."""
    clock, settle_s = series.adapters.clock, series.order.plan.profile.trials.settle
    rest_s = settle_s - (clock.monotonic_ns() - over_ns) / 1e9
    if rest_s > 0:
        series.adapters.screen.phase("settling", following)
        clock.sleep(rest_s)


def _await_guests(order: RunOrder, adapters: Adapters, environment: Environment, guests: Guests) -> _Series:
    """Return when every VM lets us in, and tell what may spoil figures."""
    screen = adapters.screen
    screen.label(row_labels(environment))
    screen.phase(f"waiting for SSH on {some(len(environment.guests), 'VM')}", "trial 1")
    caveats = guests.await_guests(order.plan.profile.environment.boot_timeout, screen.doing)
    for words in guests.notes():
        screen.note(words)
    for caveat in caveats:
        screen.note(str(caveat))
    silent = guests.silent_addresses()
    if silent:
        screen.note(f"no answer to ping from {', '.join(silent)}. SSH works, and the figures don't need the ping")
    # What is known of the way to the cloud was told with its credentials.
    return _Series(order, adapters, environment, guests, (*adapters.cloud.caveats(), *caveats))


def _run_one(series: _Series, number: int) -> int:
    """Carry one trial out; return when it was last observed, or when the cloud was done if that was later."""
    adapters, folder = series.adapters, series.order.store.trial(number)
    observation = series.guests.observation(folder)
    before = _routers(series)
    with adapters.operation.prepare(series.environment, folder) as operation:
        count = series.order.plan.profile.trials.count
        trial = Trial(number, series.limits, observation, operation, adapters.screen, adapters.clock, count)
        with adapters.cloud.watching_routers(series.environment) as routers:
            facts = run_trial(trial, series.write)
        after, changes = _routers(series), routers.changes
        series.write(replace(facts, routers_before=before, routers_after=after, router_changes=changes))
    for words in observation.notes():
        adapters.screen.note(words)
    error = facts.job_error if facts.job_finished else _await_job(series, number, operation)
    if error:
        raise OperationFailed(f"trial {number}: {error}")
    return facts.observed_ns if facts.job_finished else adapters.clock.monotonic_ns()


def _routers(series: _Series) -> tuple[Router, ...]:
    """Return the routers that the cloud shows now; none where it does not say."""
    try:
        return series.adapters.cloud.routers(series.environment)
    except CloudError as error:
        series.adapters.screen.note(f"could not look at the network's routers: {error}")
        return ()


def _await_job(series: _Series, number: int, operation: Operation) -> str:
    """Wait for a job that outlasted its trial; return what was wrong with its end, '' for nothing.

    The next trial, or the removal, waits until the cloud is done with this one; an interrupt ends that wait.
    """
    clock, timeout_s = series.adapters.clock, series.limits.job_timeout_s
    series.adapters.screen.phase(f"trial {number}: waiting for the operation's job", "the next trial, or removal")
    until = clock.monotonic_ns() + round(timeout_s * 1e9)
    while not (job := operation.poll()).done:
        if clock.monotonic_ns() >= until:
            return (
                f"the operation's job has not ended, {timeout_s:.0f} s after its trial. No further trial is made: "
                "see what the cloud says of the job"
            )
        clock.sleep(JOB_LOOK_S)
    return job.error


def trial_limits(profile: Profile) -> TrialLimits:
    """Return the times of a trial that a profile asks for."""
    t = profile.trials
    p, job_timeout_s = profile.probes, profile.operation.job_timeout
    return TrialLimits(t.baseline, t.validation, t.observe_at_most, job_timeout_s, p.old_flow_grace, p.old_flow_silence)


def row_labels(environment: Environment) -> dict[str, str]:
    """Return which VM's row a public end is shown in: its VM's, where that has only this one."""
    guests = [e.guest for e in environment.endpoints]
    return {
        f"{e.public_ip}:{e.port}": short_name(environment, e.guest)
        for e in environment.endpoints
        if guests.count(e.guest) == 1
    }
