"""The one table of a profile that stored runs are held against; whoever analyses them needs no other."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core import values
from vrbench.core.plan.keys import key


@dataclass(frozen=True, slots=True)
class LimitsTable:
    """[limits]: exit 1 when an average of the run is above; empty: no limit."""

    egress: float | None = key(values.duration, None, "average of each kind of egress stream (its mean over VMs)")
    ingress: float | None = key(values.duration, None, "average of each kind of ingress stream (its mean over VMs)")
