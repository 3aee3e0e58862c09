"""What a run is told to do, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.facts import Context
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.plan.plan import Plan
from vrbench.store.directory import RunDir


@dataclass(frozen=True, slots=True)
class RunOrder:
    """One run: its plan, its directory, and how it differs from the usual.

    ``keep``: leave the environment standing. ``reuse``: the run whose kept environment is measured instead of a new
    one. ``calibrated``: how wrong the instrument is on this machine, if that was looked at.
    """

    plan: Plan
    store: RunDir
    in_lab: bool = False
    keep: bool = False
    reuse: RunDir | None = None
    calibrated: MachineCalibration | None = None

    def context(self, operation: str) -> Context:
        """Return where it measures, as far as that is known before the cloud was asked."""
        return Context(self.plan.profile.name, "unknown", "unknown", operation, self.in_lab)

    @property
    def keys(self) -> RunDir:
        """The directory with the keys of the VMs that are measured."""
        return self.reuse or self.store


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended: what is left in the cloud, what else went wrong, and why it stopped early, if it did.

    ``accepted``: what is left is what the profile accepts to be left until the server expunges.
    """

    left: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    error: Exception | None = None
    interrupted: bool = False
    accepted: bool = False
