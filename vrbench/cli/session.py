"""One run, wired: cloud, guests, probers, store and screen around the main path in ``run.trial``.

preflight -> build -> guests reachable -> trials -> tear down (always, unless the environment is to be kept)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from vrbench.cli.exits import Interrupted, OperationFailed, UsageProblem
from vrbench.cli.screen import RunScreen
from vrbench.cli.signals import Signals
from vrbench.cli.verdicts import load_verdict
from vrbench.cloud.credentials import Credentials
from vrbench.cloud.environment import build
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError
from vrbench.cloud.facade import Cloud
from vrbench.cloud.guest_setup import user_data
from vrbench.cloud.journal import Head, Journal
from vrbench.cloud.operations import RunningOperation, rivals, routers
from vrbench.cloud.preflight import Resolved, preflight
from vrbench.cloud.removal import TeardownReport
from vrbench.cloud.teardown import teardown
from vrbench.core.caveats import Caveat
from vrbench.core.facts import Context, TrialFacts
from vrbench.core.figures.results import Run
from vrbench.core.model import Environment
from vrbench.core.plan.plan import Plan, expected_streams, guests_behind, short_name
from vrbench.core.words import size, some, utc_text
from vrbench.probes.observation import Sensors
from vrbench.remote import HostKeyPins, generate_key
from vrbench.run.trial import TrialLimits, run_trial
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError
from vrbench.store.loading import load_run

JOB_LOOK_S = 0.5


class SystemClock:
    """The real clocks, as the port of the main path."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc(self) -> str:
        return utc_text(datetime.now(UTC))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: what it measured, what is left in the cloud, and why it stopped early, if it did.

    ``accepted``: what is left is what the profile accepts to be left until the server expunges.
    """

    run: Run
    left: tuple[str, ...]
    problems: tuple[str, ...]
    error: Exception | None
    interrupted: bool
    accepted: bool = False


@dataclass
class Session:
    """One run from preflight to teardown. ``reuse``: a kept run, whose environment is measured instead of a new one."""

    plan: Plan
    store: RunDir
    credentials: Credentials = field(repr=False)
    screen: RunScreen
    in_lab: bool = False
    keep: bool = False
    reuse: RunDir | None = None
    _journal: Journal | None = None
    _doubts: tuple[Caveat, ...] = ()
    _left: tuple[str, ...] = ()
    _awaited: tuple[str, ...] = ()
    _problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._cloud = Cloud(self.credentials)
        self._calibrated = load_verdict(os.environ)
        p = self.plan.profile
        self._context = Context(p.name, "unknown", "unknown", p.operation.kind, self.in_lab)

    def carry_out(self, signals: Signals) -> Ended:
        """Run it. Whatever happens, what was built is removed and what was measured is read back.

        The first interrupt ends the measuring, a second one everything: then the journal says what is left.
        """
        error: Exception | None = None
        interrupted = False
        try:
            try:
                self._measure()
            finally:
                signals.tear_down()
        except Interrupted:
            interrupted = True
        except Exception as failure:  # noqa: BLE001  carried to the caller in Ended, after the teardown
            error = failure
        except BaseException:  # noqa: BLE001  whatever wants this process to end: what was built goes first
            interrupted = True
        try:
            if signals.leaving:
                raise Interrupted
            self._tear_down(failed=interrupted or error is not None)
        except Interrupted:
            interrupted = True
            self._left = pending(self._journal)
            self._problems += ("the removal was interrupted",)
        except Exception as failure:  # noqa: BLE001  a failed removal must not hide why the run failed
            self._left = pending(self._journal)
            self._problems += (f"{type(failure).__name__}: {failure}",)
        if self._journal is not None:
            self._journal.close()
        if error or interrupted:
            self._note_end("interrupted" if interrupted else "failed")
        accepted = self.plan.profile.environment.accept_slow_removal and set(self._left) <= set(self._awaited)
        return Ended(self._read_back(), self._left, self._problems, error, interrupted, accepted)

    def _measure(self) -> None:
        self._note("preflight")
        environment = self._kept() if self.reuse else self._built()
        self._note("measuring")
        self._trials(environment)
        self._note("done")

    def _read_back(self) -> Run:
        """The run as it lies on disk; where even that can't be read, a run without trials."""
        try:
            return load_run(self.store.path)
        except StoreError as error:
            self._problems += (str(error),)
            return Run(self.plan.run_id, str(self.store.path), self._context, self.plan.method, "failed", ())

    def _built(self) -> Environment:
        self.screen.phase("checking the cloud", "building")
        plan = environment_plan(self.plan, generate_key(self.store.key))
        accept = self.plan.profile.environment.accept_slow_removal
        resolved, notes = preflight(self._cloud, plan, accept_unexpunged=accept)
        for note in notes:
            self.screen.note(note)
        self._context = replace(self._context, cloud_version=resolved.version, hypervisor=resolved.hypervisor)
        self._note("building")
        self._journal = Journal.create(self.store.journal, self._head(resolved))
        self.screen.phase("building", "SSH on every VM, then trial 1")
        environment = build(self._cloud, plan, resolved, self._journal, self.screen.doing)
        self.store.write_environment(environment)
        return environment

    def _kept(self) -> Environment:
        """The environment of a run that ended with --keep."""
        assert self.reuse is not None
        environment = self.reuse.read_environment()
        wanted, p = (len(environment.guests), len({e.public_ip for e in environment.endpoints})), self.plan.profile
        if (p.environment.vms, p.environment.public_ips) != wanted:
            raise UsageProblem(
                f"{self.reuse.path.name} kept {size(*wanted)}, the profile says "
                f"{p.environment.vms} and {p.environment.public_ips}: make them equal"
            )
        with Journal.open(self.reuse.journal) as journal:
            if not journal.pending():
                raise UsageProblem(f"the environment of {self.reuse.path.name} has been removed; measure a new one")
        self._context = replace(
            self._context, cloud_version=environment.cloud_version, hypervisor=environment.hypervisor
        )
        return environment

    def _trials(self, environment: Environment) -> None:
        p = self.plan.profile
        limits = TrialLimits(p.trials.baseline, p.trials.validation, p.trials.observe_at_most, p.operation.job_timeout)
        self.screen.label(rows(environment))
        keys = self.reuse or self.store
        sensors = Sensors(self.plan, environment, keys.key, HostKeyPins(keys.known_hosts))
        self.screen.phase(f"waiting for SSH on {some(len(environment.guests), 'VM')}", "trial 1")
        self._doubts = sensors.await_guests(p.environment.boot_timeout)
        for doubt in self._doubts:
            self.screen.note(str(doubt))
        silent = sensors.silent_addresses()
        if silent:
            self.screen.note(f"no answer to ping from: {', '.join(silent)} (SSH works; the figures don't need it)")
        for number in range(1, p.trials.count + 1):
            self._trial(number, limits, sensors, environment)
            if number < p.trials.count:
                self.screen.phase("settling", f"trial {number + 1} of {p.trials.count}")
                time.sleep(p.trials.settle)

    def _trial(self, number: int, limits: TrialLimits, sensors: Sensors, environment: Environment) -> None:
        observation = sensors.observation(self.store.trial(number))
        kind = self.plan.profile.operation.kind
        # Watched for longer than the trial does: what comes next has to wait for it.
        operation = RunningOperation(self._cloud, kind, environment, 2 * limits.job_timeout_s)
        expected, behind = expected_streams(self.plan, environment), guests_behind(environment)

        def note(facts: TrialFacts) -> None:
            self.store.write_facts(
                replace(
                    facts,
                    lab=self.in_lab,
                    expected_streams=expected,
                    guest_of_endpoint=behind,
                    pre_trial_caveats=self._doubts,
                )
            )

        facts = run_trial(number, limits, observation, operation, self.screen, SystemClock(), note)
        note(replace(facts, competing_routers=self._rivals(environment)))
        for words in observation.notes():
            self.screen.note(words)
        if facts.job_error:
            raise OperationFailed(f"trial {number}: {facts.job_error}")
        if not facts.job_finished:
            self._await_job(number, operation, limits.job_timeout_s)

    def _rivals(self, environment: Environment) -> tuple[str, ...]:
        """Routers that the cloud shows side by side though one alone may serve; none where it does not say."""
        try:
            return rivals(routers(self._cloud, environment.network_id))
        except CloudError as error:
            self.screen.note(f"not looked for a second router: {error}")
            return ()

    def _await_job(self, number: int, operation: RunningOperation, timeout_s: float) -> None:
        """No further trial may begin, nor anything be removed, while the cloud still works on this one."""
        self.screen.phase(f"trial {number}: waiting for the operation's job", "the next trial, or removal")
        until = time.monotonic() + timeout_s
        while not operation.poll().done:
            if time.monotonic() >= until:
                raise OperationFailed(f"trial {number}: its job has not ended in {timeout_s:.0f} s more")
            time.sleep(JOB_LOOK_S)

    def _tear_down(self, failed: bool) -> None:
        """Remove what the journal has; with --keep, only say how to, unless there is nothing worth keeping."""
        if self._journal is None:
            self.store.forget_secrets()
            return
        if self.keep and not (failed and not self.store.has_environment()):
            self.screen.note(f"kept; remove it with: vrbench cleanup {self.store.path}")
            return
        self.screen.phase("removing what was built", "")
        report = remove(self._cloud, self._journal, self.screen.doing)
        self._left, self._awaited, self._problems = report.left, report.awaited, report.problems
        if not self._left:
            self.store.forget_secrets()

    def _head(self, resolved: Resolved) -> Head:
        return Head(self.plan.run_id, self._cloud.endpoint, resolved.account, resolved.domain_id)

    def _note(self, state: str) -> None:
        self.store.write_run(state, self._context, self.plan.method, asdict(self.plan.profile), self._calibrated)

    def _note_end(self, state: str) -> None:
        """Note how it ended; a full disk, which may be the very reason, must not hide the first error."""
        try:
            self._note(state)
        except StoreError as error:
            self._problems += (str(error),)


def environment_plan(plan: Plan, public_key: str) -> EnvironmentPlan:
    """What the plan builds in the cloud, for guests that ``public_key`` opens."""
    p = plan.profile
    return EnvironmentPlan(
        run_id=plan.run_id,
        prefix=f"vrb-{plan.run_id.split('-')[1]}",
        zone=p.cloud.zone,
        network_offering=p.cloud.network_offering,
        service_offering=p.cloud.service_offering,
        template=p.cloud.template,
        vms=p.environment.vms,
        public_ips=p.environment.public_ips,
        access=p.environment.access,
        source_cidr=p.environment.source_cidr,
        ssh_user=p.cloud.ssh_user,
        public_key=public_key,
        user_data=user_data(),
        boot_timeout_s=p.environment.boot_timeout,
        job_timeout_s=p.operation.job_timeout,
    )


def pending(journal: Journal | None) -> tuple[str, ...]:
    """What the run's journal has not seen go, in words."""
    return tuple(f"{e.kind} {e.key}" for e in journal.pending()) if journal else ()


def rows(environment: Environment) -> dict[str, str]:
    """Which VM's row a public end is shown in: its VM's, where that has only this one."""
    guests = [e.guest for e in environment.endpoints]
    return {
        f"{e.public_ip}:{e.port}": short_name(environment, e.guest)
        for e in environment.endpoints
        if guests.count(e.guest) == 1
    }


def remove(cloud: Cloud, journal: Journal, say: Callable[[str], None]) -> TeardownReport:
    """Tear down from a run's journal; when nothing may be done at all, the report says why."""
    try:
        return teardown(cloud, journal, say)
    except CloudError as error:
        return TeardownReport((), pending(journal), (str(error),))
