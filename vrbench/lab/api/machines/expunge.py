"""The housekeeper: VMs that were destroyed, or never started, disappear after a while."""

from __future__ import annotations

import logging
import threading
import time

from vrbench.lab.api.machines.power import expunge
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Stopping, Zone
from vrbench.lab.ground.port import GroundError

DOOMED = ("Destroyed", "Expunging", "Error")
LONGEST_WAIT_S = 1.0

log = logging.getLogger(__name__)


class Expunger:
    """One thread that looks around several times per expunge delay, until the zone stops."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._thread = threading.Thread(target=self._run, name="lab-expunge", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_s = min(LONGEST_WAIT_S, self._zone.settings.expunge_delay_s / 4)
        while not self._zone.stopping.wait(wait_s):
            try:
                self._sweep()
            except Stopping:
                return
            except (ApiError, GroundError):
                log.exception("a VM could not be expunged")

    def _sweep(self) -> None:
        before = time.time() - self._zone.settings.expunge_delay_s
        with self._zone.lock:
            old = [m for m in self._zone.machines if m.state in DOOMED and (m.updated or m.created) < before]
        for machine in old:
            expunge(self._zone, machine)
            if machine.network.state != "Allocated":
                reprogram(self._zone, machine.network)
