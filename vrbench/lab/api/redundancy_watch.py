"""What the server believes of redundant routers: it asks them every half minute, and no sooner."""

from __future__ import annotations

import threading

from vrbench.lab.api.records import Router
from vrbench.lab.api.zone import Zone

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
                for router in self._zone.routers:
                    if router.redundant and router.state == "Running":
                        router.redundant_state = self._state_of(router)

    def _state_of(self, router: Router) -> str:
        running = [peer for peer in self._zone.routers_of(router.home) if peer.state == "Running"]
        return "PRIMARY" if running[0] is router else "BACKUP"
