"""Whether limits leave room for a plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from vrbench.cloud.api.facade import Answer
from vrbench.cloud.check.owners import Whose
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.core.findings import Findings

_GIB = 1 << 30


def check_limits(plan: EnvironmentPlan, whose: Whose, of_vms: tuple[Answer, Answer], found: Findings) -> None:
    """Say what the owner has too little of, or a domain that it is in; unknown sizes and limits count as enough.

    ``of_vms``: their service offering and their template.
    """
    needs = _needs(plan, *of_vms)
    limited = ((whose.what, whose.row), *((f"domain {row.get('path')}", row) for row in whose.domains))
    for who, row in limited:
        for seen in _too_little(who, row, needs):
            found.bad("limits", seen, "free some, ask for a higher limit, or plan less")


def _needs(plan: EnvironmentPlan, service: Answer, template: Answer) -> dict[str, tuple[str, int]]:
    """Return how much of what is needed, by what the fields of its limit begin with."""
    disk_gib = max(math.ceil(int(template.get("size") or 0) / _GIB), int(service.get("rootdisksize") or 0))
    return {
        "vm": ("VMs", plan.vms),
        "volume": ("volumes", plan.vms),
        "ip": ("public IP addresses, source NAT included", plan.public_ips + 1),
        "network": ("networks", 1),
        "cpu": ("CPU cores", plan.vms * int(service.get("cpunumber") or 0)),
        "memory": ("MiB of memory", plan.vms * int(service.get("memory") or 0)),
        "primarystorage": ("GiB of primary storage", plan.vms * disk_gib),
    }


def _too_little(who: str, row: Answer, needs: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    for prefix, (what, needed) in needs.items():
        left = _left(row, prefix)
        if needed > left:
            yield f"the {who}'s limit leaves {left:g} {what}, the plan needs {needed}"


def _left(row: Answer, prefix: str) -> float:
    """Return how many are left: none where more are used than a limit allows, that was lowered since."""
    limit, left = (_amount(row.get(f"{prefix}{name}")) for name in ("limit", "available"))
    return max(0.0, left) if 0 <= limit < math.inf else math.inf if left == -1 else left


def _amount(value: object) -> float:
    """Return a number as CloudStack writes it: as text, or as "Unlimited"."""
    try:
        return float(str(value))
    except ValueError:
        return math.inf
