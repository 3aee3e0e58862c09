"""Scenes as they were once played, with the truth beside their samples: today's code must judge them right.

``recorded/scenes.tar.xz`` is what ``python -m tests.bench.scenes --interval 100ms --keep`` left: an outage by every
gate and a fault of every kind. So late, lost, repeated and reordered answers are held against the truth without a lab.
"""

from pathlib import Path

from tests.bench.scene_judge import judge_run
from tests.bench.scene_plan import FAULTS, GATES
from tests.packed import unpack

RECORDED = Path(__file__).parent / "recorded" / "scenes.tar.xz"


def test_recorded_scenes_are_judged_right(tmp_path: Path) -> None:
    """Bounds hold, estimates are as near as they can be, and no cause is claimed that was not there."""
    judged = judge_run(unpack(RECORDED, tmp_path))
    assert judged.problems == []
    scenes = {c.scene.number: c.scene for c in judged.comparisons}
    assert {s.kind for s in scenes.values() if s.is_outage} == set(GATES)
    assert sum(s.is_fault for s in scenes.values()) == len(FAULTS)
