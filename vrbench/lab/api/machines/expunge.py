"""VMs that were destroyed, or never started, disappear after a while."""

from __future__ import annotations

from vrbench.lab.api.machines.power import expunge
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state.zone import Zone

DOOMED = ("Destroyed", "Expunging", "Error")
LONGEST_WAIT_S = 1.0


def expunge_wait_s(zone: Zone) -> float:
    """Return how long to wait between two looks: there are several per expunge delay."""
    return min(LONGEST_WAIT_S, zone.settings.expunge_delay_s / 4)


def expunge_old(zone: Zone) -> None:
    """Expunge every VM that has been doomed for longer than the expunge delay. Raises ApiError or GroundError."""
    before = zone.clock.now() - zone.settings.expunge_delay_s
    with zone.lock:
        old = [m for m in zone.machines if m.state in DOOMED and (m.updated or m.created) < before]
    for machine in old:
        expunge(zone, machine)
        if machine.network.state != "Allocated":
            reprogram(zone, machine.network)
