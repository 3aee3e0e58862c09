"""What updateNetwork and updateVPC have in common: other names, another source-NAT address, routers that know."""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.state.entities import Json, Served
from vrbench.lab.api.state.zone import Zone


def _rename(call: Call, served: Served) -> None:
    """Give it the names that the call has; with the lock held."""
    served.name = call.text("name") or served.name
    served.displaytext = call.text("displaytext") or served.displaytext


def use_source_nat(zone: Zone, served: Served, ip: str | None) -> bool:
    """Make one of its addresses its source-NAT address; whether anything changed. With the lock held.

    An address that it doesn't have, and the one that it is already, change nothing and are no error.
    """
    wanted = next((a for a in zone.addresses_of(served) if a.ip == ip and not a.source_nat), None)
    if wanted is None:
        return False
    for address in zone.source_nats(served):
        address.source_nat = False
    wanted.source_nat = True
    return True


def updating(
    call: Call, served: Served, change: Callable[[], bool], renew: Callable[[], None], shown: Callable[[], Json]
) -> Task:
    """Return the job that changes ``served``.

    It does ``change`` to the record under the lock, then ``renew`` to the routers if that says so, and answers with
    ``shown``.
    """

    def run() -> Json:
        with call.zone.lock:
            renews = change()
            _rename(call, served)
        if renews:
            renew()
        with call.zone.lock:
            return shown()

    return Task(run, served, type(served).__name__, shows_instance=False)
