"""Faults on demand, by the commands of CloudStack's own simulator: a start or stop that fails or takes longer."""

from __future__ import annotations

from vrbench.lab.api import errors
from vrbench.lab.api.call import Call
from vrbench.lab.api.records import Json
from vrbench.lab.api.zone import Zone

START, STOP = "StartCommand", "StopCommand"


def configure(call: Call) -> Json:
    """configureSimulator: ``value`` is "fail" or "wait:MILLISECONDS", for every later ``name``."""
    zone, name = call.zone, call.required("name")
    with zone.lock:
        zone.mocks[name] = call.required("value")
        number = list(zone.mocks).index(name) + 1
    return {"null": {"id": number, "zoneid": 1, "name": name}}


def clean_up(call: Call) -> Json:
    """cleanupSimulatorMock: forget one mock by its number."""
    zone, number = call.zone, call.number("id")
    with zone.lock:
        names = list(zone.mocks)
        if number is None or not 1 <= number <= len(names):
            raise errors.internal("Failed to cleanup mock")
        del zone.mocks[names[number - 1]]
    return {"success": True}


def fails(zone: Zone, command: str) -> bool:
    return zone.mocks.get(command, "").split(":")[0] == "fail"


def extra_s(zone: Zone, command: str) -> float:
    """How much longer the command takes than it would."""
    kind, _, value = zone.mocks.get(command, "").partition(":")
    return int(value) / 1000 if kind == "wait" and value.isdigit() else 0.0


COMMANDS = {"configureSimulator": configure, "cleanupSimulatorMock": clean_up}
