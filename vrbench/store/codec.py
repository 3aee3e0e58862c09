"""Values as JSON objects and back: which words stand in a run's files, and what of them can be read.

The files keep their words. A field that has another name in code is listed in ``WRITTEN_AS``, so that runs stored
earlier stay readable, and earlier versions of vrbench read the runs stored today. A name that no version has written
is refused: it may be a rule of a newer version, and without it the figures would be others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vrbench.core.facts import Context, TrialFacts
from vrbench.core.figures.results import RunState
from vrbench.core.log.rawlog import LATEST_NS
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.plan.limits import LimitsTable
from vrbench.core.plan.method import Method
from vrbench.core.text import few
from vrbench.core.values import count, quoted, shortened
from vrbench.store.files import StoreError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

FORMAT = "vrbench-run/1"
MOST_SECONDS = 1e9  # thirty years
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
        shown = few([shortened(name) for name in unknown])
        raise StoreError(f"{path} holds {shown}, which this version does not know: read it with a newer one")
    if absurd := next(_absurd(stored, kind.__name__.lower()), ""):
        raise _not_whole(path, absurd)
    try:
        return msgspec.convert({name: stored[key] for name, key in names.items() if key in stored}, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        raise _not_whole(path, str(error).replace("$", kind.__name__.lower())) from error


def _absurd(value: object, name: str) -> Iterator[str]:
    """Yield what can't be true of any run, with its place: numbers that no clock and no count comes to."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _absurd(part, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from _absurd(part, f"{name}[{i}]")
    elif isinstance(value, float) and not abs(value) < MOST_SECONDS:
        yield f"{name} is {value}"
    elif isinstance(value, int) and not abs(value) < LATEST_NS:
        yield f"{name} is {quoted(value)}"


def decode_header(stored: Mapping[str, Any], path: Path) -> Header:
    """Return what ``run.json`` at ``path`` holds. Raises StoreError."""
    if stored.get("format") != FORMAT:
        raise StoreError(f"{path} has format {quoted(stored.get('format'))}; this version reads {FORMAT!r}")
    run_id = stored.get("run_id", path.parent.name)
    if not isinstance(run_id, str):
        raise _not_whole(path, f"run_id is {quoted(run_id)}")
    planned, limits = _asked(stored.get("profile"), path)
    return Header(
        run_id=run_id,
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
        raise _not_whole(path, f"state is {quoted(stored)}") from None


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


def decode_facts(stored: object, path: Path) -> TrialFacts:
    """Return a trial's facts, from its ``facts.json`` at ``path``. Raises StoreError."""
    facts = decode(TrialFacts, stored, path)
    if path.parent.name != trial_name(facts.number):
        raise _not_whole(path, f"it says that it is of trial {facts.number}")
    _check_moment("trialfacts.requested_utc", facts.requested_utc, path)
    return facts


def _check_moment(name: str, text: str, path: Path) -> None:
    """Raise StoreError for what is no moment with its time zone, or one that no clock of our days shows."""
    try:
        moment = datetime.fromisoformat(text)
        good = moment.tzinfo is not None and 1970 <= moment.astimezone(UTC).year < 2200
    except (ValueError, OverflowError):
        good = False
    if not good:
        raise _not_whole(path, f"{name} is {quoted(text)}")


def trial_name(number: int) -> str:
    """Return the name of a trial's directory."""
    return f"trial-{number:02d}"


def decode_calibration(stored: object, path: Path) -> MachineCalibration | None:
    """Return the machine's calibration; None in runs without one, and in those of a version that kept other figures."""
    if stored is None:
        return None
    try:
        found = decode(MachineCalibration, stored, path)
        _check_moment("calibrated_utc", found.calibrated_utc, path)
    except StoreError:
        return None
    return found


def _asked(profile: object, path: Path) -> tuple[int, LimitsTable | None]:
    """Return how many trials a stored profile asked for, and its limits; 0 and None where it can't be read."""
    try:
        asked: Any = profile
        planned = count(0, 1_000_000)(asked["trials"]["count"])
        return planned, decode(LimitsTable, asked["limits"], path)
    except (KeyError, TypeError, ValueError, StoreError):
        return 0, None


def _not_whole(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} is not whole ({reason}): what it describes can't be used")
