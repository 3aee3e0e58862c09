"""Values as JSON objects and back: which words stand in a run's files, and what of them can be read.

The files keep their words. A field that has another name in code is listed in ``WRITTEN_AS``, so that runs stored
earlier stay readable, and earlier versions of vrbench read the runs stored today. A name that no version has written
is refused: it may be a rule of a newer version, and without it the figures would be others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vrbench.core.facts import Context, TrialFacts
from vrbench.core.figures.results import RunState
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.plan.method import Method
from vrbench.core.plan.tables import LimitsTable
from vrbench.store.files import StoreError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

FORMAT = "vrbench-run/1"
# A field's name in code, and the key it is stored under where that is another one.
WRITTEN_AS: Mapping[type, Mapping[str, str]] = {
    TrialFacts: {
        "expected_streams": "expected",
        "guest_of_endpoint": "behind",
        "pre_trial_caveats": "doubts",
        "competing_routers": "rivals",
    },
}


@dataclass(frozen=True, slots=True)
class Header:
    """What ``run.json`` says: how far the run came, where and by which rules it was measured, and what was asked for.

    ``planned``: how many trials, 0 where that can't be read any more; ``limits`` and ``calibrated`` then are None.
    """

    run_id: str
    state: RunState
    context: Context
    method: Method
    planned: int
    limits: LimitsTable | None
    calibrated: MachineCalibration | None


def encode(value: DataclassInstance) -> dict[str, Any]:
    """Return a value as the JSON object that stands in a run's files."""
    names = WRITTEN_AS.get(type(value), {})
    return {names.get(name, name): part for name, part in asdict(value).items()}


def decode(kind: type[T], stored: object, path: Path) -> T:
    """Return the value of a dataclass that ``encode`` made this of; ``path`` is for the message. Raises StoreError."""
    import msgspec  # only commands that read a stored run need it

    if not isinstance(stored, Mapping):
        raise _not_whole(path, f"no {kind.__name__}")
    names = {field.name: WRITTEN_AS.get(kind, {}).get(field.name, field.name) for field in fields(kind)}
    if unknown := sorted(set(stored) - set(names.values())):
        raise StoreError(
            f"{path} holds {', '.join(unknown)}, which this version does not know: read it with a newer one"
        )
    try:
        return msgspec.convert({name: stored[key] for name, key in names.items() if key in stored}, kind)
    except msgspec.ValidationError as error:
        raise _not_whole(path, str(error).replace("$", kind.__name__.lower())) from error


def decode_header(stored: Mapping[str, Any], path: Path) -> Header:
    """Return what ``run.json`` at ``path`` holds. Raises StoreError."""
    if stored.get("format") != FORMAT:
        raise StoreError(f"{path.parent} has format {stored.get('format')!r}; this version reads {FORMAT!r}")
    planned, limits = _asked(stored.get("profile"), path)
    return Header(
        run_id=str(stored.get("run_id", path.parent.name)),
        state=_state(stored.get("state"), path),
        context=decode(Context, stored.get("context"), path),
        method=decode_method(stored, path),
        planned=planned,
        limits=limits,
        calibrated=decode_calibration(stored.get("calibrated"), path),
    )


def _state(stored: object, path: Path) -> RunState:
    try:
        return RunState(str(stored))
    except ValueError:
        raise _not_whole(path, f"state is {stored!r}") from None


def decode_method(stored: Mapping[str, Any], path: Path) -> Method:
    """Return the rules that a run was recorded under, from its ``run.json``. Raises StoreError."""
    method = decode(Method, stored.get("method"), path)
    for field in fields(method):
        value = getattr(method, field.name)
        if not isinstance(value, str) and not 0 <= value < 1e9:
            raise _not_whole(path, f"method.{field.name} is {value!r}")
    if method.merge < 1:
        raise _not_whole(path, f"method.merge is {method.merge!r}")
    return method


def decode_calibration(stored: object, path: Path) -> MachineCalibration | None:
    """Return the machine's calibration; None in runs without one, and in those of a version that kept other figures."""
    try:
        return decode(MachineCalibration, stored, path) if stored is not None else None
    except StoreError:
        return None


def _asked(profile: object, path: Path) -> tuple[int, LimitsTable | None]:
    """Return how many trials a stored profile asked for, and its limits; 0 and None where it can't be read."""
    try:
        asked: Any = profile
        return int(asked["trials"]["count"]), decode(LimitsTable, asked["limits"], path)
    except (KeyError, TypeError, ValueError, StoreError):
        return 0, None


def _not_whole(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} is not whole ({reason}): what it describes can't be used")
