"""What runs say of their machine's calibration, in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vrbench.core.machine_calibration import NOT_CALIBRATED, MachineCalibration, calibrated_line

FOUND = MachineCalibration(
    calibrated_utc="2026-11-24T10:20:30Z",
    machine="0123456789abcdef",
    kernel="6.8.0",
    vrbench_version="1.0",
    estimator="w4",
    good=True,
    seed=7,
    interval_s=0.01,
    bias_s=-0.0003,
    worst_s=0.0098,
    seen=168,
    held=168,
    missed=0,
    false=0,
    vague=2,
)
GOOD = "bias -0.3 ms, worst 9.8 ms at 10 ms, bounds held in 168 of 168 comparisons"


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (None, NOT_CALIBRATED),
        (FOUND, f"calibrated 2026-11-24: {GOOD}"),
        (replace(FOUND, outages=66, longest_s=30.0), f"calibrated 2026-11-24 by 66 outages up to 30 s: {GOOD}"),
        (
            replace(FOUND, good=False, held=167, missed=1, false=2, outages=1, longest_s=0.5),
            "calibrated 2026-11-24 by 1 outage up to 0.5 s, "
            "not good: bounds held in 167 of 168 comparisons, missed 1, false 2",
        ),
    ],
)
def test_the_line_says_how_wrong_the_instrument_was(found: MachineCalibration | None, line: str) -> None:
    """Bias, worst error and what the bounds held; or what was wrong; or how to calibrate."""
    assert calibrated_line(found) == line
