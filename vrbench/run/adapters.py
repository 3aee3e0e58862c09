"""What a run works with, as narrow ports. ``run.cloudstack`` makes the real ones, tests pass their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vrbench.cloud.check.preflight import Resolved
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.remove.removal import RemovalReport
from vrbench.core.caveats import Caveat
from vrbench.core.facts import Router, RouterChange
from vrbench.core.findings import Finding
from vrbench.core.model import Environment
from vrbench.core.plan.plan import Plan
from vrbench.core.ports import Clock, Observation, Operation, RunScreen
from vrbench.run.interrupts import Interrupts
from vrbench.store.directory import RunDir

Progress = Callable[[str], None]


class CloudPort(Protocol):
    """Where the network is built. Every method raises CloudError when the cloud refuses or fails."""

    @property
    def endpoint(self) -> str:
        """The API address, for the journal."""

    def caveats(self) -> tuple[Caveat, ...]:
        """Return what figures should say of how this cloud is asked."""

    def preflight(self, plan: EnvironmentPlan, accept_slow_removal: bool) -> tuple[Resolved, tuple[Finding, ...]]:
        """Check that the plan can be carried out; return its names resolved, and what else was found."""

    def build(self, plan: EnvironmentPlan, resolved: Resolved, journal: Journal, say: Progress) -> Environment:
        """Build the plan's environment, each creating call journaled before it is made."""

    def remove(self, journal: Journal, say: Progress) -> RemovalReport:
        """Remove what the journal has pending; never raise because of one thing that stays."""

    def routers(self, environment: Environment) -> tuple[Router, ...]:
        """Return the network's routers as they are now; none where the caller may not list them."""

    def watching_routers(self, environment: Environment) -> AbstractContextManager[RouterLog]:
        """Note what the cloud shows of the network's routers, until the block is left."""


class RouterLog(Protocol):
    """What the cloud has shown of routers so far."""

    @property
    def changes(self) -> tuple[RouterChange, ...]: ...


class TrialObservation(Observation, Protocol):
    """The probers of one trial, and what people should know of how they probe."""

    def notes(self) -> tuple[str, ...]: ...


class Guests(Protocol):
    """The VMs of the environment, as probes reach them."""

    def await_guests(self, deadline_s: float, say: Progress) -> tuple[Caveat, ...]:
        """Wait until every VM lets us in; return what may spoil figures. Raise ProbeError past the deadline."""

    def notes(self) -> tuple[str, ...]:
        """Return what people should know of how the VMs are logged in to."""

    def silent_addresses(self) -> tuple[str, ...]:
        """Name the public addresses that don't answer a ping."""

    def observation(self, folder: Path) -> TrialObservation:
        """Prepare the probers of one trial, whose raw logs go to ``folder``."""

    def leave(self) -> None:
        """Clean the VMs up, as far as they can be reached; never fail because of one that can't."""


@dataclass(frozen=True, slots=True)
class OperationSource:
    """What is done to the network in every trial. ``prepare`` gets the environment and the trial's directory.

    The operation may go on until its block is left; what should be known of it later it writes to the directory.
    """

    name: str
    prepare: Callable[[Environment, Path], AbstractContextManager[Operation]]


class MachineCheck(Protocol):
    """This machine, held against a plan."""

    def __call__(self, plan: Plan, public: str, /) -> Iterable[Finding]:
        """Say what keeps the plan's probes from being sent here, or to ``public``, an address; "" for none known."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything outside a run that it touches. ``guests`` reaches the VMs with the keys in a run's directory."""

    cloud: CloudPort
    guests: Callable[[Environment, RunDir], Guests]
    operation: OperationSource
    screen: RunScreen
    clock: Clock
    interrupts: Interrupts
    machine: MachineCheck
