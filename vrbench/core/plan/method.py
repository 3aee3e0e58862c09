"""The method: everything that decides how samples become figures. Runs of unlike methods are not compared."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.values import show_duration

ESTIMATOR = "w4"  # changes whenever the same samples would give other figures; part of every method id
FIGURES = ("icmp.fresh", "icmp.persistent", "ssh.syn", "ssh.banner")  # the kinds that make the headline figures


@dataclass(frozen=True, slots=True)
class Method:
    """Intervals, threshold (Tmax), merge and validation, in seconds; ``kinds`` says what is probed, joined by "+".

    The defaults are those of runs that were stored before a field existed.
    """

    interval_s: float
    banner_interval_s: float
    threshold_s: float
    merge: int
    baseline_s: float
    validation_s: float
    estimator: str = ESTIMATOR
    kinds: str = "+".join(FIGURES)
    dns_interval_s: float = 0.0
    auth_interval_s: float = 0.0
    without_python: str = ""  # how guests without Python were probed, known from the logs: "iputils-20ms"

    @property
    def id(self) -> str:
        """One word that is equal for two runs when what decides their figures was the same.

        What is only evidence beside them (sessions, gateways, controls) and the length of the baseline are not in it.
        """
        parts = [
            self.estimator,
            f"i{show_duration(self.interval_s)}",
            f"b{show_duration(self.banner_interval_s)}",
            *([f"d{show_duration(self.dns_interval_s)}"] if self.dns_interval_s else []),
            *([f"a{show_duration(self.auth_interval_s)}"] if self.auth_interval_s else []),
            f"t{show_duration(self.threshold_s)}",
            f"m{self.merge}",
            f"v{show_duration(self.validation_s)}",
            self.kinds,
            *([self.without_python] if self.without_python else []),
        ]
        return "/".join(parts)
