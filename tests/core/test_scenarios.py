"""Scenario files: a line of outcomes one second apart (R replied, L lost, F refused, s skipped, u unknown), and the
windows it must give. A new case is a new file in tests/scenarios."""

import tomllib
from pathlib import Path

import pytest

from vrbench.core.figures.windows import Allowance, find_windows
from vrbench.core.model import Outcome, Sample

SCENARIOS = sorted((Path(__file__).parent.parent / "scenarios").glob("*.toml"))
LETTERS = {
    "R": Outcome.REPLIED,
    "L": Outcome.LOST,
    "F": Outcome.REFUSED,
    "s": Outcome.SKIPPED,
    "u": Outcome.UNKNOWN,
}


def samples_of(outcomes: str, rtt: float) -> list[Sample]:
    """One sample a second; a skipped one has no send time, a replied one took ``rtt``."""
    letters = outcomes.split()
    return [
        Sample(k, float(k), None if c == "s" else float(k), LETTERS[c], rtt if c == "R" else None)
        for k, c in enumerate(letters)
    ]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_scenario(path: Path) -> None:
    """Every scenario file gives exactly the windows it names."""
    scenario = tomllib.loads(path.read_text())
    rtt, merge, whole = scenario.get("rtt", 0.0), scenario.get("merge", 1), scenario.get("whole", True)
    found = find_windows(samples_of(scenario["outcomes"], rtt), Allowance(rtt_s=rtt), merge=merge, whole=whole)
    keys = ("start", "at_least", "estimate", "at_most", "lost", "refused", "gaps")
    have = [
        dict(
            zip(
                keys,
                (w.start_s, w.at_least_s, w.estimate_s, w.at_most_s, w.lost, w.refused, w.gaps),
                strict=True,
            )
        )
        for w in found
    ]
    assert have == scenario["windows"], scenario["about"]


def test_there_are_scenarios() -> None:
    """The folder is found: an empty parametrization would pass in silence."""
    assert len(SCENARIOS) >= 11
