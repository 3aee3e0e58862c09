"""The server's own threads: what it does every so often, unasked, until the zone stops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Stopping, Zone
from vrbench.lab.ground.port import GroundError

log = logging.getLogger(__name__)


class Housekeeper:
    """One thread that does ``act`` every so many seconds. What goes wrong in it is logged, and tried again."""

    def __init__(self, zone: Zone, every_s: float, act: Callable[[Zone], None]) -> None:
        self._zone, self._every_s, self._act = zone, every_s, act
        self._thread = threading.Thread(target=self._run, name=f"lab-{act.__name__}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._zone.stopping.wait(self._every_s):
            try:
                self._act(self._zone)
            except Stopping:
                return
            except (ApiError, GroundError):
                log.exception("%s failed", self._thread.name)
