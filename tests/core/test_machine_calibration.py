"""What runs say of their machine's calibration, in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.calibrated import CALIBRATED
from vrbench.core.machine_calibration import NOT_CALIBRATED, MachineCalibration, calibrated_line

GOOD = "bias -0.3 ms, worst 9.8 ms at 10 ms, bounds held in 168 of 168 comparisons"


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (None, NOT_CALIBRATED),
        (CALIBRATED, f"calibrated 2026-11-24: {GOOD}"),
        (replace(CALIBRATED, outages=66, longest_s=30.0), f"calibrated 2026-11-24 by 66 outages up to 30 s: {GOOD}"),
        (
            replace(CALIBRATED, good=False, held=167, missed=1, false=2, outages=1, longest_s=0.5),
            "calibrated 2026-11-24 by 1 outage up to 0.5 s, "
            "not good: bounds held in 167 of 168 comparisons, missed 1, false 2",
        ),
    ],
)
def test_the_line_says_how_wrong_the_instrument_was(found: MachineCalibration | None, line: str) -> None:
    """Bias, worst error and what the bounds held; or what was wrong; or how to calibrate."""
    assert calibrated_line(found) == line
