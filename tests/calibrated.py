"""What a calibration found on some machine, for tests that carry it along."""

from vrbench.core.machine_calibration import MachineCalibration

CALIBRATED = MachineCalibration(
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
