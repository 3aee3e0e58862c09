"""The real adapters of a run: a CloudStack API, SSH to its guests, the probers, this machine's clocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.api.turned_away import WhenTurnedAway
from vrbench.cloud.build.environment import build
from vrbench.cloud.check.preflight import Resolved, preflight
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.operate.operations import RunningOperation, list_routers
from vrbench.cloud.operate.router_watch import watching
from vrbench.cloud.remove.removal import RemovalReport
from vrbench.cloud.remove.steps import remove_journaled
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import Router
from vrbench.core.findings import Finding
from vrbench.core.model import Environment
from vrbench.core.plan.plan import Plan
from vrbench.core.ports import Operation, RunScreen
from vrbench.core.text import utc_text
from vrbench.probes.observation import SshGuests
from vrbench.remote.host_keys import HostKeyPins
from vrbench.run.adapters import Adapters, OperationSource, Progress, RouterLog
from vrbench.run.interrupts import Interrupts
from vrbench.run.this_machine import check_this_machine
from vrbench.store.directory import RunDir


class SystemClock:
    """This machine's clocks (port ``core.ports.Clock``)."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc(self) -> str:
        return utc_text(datetime.now(UTC))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class CloudStack:
    """A CloudStack API (port ``CloudPort``). ``unchecked``: nobody checks who answers in its name."""

    cloud: Cloud
    unchecked: bool = False

    @property
    def endpoint(self) -> str:
        return self.cloud.endpoint

    def caveats(self) -> tuple[Caveat, ...]:
        return (Caveat(CaveatKind.TLS_UNCHECKED),) if self.unchecked else ()

    def preflight(self, plan: EnvironmentPlan, accept_slow_removal: bool) -> tuple[Resolved, tuple[Finding, ...]]:
        return preflight(self.cloud, plan, accept_unexpunged=accept_slow_removal)

    def build(self, plan: EnvironmentPlan, resolved: Resolved, journal: Journal, say: Progress) -> Environment:
        return build(self.cloud, plan, resolved, journal, say)

    def remove(self, journal: Journal, say: Progress) -> RemovalReport:
        return remove_journaled(self.cloud, journal, say)

    def routers(self, environment: Environment) -> tuple[Router, ...]:
        return list_routers(self.cloud.acting_for(environment.owner), environment.network_id)

    def watching_routers(self, environment: Environment) -> AbstractContextManager[RouterLog]:
        return watching(partial(self.routers, environment))


def restart(cloud: Cloud, plan: Plan, screen: RunScreen) -> OperationSource:
    """Return the operation that the plan's profile names, asked of the cloud."""
    operation = plan.profile.operation

    @contextmanager
    def prepare(environment: Environment, _folder: Path) -> Iterator[Operation]:
        # Watched for longer than the trial does: what comes next has to wait for it.
        running = RunningOperation(cloud, operation.kind, environment, 2 * operation.job_timeout)
        yield running
        if running.puts_back:
            screen.phase("starting the stopped router again", "the next trial, or removal")
            running.put_back()

    return OperationSource(operation.kind, prepare)


def connect(
    plan: Plan,
    credentials: Credentials,
    screen: RunScreen,
    interrupts: Interrupts,
    operation: OperationSource | None = None,
) -> Adapters:
    """Return the real adapters; ``operation`` takes the place of what the profile names."""
    cloud = Cloud(credentials, mutation_timeout_s=max(60.0, plan.profile.operation.job_timeout))
    cloud.waiting = WhenTurnedAway(screen.note)

    def guests(environment: Environment, keys: RunDir) -> SshGuests:
        return SshGuests(plan, environment, keys.key, HostKeyPins(keys.known_hosts))

    source = operation or restart(cloud, plan, screen)
    asked = CloudStack(cloud, credentials.unchecked)
    return Adapters(asked, guests, source, screen, SystemClock(), interrupts, check_this_machine)
