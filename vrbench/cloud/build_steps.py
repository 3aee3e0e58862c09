"""What every step of a build needs, and creating calls between their two journal records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError, CloudRefused
from vrbench.cloud.facade import Answer, Cloud, Job, Param
from vrbench.cloud.journal import Journal
from vrbench.cloud.preflight import Resolved
from vrbench.parallel import CancelToken

Progress = Callable[[str], None]
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM that runs."""

    name: str
    id: str
    ip: str


@dataclass(frozen=True, slots=True)
class Address:
    """A public address of ours, other than the source-NAT one."""

    id: str
    ip: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Which VM answers on which address and port; VMs and addresses by number, from 0."""

    address: int
    port: int
    vm: int


@dataclass(frozen=True, slots=True)
class Built:
    """What stands in the cloud before the rules are made; VMs and addresses in the order of their numbers."""

    network: Answer
    source_nat: str
    vms: list[Vm]
    addresses: list[Address]
    forwards: tuple[Forward, ...]

    @property
    def network_id(self) -> str:
        return str(self.network["id"])


@dataclass(frozen=True, slots=True)
class Intent:
    """One object about to be made, as the journal notes it beforehand."""

    kind: str
    key: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What every step of one build needs."""

    cloud: Cloud
    plan: EnvironmentPlan
    resolved: Resolved
    journal: Journal
    progress: Progress
    stop: CancelToken = field(default_factory=CancelToken)

    def named(self, what: str) -> str:
        return f"{self.plan.prefix}-{what}"

    def wait(self, job: Job) -> Answer:
        return self.cloud.wait(job, self.plan.job_timeout_s, self.plan.poll_s, self.stop.check)


def call_journaled(context: BuildContext, intent: Intent, command: str, **sent: Param) -> Answer:
    """Make a synchronous creating call between its two journal records."""
    context.journal.intend(intent.kind, intent.key, intent.params)
    answer = _unless_refused(context, intent.key, partial(context.cloud.call, command, **sent))
    made = answer.get(intent.kind)
    context.journal.created(intent.key, str(made.get("id", intent.key)) if isinstance(made, dict) else intent.key)
    return answer


def job_journaled(context: BuildContext, intent: Intent, command: str, **sent: Param) -> Answer:
    """Make an asynchronous creating call; the id is journaled at once, for an object whose job fails is there too."""
    context.stop.check()
    context.journal.intend(intent.kind, intent.key, intent.params)
    job = _unless_refused(context, intent.key, partial(context.cloud.submit, command, **sent))
    if job.id:
        context.journal.created(intent.key, job.id)
    return context.wait(job)


def _unless_refused(context: BuildContext, key: str, call: Callable[[], R]) -> R:
    """Return the call's result; take the intent back after a refusal by which nothing came to be."""
    try:
        return call()
    except CloudRefused as refused:
        if refused.nothing_came_of_it:
            context.journal.destroyed(key)
        raise


def part(answer: Answer, name: str) -> Answer:
    """Return the object of this name in an answer. Raises CloudError when it isn't there."""
    made = answer.get(name)
    if not isinstance(made, dict) or "id" not in made:
        raise CloudError(
            f"the server reports success, and its answer shows no {name}; look in the cloud whether it is there"
        )
    return made
