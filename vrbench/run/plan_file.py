"""plan.json in a run's directory: all that the process inside an embedded lab needs to carry the run out.

It holds no credentials; those the lab keeps. Only its owner can read it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from vrbench.core.calibrate.injections import Injection
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.tables import TABLES, Profile
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError, read_json, replace_json

FORMAT = "vrbench-plan/1"


class View(StrEnum):
    """How progress is shown: as on this terminal, as lines, as events for another process, or not at all."""

    LIVE = "live"
    PLAIN = "plain"
    EVENTS = "events"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LabRun:
    """A run to be carried out inside a lab. With ``outages``, these take the place of the profile's operation."""

    plan: Plan
    view: View
    outages: tuple[Injection, ...] | None = None
    calibrated: MachineCalibration | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the file holds: the plan is made anew from the profile's tables, and must be of the same method."""

    format: str
    run_id: str
    method_id: str
    profile: dict[str, Any]
    view: View
    outages: tuple[Injection, ...] | None
    calibrated: MachineCalibration | None


def plan_path(store: RunDir) -> Path:
    """Return where a run's plan lies."""
    return store.path / "plan.json"


def write_plan(store: RunDir, run: LabRun) -> None:
    """Write the plan for the process inside. Raises StoreError."""
    plan = run.plan
    profile = asdict(plan.profile)
    stored = _Stored(FORMAT, plan.run_id, plan.method.id, profile, run.view, run.outages, run.calibrated)
    replace_json(plan_path(store), asdict(stored), mode=0o600)


def read_plan(store: RunDir) -> LabRun:
    """Read what ``write_plan`` wrote. Raises StoreError."""
    import msgspec

    path = plan_path(store)
    try:
        stored = msgspec.convert(read_json(path), _Stored)
        plan = make_plan(_profile(stored.profile), stored.run_id)
    except (msgspec.ValidationError, KeyError) as error:
        raise StoreError(f"{path} is not whole ({error}); run the same command again") from error
    if (stored.format, stored.method_id) != (FORMAT, plan.method.id):
        raise StoreError(f"{path} was written by another version of vrbench; run the same command again")
    return LabRun(plan, stored.view, stored.outages, stored.calibrated)


def _profile(stored: dict[str, Any]) -> Profile:
    """Return the profile of these tables; one without a lab has none of the lab's."""
    import msgspec

    tables = {name: kind for name, kind in TABLES.items() if name != "lab" or stored["lab"] is not None}
    read = {name: msgspec.convert(stored[name], kind) for name, kind in tables.items()}
    return Profile(**{"name": stored["name"], "lab": None, **read})
