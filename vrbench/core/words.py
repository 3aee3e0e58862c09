"""How counts are worded."""

from __future__ import annotations

from collections.abc import Sequence


def some(count: int, one: str, many: str = "") -> str:
    """ "1 VM", "10 VMs", "2 public addresses"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(vms: int, public_ips: int) -> str:
    """Of an environment: "10 VMs, 10 public addresses"."""
    return f"{some(vms, 'VM')}, {some(public_ips, 'public address', 'public addresses')}"


def listed(items: Sequence[object]) -> str:
    """ "1", "1 and 2", "1, 2 and 3"."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last
