"""How counts are worded."""

from __future__ import annotations


def some(count: int, one: str, many: str = "") -> str:
    """ "1 VM", "10 VMs", "2 public addresses"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(vms: int, public_ips: int) -> str:
    """Of an environment: "10 VMs, 10 public addresses"."""
    return f"{some(vms, 'VM')}, {some(public_ips, 'public address', 'public addresses')}"
