"""The public addresses that a zone has left, as far as the caller is shown them."""

from __future__ import annotations

from functools import partial

from vrbench.cloud.api.facade import Cloud, Param
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError
from vrbench.core.findings import Findings


def free_addresses(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, found: Findings) -> tuple[str, ...]:
    """Return free public addresses, first and last ones where there are many; a finding where they are too few.

    Who is shown none may just not be shown them.
    """
    which: dict[str, Param] = {"zoneid": zone_id, "state": "Free", "allocatedonly": False, "forvirtualnetwork": True}
    look = partial(cloud.page, "listPublicIpAddresses", "publicipaddress", **which)
    try:
        first = look()
        rest = first.count - len(first.rows)
        last = look(page=-(-first.count // len(first.rows)), pagesize=len(first.rows)).rows if rest > 0 else []
    except CloudError as error:
        seen = f"free public addresses can't be counted here ({error.command} refused or unanswered)"
        found.warn("addresses", seen)
        return ()
    _check_enough(first.count, plan.public_ips, found)
    shown = (str(row["ipaddress"]) for row in (*first.rows, *last))
    return tuple(address for address in shown if ":" not in address)


def _check_enough(free: int, public_ips: int, found: Findings) -> None:
    if not free:
        seen = "this account is shown no free public addresses; whether there are enough is not known"
        found.warn("addresses", seen)
    elif free < public_ips + 1:
        needed = f"the plan needs {public_ips + 1} ({public_ips} and one for source NAT)"
        cure = "plan fewer, or ask the administrator for a larger range"
        found.bad("addresses", f"the zone has {free} free public addresses, {needed}", cure)
