"""The short form of the benches that have one: so none of them rots."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

CALIBRATION = ("--outages", "66", "--quick", "--seed", "5", "--clean", "20s", "--streams", "6", "--labs", "2")


MEASURING = [
    ("agreement", ("--trials", "2")),
    ("quality", ("--baseline", "15s", "--on-time", "99.5")),  # of so few slots, one held up counts for much
    ("instruments", ("--outages", "3", "--longest", "2")),
    ("cost", ("--seconds", "2", "--targets", "250", "--ratios")),
    ("scale", ("--vms", "3", "--calls", "20", "--rules", "60")),
    ("calibration", (*CALIBRATION, "--parts", "{tmp}")),
]
FIRST_RUNS = ("--versions", "4.15.1", "--callers", "subadmin")
STRATEGIES = ("--trials", "1", "--time-scale", "0.05", "--vms", "2", "--strategies", "parallel", "negotiated")
BESIDE_OTHERS = [
    ("interrupts", ("--moments", "1")),
    ("strategies", STRATEGIES),
    ("first_runs", FIRST_RUNS),
    # These two hold processor time to twice what it is, beside another way to do the same in the same minute.
    ("analysis", ("--samples", "500000", "--at-most-unpacks", "8")),
    ("exports", ("--samples", "300000")),
]


@pytest.mark.alone
@pytest.mark.parametrize(("bench", "arguments"), MEASURING)
def test_bench(bench: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    """The bench runs and holds its figures."""
    run_bench(bench, *(a.format(tmp=tmp_path) for a in arguments))


@pytest.mark.slow
@pytest.mark.parametrize(("bench", "arguments"), BESIDE_OTHERS)
def test_bench_beside_others(bench: str, arguments: tuple[str, ...]) -> None:
    """The bench runs and finds nothing wrong; it holds no times that other work would shift."""
    run_bench(bench, *arguments)


def run_bench(bench: str, *arguments: str, within_s: float = 300) -> None:
    """Run the bench's command to its end, which must be a good one."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{bench}", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
