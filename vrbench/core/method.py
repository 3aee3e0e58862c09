"""The method: everything that decides how samples become figures. Runs of unlike methods are not compared."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.values import show_duration
from vrbench.core.windows import ESTIMATOR


@dataclass(frozen=True, slots=True)
class Method:
    """Intervals, threshold (Tmax), merge and validation, in seconds."""

    interval_s: float
    banner_interval_s: float
    threshold_s: float
    merge: int
    baseline_s: float
    validation_s: float
    estimator: str = ESTIMATOR
    without_python: str = ""  # how guests without Python were probed, known from the logs: "iputils-20ms"

    @property
    def id(self) -> str:
        """One word that is equal for two runs exactly when their figures were made the same way."""
        parts = [
            self.estimator,
            f"i{show_duration(self.interval_s)}",
            f"b{show_duration(self.banner_interval_s)}",
            f"t{show_duration(self.threshold_s)}",
            f"m{self.merge}",
            f"v{show_duration(self.validation_s)}",
            "icmp.fresh+icmp.persistent+ssh.syn+ssh.banner",
            *([self.without_python] if self.without_python else []),
        ]
        return "/".join(parts)
