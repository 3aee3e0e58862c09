"""A calibration: the run that it is, the outages that are injected in it, and what the instrument made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vrbench.core.calibrate.calibration import Calibration, calibrate
from vrbench.core.calibrate.injections import NOTHING, Injection, Series, draw_series
from vrbench.core.figures.results import TrialResult
from vrbench.core.model import Environment
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.core.plan.streams import guests_behind, short_name
from vrbench.core.values import show_duration
from vrbench.embedded.outages import TRUTH, read_truth
from vrbench.store.directory import RunDir

PROFILE = """
name = "calibrate"
[lab]
time_scale = 0.01
[environment]
vms = {vms}
public_ips = {vms}
boot_timeout = "60s"
[operation]
job_timeout = "{longest_s:.0f}s"
[trials]
count = 1
baseline = "{baseline_s}s"
validation = "1s"
settle = "0s"
observe_at_most = "{longest_s:.0f}s"
[probes]
interval = "{interval}"
banner_interval = "{banner}"
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
session = false
gateway = false
dns = false
auth = false
"""
BANNER_S = 0.1  # the finest there is: every banner costs a guest's sshd a process
BANNERS_PER_S = 20  # of all guests: their processes share this machine's cores with the probers
RECOVERY_INTERVALS = 3.5  # of the coarsest stream, between two outages: it must have seen the network up
OVERHEAD_S = 1.3  # an outage takes this much longer than it lasts, at most: late answers must arrive, flows be marked


@dataclass(frozen=True, slots=True)
class Size:
    """How much is injected: number of outages, the longest, undisturbed times around them, all in seconds."""

    outages: int
    longest_s: float
    recovery_s: float
    clean_s: float
    baseline_s: int


FULL = Size(outages=66, longest_s=30.0, recovery_s=0.6, clean_s=30.0, baseline_s=5)
QUICK = Size(outages=33, longest_s=1.0, recovery_s=0.35, clean_s=1.0, baseline_s=2)


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """A run, and the series of outages that takes the place of its operation; ``seed`` is what it was drawn from."""

    plan: Plan
    series: tuple[Injection, ...]
    seed: int

    @property
    def line(self) -> str:
        """The series in one line."""
        injected_s = sum(i.seconds + i.pause_s for i in self.series)
        count = sum(i.direction != NOTHING for i in self.series)
        return f"{count} outages in about {injected_s:.0f} s, seed {self.seed}, method {self.plan.method.id}"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is calibrated: the interval of its probes in seconds, and the number of VMs that it probes."""

    interval_s: float = 0.01
    vms: int = 2


def plan_calibration(run_id: str, size: Size, instrument: Instrument, seed: int) -> CalibrationPlan:
    """Draw the series that ``seed`` stands for, and plan the run that it is injected in."""
    vms, interval_s = instrument.vms, instrument.interval_s
    banner_s = max(BANNER_S, interval_s, vms / BANNERS_PER_S)
    recovery_s = max(size.recovery_s, RECOVERY_INTERVALS * banner_s)
    guests = [f"vm{n + 1}" for n in range(vms)]
    series = draw_series(Series(size.outages, size.longest_s, guests, recovery_s, size.clean_s, interval_s), seed)
    text = PROFILE.format(
        vms=vms,
        longest_s=_planned_s(series) * 1.5 + 60,
        baseline_s=size.baseline_s,
        interval=show_duration(interval_s),
        banner=show_duration(banner_s),
    )
    return CalibrationPlan(make_plan(load_profile(text, "calibrate"), run_id), series, seed)


def _planned_s(series: Sequence[Injection]) -> float:
    return sum(i.seconds + i.pause_s + OVERHEAD_S for i in series)


def compare(trial: TrialResult, store: RunDir) -> Calibration:
    """Hold a stored trial's windows against the outages that were injected in it. Raises StoreError."""
    known = read_truth(store.trial(trial.facts.number) / TRUTH, trial.facts.requested_ns)
    guests = _guests(trial, store.read_environment())
    clock_error_s = max((c.error_ns for c in trial.facts.clocks.values()), default=0) / 1e9
    return calibrate(trial.streams, known, guests, clock_error_s)


def _guests(trial: TrialResult, environment: Environment) -> dict[str, str]:
    """Return the short name of the guest on each stream's path."""
    behind = guests_behind(environment)
    return {s.stream.name: short_name(environment, behind.get(s.stream.target, s.node)) for s in trial.streams}
