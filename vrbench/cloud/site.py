"""The building site: what every step of a build needs, and creating calls between their two journal records."""

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
class Site:
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


def call_journaled(site: Site, kind: str, key: str, params: Mapping[str, str], command: str, **sent: Param) -> Answer:
    """A synchronous creating call between its two journal records."""
    site.journal.intend(kind, key, params)
    answer = _unless_refused(site, key, partial(site.cloud.call, command, **sent))
    made = answer.get(kind)
    site.journal.created(key, str(made.get("id", key)) if isinstance(made, dict) else key)
    return answer


def job_journaled(site: Site, kind: str, key: str, params: Mapping[str, str], command: str, **sent: Param) -> Answer:
    """An asynchronous creating call. The id is journaled at once: an object whose job fails is there all the same."""
    site.stop.check()
    site.journal.intend(kind, key, params)
    job = _unless_refused(site, key, partial(site.cloud.submit, command, **sent))
    if job.id:
        site.journal.created(key, job.id)
    return site.wait(job)


def _unless_refused(site: Site, key: str, call: Callable[[], R]) -> R:
    """The call's result; a refusal by which nothing came to be takes the intent back."""
    try:
        return call()
    except CloudRefused as refused:
        if refused.nothing_came_of_it:
            site.journal.destroyed(key)
        raise


def part(answer: Answer, name: str) -> Answer:
    """The object of this name in an answer. Raises CloudError when it isn't there."""
    made = answer.get(name)
    if not isinstance(made, dict) or "id" not in made:
        raise CloudError(f"the server's answer shows no {name}, although it reports success")
    return made
