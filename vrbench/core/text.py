"""How counts and times of day are worded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def some(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: "1 VM", "10 VMs", "2 public addresses"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(vms: int, public_ips: int) -> str:
    """Return the size of an environment: "10 VMs, 10 public addresses"."""
    return f"{some(vms, 'VM')}, {some(public_ips, 'public address', 'public addresses')}"


def listed(items: Sequence[object]) -> str:
    """Return "1", "1 and 2", "1, 2 and 3"."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def few(names: Sequence[str]) -> str:
    """Return at most three names, and how many more: "vm1, vm2, vm3 and 7 more"."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def utc_text(moment: datetime, timespec: str = "milliseconds") -> str:
    """Return a moment with a time zone as ISO 8601 in UTC: "2026-11-24T12:00:00.000Z"."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def about(seconds: float) -> str:
    """Return "45 s", "3 min", "1 h 10 min": as exact as one plans by."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
