"""Faults on demand, by the commands of CloudStack's own simulator: a start or stop that fails or takes longer.

The lab's own faults (``lab/faults.py``) are switched on and off by the same commands.
"""

from __future__ import annotations

from vrbench.lab import faults
from vrbench.lab.api.request.call import Call
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json
from vrbench.lab.api.state.zone import Zone
from vrbench.lab.limits import Limits

START, STOP = "StartCommand", "StopCommand"
LONGEST_WAIT = Limits(0, 86_400_000, whole=True)
_FAILURES = {START: "router-not-placed", STOP: "router-not-stopped"}


def configure(call: Call) -> Json:
    """Answer configureSimulator: a fault's parameters, or "fail" or "wait:MILLISECONDS" for every later ``name``."""
    zone, name, value = call.zone, call.required("name"), call.required("value")
    if name in faults.KINDS:
        try:
            zone.faults.start(faults.make(name, faults.parse(value)))
        except faults.FaultError as error:
            raise errors.invalid_value(call.shape.name, str(error)) from error
    elif wrong := _wrong_wait(value):
        raise errors.invalid_value(call.shape.name, f"{name}: the milliseconds to wait must be {wrong}")
    with zone.lock:
        zone.mocks[name] = value
        number = list(zone.mocks).index(name) + 1
    return {"null": {"id": number, "zoneid": 1, "name": name}}


def _wrong_wait(value: str) -> str:
    """Return what is wrong with so many milliseconds; a value of another kind has none."""
    kind, _, rest = value.partition(":")
    return LONGEST_WAIT.refuse(rest) if kind == "wait" else ""


def clean_up(call: Call) -> Json:
    """Answer cleanupSimulatorMock: forget one mock by its number."""
    zone, number = call.zone, call.number("id")
    with zone.lock:
        names = list(zone.mocks)
        if number is None or not 1 <= number <= len(names):
            raise errors.internal("Failed to cleanup mock")
        del zone.mocks[names[number - 1]]
    zone.faults.stop(names[number - 1])
    return {"success": True}


def fails(zone: Zone, command: str) -> bool:
    return zone.mocks.get(command, "").split(":")[0] == "fail" or zone.faults.get(_FAILURES[command]) is not None


def extra_s(zone: Zone, command: str) -> float:
    """Return how much longer the command takes than it would."""
    kind, _, value = zone.mocks.get(command, "").partition(":")
    stuck = zone.faults.get("router-stuck-starting") if command == START else None
    waited = float(value) / 1000 if kind == "wait" else 0.0
    waited *= zone.settings.simulated_scale
    return max(waited, stuck.number("seconds") if stuck else 0.0)


COMMANDS = {"configureSimulator": configure, "cleanupSimulatorMock": clean_up}
