"""What the server believes of redundant routers: it asks them every half minute, and no sooner."""

from __future__ import annotations

from vrbench.lab.api.state.entities import Router
from vrbench.lab.api.state.zone import Zone
from vrbench.lab.ground.port import GroundError

SHORTEST_WAIT_S = 0.05


def redundancy_wait_s(zone: Zone) -> float:
    """Return how long to wait between two looks."""
    return max(SHORTEST_WAIT_S, zone.settings.router_check_s)


def check_redundancy(zone: Zone) -> None:
    """Ask every running redundant router for its state."""
    with zone.lock:
        asked = [r for r in zone.routers if r.redundant and r.state == "Running"]
    for router in asked:
        _ask(zone, router)


def _ask(zone: Zone, router: Router) -> None:
    try:
        state = zone.ground.redundancy_state(router.name)
    except GroundError:  # gone meanwhile
        state = "UNKNOWN"
    with zone.lock:
        router.redundant_state = state
