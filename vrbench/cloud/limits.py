"""Whether an account's limits leave room for a plan."""

from __future__ import annotations

import math

from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.facade import Answer
from vrbench.core.findings import Findings

_GIB = 1 << 30


def check_limits(plan: EnvironmentPlan, account: Answer, of_vms: tuple[Answer, Answer], found: Findings) -> None:
    """Say what the account has too little of; unknown sizes and limits count as enough.

    ``of_vms``: their service offering and their template.
    """
    service, template = of_vms
    disk_gib = max(math.ceil(int(template.get("size") or 0) / _GIB), int(service.get("rootdisksize") or 0))
    needs = {
        "vm": ("VMs", plan.vms),
        "volume": ("volumes", plan.vms),
        "ip": ("public IP addresses, source NAT included", plan.public_ips + 1),
        "network": ("networks", 1),
        "cpu": ("CPU cores", plan.vms * int(service.get("cpunumber") or 0)),
        "memory": ("MiB of memory", plan.vms * int(service.get("memory") or 0)),
        "primarystorage": ("GiB of primary storage", plan.vms * disk_gib),
    }
    left = {prefix: _limit(account.get(f"{prefix}available")) for prefix in needs}
    for prefix, (what, needed) in needs.items():
        if needed > left[prefix]:
            seen = f"the account's limit leaves {left[prefix]:g} {what}, the plan needs {needed}"
            found.bad("limits", seen, "free some, ask for a higher limit, or plan less")


def _limit(value: object) -> float:
    """Return how many are left; CloudStack writes numbers as text, and no limit as "Unlimited" or -1."""
    try:
        left = float(str(value))
    except ValueError:
        return math.inf
    return math.inf if left == -1 else left
