"""The lab's CloudStack API as a whole: one zone, its jobs, and the HTTP server in front."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vrbench.lab.api.faults.api_faults import FaultyApi
from vrbench.lab.api.machines.expunge import expunge_old, expunge_wait_s
from vrbench.lab.api.routers.redundancy_watch import check_redundancy, redundancy_wait_s
from vrbench.lab.api.server.call_record import CallRecord
from vrbench.lab.api.server.dispatch import Dispatcher
from vrbench.lab.api.server.housekeeper import Housekeeper
from vrbench.lab.api.server.jobs import Jobs
from vrbench.lab.api.server.web import Web
from vrbench.lab.api.state.clock import ZoneClock
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.api.state.zone import Zone
from vrbench.lab.faults import Faults
from vrbench.lab.ground.port import Ground


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may sign requests."""

    account: str
    apikey: str = field(repr=False)
    secretkey: str = field(repr=False)


class ApiServer:
    """A CloudStack management server for ``ground``; its state lives and dies with it."""

    def __init__(
        self, ground: Ground, settings: ZoneSettings, faults: Faults | None = None, clock: ZoneClock | None = None
    ) -> None:
        self._zone = Zone(ground, settings, faults, clock)
        self._jobs = Jobs(self._zone)
        self._housekeepers = (
            Housekeeper(self._zone, expunge_wait_s(self._zone), expunge_old),
            Housekeeper(self._zone, redundancy_wait_s(self._zone), check_redundancy),
        )
        self._calls = CallRecord(FaultyApi(self._zone, Dispatcher(self._zone, self._jobs).answer))
        self._web = Web(self._calls)

    def start(self, listeners: Sequence[socket.socket]) -> None:
        """Serve /client/api on sockets that are bound and listening already."""
        for housekeeper in self._housekeepers:
            housekeeper.start()
        self._web.start(listeners)

    def stop(self) -> None:
        """Stop serving, give up running jobs and close the listeners; the ground is left as it is."""
        self._zone.stopping.set()
        self._web.stop()
        for housekeeper in self._housekeepers:
            housekeeper.join()
        self._jobs.close()

    def callers(self) -> dict[str, Caller]:
        """Return the keys of this lab: root, domadmin and user."""
        return {
            account.role: Caller(account.name, account.apikey, account.secretkey)
            for account in self._zone.accounts
            if "caller" in account.body
        }

    def calls_since(self, number: int) -> list[dict[str, Any]]:
        """Return the calls that could have changed something, after the first ``number`` of them."""
        return self._calls.since(number)
