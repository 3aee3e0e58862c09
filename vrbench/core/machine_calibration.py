"""What a calibration found on one machine, in the few figures that every later run made there carries along."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.core.text import some

NOT_CALIBRATED = "not calibrated on this machine: vrbench calibrate --quick"


@dataclass(frozen=True, slots=True)
class MachineCalibration:
    """How wrong the instrument was here. ``machine`` is a digest of what must be the same for it to count.

    ``kernel``, ``vrbench_version`` and ``estimator`` are part of that digest and stand here for people. Times in
    seconds; ``bias_s`` and ``worst_s`` are over all fine streams, ``seen`` and ``held`` over all but outages that
    flapped faster than the interval, the other counts over all comparisons. ``outages`` were injected, of which the
    longest was to last ``longest_s``; 0 of both where an older vrbench did not note them.
    """

    calibrated_utc: str
    machine: str
    kernel: str
    vrbench_version: str
    estimator: str
    good: bool
    seed: int
    interval_s: float
    bias_s: float
    worst_s: float
    seen: int
    held: int
    missed: int
    false: int
    vague: int
    outages: int = 0
    longest_s: float = 0.0

    @property
    def line(self) -> str:
        """The figures in one line."""
        date, ms = self.calibrated_utc[:10], 1000
        if self.outages:
            date += f" by {some(self.outages, 'outage')} up to {self.longest_s:.3g} s"
        if not self.good:
            return (
                f"calibrated {date}, not good: bounds held in {self.held} of {self.seen} comparisons, "
                f"missed {self.missed}, false {self.false}"
            )
        return (
            f"calibrated {date}: bias {self.bias_s * ms:+.1f} ms, worst {self.worst_s * ms:.1f} ms at "
            f"{self.interval_s * ms:g} ms, bounds held in {self.held} of {self.seen} comparisons"
        )


def calibrated_line(found: MachineCalibration | None) -> str:
    """Return what a run says of its machine's calibration, in one line."""
    return found.line if found else NOT_CALIBRATED
