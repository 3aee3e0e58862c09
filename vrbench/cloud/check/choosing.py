"""Which of a cloud's things a profile means, and which zones will do."""

from __future__ import annotations

from collections.abc import Sequence

from vrbench.cloud.api.facade import Answer
from vrbench.core.suggest import nearest


def choose(rows: Sequence[Answer], wanted: str, what: str) -> tuple[Answer, str]:
    """Find the row whose id or name is ``wanted``; return it and no problem, or no row and the problem.

    An empty ``wanted`` means the only one there is.
    """
    if not wanted:
        return (rows[0], "") if len(rows) == 1 else ({}, _not_the_only(rows, what))
    by_id = [row for row in rows if row.get("id") == wanted]
    hits = by_id or [row for row in rows if row.get("name") == wanted]
    if len(hits) == 1:
        return hits[0], ""
    if hits:
        ids = ", ".join(str(row.get("id")) for row in hits)
        return {}, f"{what} {wanted!r} is the name of {len(hits)} things; give one of their ids: {ids}"
    names = [str(row.get("name")) for row in rows]
    near = nearest(wanted, names, most=3) or sorted(names)[:5]
    there = f"nearest: {', '.join(near)}" if near else "there is none this account may use"
    return {}, f"{what} {wanted!r} not found; {there}"


def _not_the_only(rows: Sequence[Answer], what: str) -> str:
    names = sorted(str(row.get("name")) for row in rows)
    there = f"there are {len(rows)}: {', '.join(names[:8])}" if rows else "there is none this account may use"
    return f"no {what} is named in the profile, and {there}"


def unfit_zone(zone: Answer) -> str:
    """Say why a zone has no networks of the kind that is measured; empty where it has."""
    if zone.get("networktype") == "Basic" or zone.get("securitygroupsenabled"):
        seen = f"zone {zone.get('name')!r} is a basic zone or uses security groups"
        return f"{seen}; it has no isolated networks with a router of their own"
    return ""


def is_disabled(zone: Answer) -> bool:
    """Return whether a zone takes nothing new from anybody but root administrators."""
    return zone.get("allocationstate") == "Disabled"
