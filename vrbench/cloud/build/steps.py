"""What every step of a build needs, and what stands when the rules are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from vrbench.cloud.api.facade import Answer, Cloud, Job
from vrbench.cloud.check.preflight import Resolved
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.journal.journal import Journal
from vrbench.parallel import CancelToken

Progress = Callable[[str], None]


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

    def ends(self, forward: Forward) -> tuple[Address, Vm]:
        """Return which address leads to which VM."""
        return self.addresses[forward.address], self.vms[forward.vm]


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

    def noted(self, **what: str) -> dict[str, str]:
        """Return what the journal notes of an object: with it whose it is, in case the journal's head gets lost."""
        owner = {name: value for name, value in asdict(self.resolved.owner).items() if value}
        return {**what, **owner}

    def wait(self, job: Job, deadline_s: float) -> Answer:
        return self.cloud.wait(job, deadline_s, self.plan.poll_s, self.stop.check)
