"""What the server believes of redundant routers: it asks them every half minute, and no sooner."""

from __future__ import annotations

import threading

from vrbench.lab.api.state.entities import Router
from vrbench.lab.api.state.zone import Zone
from vrbench.lab.ground.port import GroundError

SHORTEST_WAIT_S = 0.05


class RedundancyWatch:
    """One thread that asks every running redundant router for its state, until the zone stops."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._thread = threading.Thread(target=self._run, name="lab-redundancy", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_s = max(SHORTEST_WAIT_S, self._zone.settings.router_check_s)
        while not self._zone.stopping.wait(wait_s):
            with self._zone.lock:
                asked = [r for r in self._zone.routers if r.redundant and r.state == "Running"]
            for router in asked:
                self._ask(router)

    def _ask(self, router: Router) -> None:
        try:
            state = self._zone.ground.redundancy_state(router.name)
        except GroundError:  # gone meanwhile
            state = "UNKNOWN"
        with self._zone.lock:
            router.redundant_state = state
