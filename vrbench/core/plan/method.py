"""The method: everything that decides how samples become figures. Runs of unlike methods are not compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vrbench.core.kinds import (
    DNS,
    EVERY,
    ICMP_FRESH,
    ICMP_PERSISTENT,
    SSH_AUTH,
    SSH_BANNER,
    SSH_SYN,
    Interval,
    ProbeKind,
)
from vrbench.core.values import show_duration

ESTIMATOR = "w5"  # changes whenever the same samples would give other figures; part of every method id
OLD_FLOW_GRACE_S = 60.0
FORMERLY = (ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN, SSH_BANNER)  # what runs probed whose method does not say so


def kinds_word(kinds: Sequence[tuple[ProbeKind, float]]) -> str:
    """Return what is probed as one word: the kinds joined by "+", with their intervals where those have no letter."""
    return "+".join(k.key if k.interval.letter else f"{k.key}@{show_duration(every_s)}" for k, every_s in kinds)


@dataclass(frozen=True, slots=True)
class Method:
    """Intervals, threshold (Tmax), merge and validation, in seconds; ``kinds`` is what is probed, see ``kinds_word``.

    The defaults are those of runs that were stored before a field existed.
    """

    interval_s: float
    banner_interval_s: float
    threshold_s: float
    merge: int
    baseline_s: float
    validation_s: float
    estimator: str = ESTIMATOR
    kinds: str = kinds_word([(kind, kind.interval.default_s) for kind in FORMERLY])
    dns_interval_s: float = 0.0
    auth_interval_s: float = 0.0
    old_flow_grace_s: float = OLD_FLOW_GRACE_S
    without_python: str = ""  # how guests without Python were probed, known from the logs: "iputils-20ms-new-500ms"

    @property
    def intervals(self) -> tuple[tuple[Interval, float], ...]:
        """The intervals that have a letter, in the order of the id; 0 s stands for a kind that is switched off."""
        return (
            (EVERY, self.interval_s),
            (SSH_BANNER.interval, self.banner_interval_s),
            (DNS.interval, self.dns_interval_s),
            (SSH_AUTH.interval, self.auth_interval_s),
        )

    @property
    def id(self) -> str:
        """One word that is equal for two runs when what decides their figures was the same.

        What is only evidence beside them (gateways, controls) and the length of the baseline are not in it. The grace
        of old flows is, where it is not the usual one: it decides whether a ping that comes back late is part of the
        averages or counted as one that never did. How long a silence proves it is not: that changes causes alone.
        """
        parts = [
            self.estimator,
            *(f"{interval.letter}{show_duration(every_s)}" for interval, every_s in self.intervals if every_s),
            f"t{show_duration(self.threshold_s)}",
            f"m{self.merge}",
            f"v{show_duration(self.validation_s)}",
            f"g{show_duration(self.old_flow_grace_s)}" if self.old_flow_grace_s != OLD_FLOW_GRACE_S else "",
            self.kinds,
            self.without_python,
        ]
        return "/".join(filter(None, parts))
