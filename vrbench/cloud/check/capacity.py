"""Whether a zone's hosts have room for a plan's VMs, as the root administrator is shown it."""

from __future__ import annotations

from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError, NotPermitted
from vrbench.core.findings import Findings

_MEMORY, _CPU = 0, 1  # types of capacity: bytes, MHz
_MIB = 1 << 20


def check_capacity(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, service: Answer, found: Findings) -> None:
    """Hold the VMs against what all hosts of the zone together have left: with less they can't all be deployed.

    ``service``: their service offering. A host may still be too small for one of them, and the router takes some, too.
    """
    try:
        rows = cloud.list("listCapacity", "capacity", zoneid=zone_id)
    except NotPermitted:
        return
    except CloudError as error:
        found.warn("capacity", f"what the zone's hosts have left can't be told: {error}")
        return
    memory = plan.vms * int(service.get("memory") or 0)
    speed = plan.vms * int(service.get("cpunumber") or 0) * int(service.get("cpuspeed") or 0)
    for kind, needed, unit, per_unit in ((_MEMORY, memory, "MiB of memory", _MIB), (_CPU, speed, "MHz of CPU", 1)):
        left = [int(row["capacitytotal"]) - int(row["capacityused"]) for row in rows if _tells(row, kind)]
        if left and needed > (there := max(0, sum(left)) // per_unit):
            seen = f"the zone's hosts have {there} {unit} left, and the plan's VMs take {needed}"
            found.bad("capacity", seen, "plan fewer VMs, choose a smaller offering or another zone")


def _tells(row: Answer, kind: int) -> bool:
    return row.get("type") == kind and row.get("capacitytotal") is not None and row.get("capacityused") is not None
