"""How much room a run asks for before it is begun."""

from tests.run.world import PROFILE, RUN_ID
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.run.disk import BYTES_PER_PROBE, OTHER_BYTES, bytes_needed, calibration_bytes

PLAN = make_plan(load_profile(PROFILE, "small", ("trials.count=3",)), RUN_ID)


def test_a_run_needs_room_for_every_trial() -> None:
    """Each as long as its baseline, its validation and five minutes."""
    seconds = 3 * (2 + 2 + 300)
    assert bytes_needed(PLAN) == int(PLAN.probes_per_s * seconds * BYTES_PER_PROBE) + OTHER_BYTES


def test_a_calibration_lasts_as_long_as_it_observes() -> None:
    """That long and no longer is known beforehand."""
    assert calibration_bytes(PLAN) == int(PLAN.probes_per_s * 40 * BYTES_PER_PROBE)
