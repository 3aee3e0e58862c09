"""How much room a run may need."""

from __future__ import annotations

from vrbench.core.plan.plan import Plan

BYTES_PER_PROBE = 48  # two records of 16 bytes, and a third for banners
EXPECTED_OUTAGE_S = 300  # a trial is as long as its baseline, its validation and this
OTHER_BYTES = 5_000_000  # everything that is no sample


def bytes_needed(plan: Plan) -> int:
    """Estimate what the run's samples take on disk when every trial is as long as it may be expected to be."""
    t = plan.profile.trials
    return sample_bytes(plan, t.count * (t.baseline + t.validation + EXPECTED_OUTAGE_S)) + OTHER_BYTES


def sample_bytes(plan: Plan, seconds: float) -> int:
    """Estimate what the samples of so much probing take on disk."""
    return int(plan.probes_per_s * seconds * BYTES_PER_PROBE)


def calibration_bytes(plan: Plan) -> int:
    """Estimate what a calibration takes on disk, which lasts as long as it observes."""
    return sample_bytes(plan, plan.profile.trials.observe_at_most)
