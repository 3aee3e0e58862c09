"""The suite can fail: a broken estimator, scheduler, clock or threshold turns the tests red that are there for it.

Each mutation is one edit of the source, made in a copy; the tests named with it must fail there, and pass without it.
An edit whose place is gone fails as well: then move it along with the code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WINDOWS, SCENARIOS = "tests/core/test_windows.py", "tests/core/test_scenarios.py"
ESTIMATES = "tests/core/test_estimator.py"
BASELINES = "tests/core/test_baseline.py"
PACING, AUDIT = "tests/probes/test_pacing.py", "tests/probes/test_self_audit.py"


@dataclass(frozen=True)
class Mutation:
    """``old`` becomes ``new`` in a file of the package, and ``red`` are tests that must notice."""

    file: str
    old: str
    new: str
    red: tuple[str, ...]


ESTIMATOR = {
    "at_most counts from the first loss": Mutation(
        "core/figures/windows.py",
        "at_most = self._between(run.last_up, end)",
        "at_most = self._between(run.downs[0][0], end)",
        (f"{WINDOWS}::test_truth_lies_inside_the_bounds", f"{SCENARIOS}::test_scenario[one_window]"),
    ),
    "at_most ends when the last probe is sent": Mutation(
        "core/figures/windows.py",
        "return self._sent(end) + self._rtt(end) - self._sent(last_up)",
        "return self._sent(end) - self._sent(last_up)",
        (f"{WINDOWS}::test_truth_holds_when_the_sender_queues",),
    ),
    "at_least reaches back to the last success": Mutation(
        "core/figures/windows.py",
        "began = self._sent(begin) + self.samples[begin].width_s",
        "began = self._sent(begin - 1) + self.samples[begin].width_s",
        (f"{SCENARIOS}::test_scenario[one_window]",),
    ),
    "at_least forgets the round trip": Mutation(
        "core/figures/windows.py",
        "- rtt_s - self.grains_s)",
        "- self.grains_s)",
        (f"{SCENARIOS}::test_scenario[round_trip]",),
    ),
    "a far target lengthens every outage": Mutation(
        "core/figures/windows.py",
        "start = first + min(self._under_way(run), (until - first) / 2)",
        "start = first",
        (f"{WINDOWS}::test_estimate_is_unbiased_over_phases[far target]",),
    ),
    "the estimate is off by one sample": Mutation(
        "core/figures/windows.py",
        "until = last if end is None else self._up_again_s(end)",
        "until = last",
        (f"{WINDOWS}::test_estimate_is_unbiased_over_phases[near]", f"{SCENARIOS}::test_scenario[one_window]"),
    ),
    "a path that is slow is down": Mutation(
        "core/figures/windows.py",
        "return up_again_s(self.samples, self.codes, first_up, usual_s, several=served)",
        "return self._sent(first_up) + self._rtt(first_up) - usual_s + served * 0",
        (f"{ESTIMATES}::test_a_path_that_is_slow_is_not_down_for_longer[slow after an outage]",),
    ),
    "what waited for the path found it up": Mutation(
        "core/figures/queued.py",
        "if first.rtt_s <= usual_s + 2 * NOISE_S:",
        "if first.rtt_s <= 1e9:",
        (f"{ESTIMATES}::test_a_queue_for_the_gateways_address_lengthens_a_window_to_its_end[0.7-0.01]",),
    ),
    "nothing seen is nothing": Mutation(
        "core/figures/windows.py",
        "replace(total, at_most_s=max(total.at_most_s, longest_s))",
        "total",
        (f"{ESTIMATES}::test_a_stream_of_answers_only_has_the_longest_time_between_two_as_its_bound",),
    ),
    "a banner under way lengthens its window": Mutation(
        "core/analysis.py",
        " or kind.is_service else 0.0",
        " else 0.0",
        (f"{ESTIMATES}::test_a_banner_that_was_being_served_does_not_lengthen_its_window",),
    ),
    "a blind stretch is nothing": Mutation(
        "core/figures/windows.py",
        "BLIND_GAPS = 2",
        "BLIND_GAPS = 10**9",
        (f"{SCENARIOS}::test_scenario[gaps_only]",),
    ),
    "a slot that was never sent is lost": Mutation(
        "core/log/samples.py",
        "Outcome.SKIPPED: columns.sent == MISSING,",
        "Outcome.SKIPPED: columns.sent < 0,",
        ("tests/core/test_samples.py::test_a_stopped_prober_leaves_gaps",),
    ),
    "a late banner proves an outage": Mutation(
        "core/figures/windows.py",
        "Stage.LATE: math.inf",
        "Stage.LATE: 0.0",
        ("tests/core/test_stages.py::test_banners_that_come_late_are_down_and_prove_nothing",),
    ),
    "the threshold is ignored": Mutation(
        "core/log/samples.py",
        "Outcome.REPLIED: replied_in <= allowed_ns,",
        "Outcome.REPLIED: replied_in <= 1 << 60,",
        ("tests/core/test_samples.py::test_a_late_answer_is_a_loss_under_a_shorter_threshold",),
    ),
    "a ping that never came back is an outage without end": Mutation(
        "core/figures/lagging.py",
        "stuck=stuck, pinned=",
        "stuck=False, pinned=",
        ("tests/core/test_lagging.py::test_a_flow_that_never_came_back_is_in_no_figure",),
    ),
    "losses in a row are a cause": Mutation(
        "core/causes/odds.py",
        "SILENT_ODDS = 1e-6",
        "SILENT_ODDS = 1.1",
        ("tests/core/test_weather.py::test_weather_forges_no_cause[loss of 20 %-0.1]",),
    ),
    "an answer that came late is none": Mutation(
        "core/log/answers.py",
        "answers) & ~waited",
        "answers) & ~waited & ~failed",
        ("tests/core/test_odds.py::test_an_answer_that_came_late_breaks_a_silence",),
    ),
    "a silence on request is a gap": Mutation(
        "core/log/samples.py",
        "samples=self.samples[:first]",
        "samples=self.samples",
        ("tests/core/test_silences.py::test_figures_end_where_a_silence_begins",),
    ),
}
SCHEDULER = {
    "the next probe is due an interval after this one": Mutation(
        "probes/pacing.py",
        "            due = start + slot * interval\n",
        "            due = now + interval\n",
        (f"{PACING}::test_every_slot_is_sent_when_it_is_due",),
    ),
    "what was missed is made up for": Mutation(
        "probes/pacing.py",
        "        if now > late:\n            continue\n",
        "",
        (f"{PACING}::test_what_is_too_late_is_not_sent",),
    ),
    "sending waits for the answer": Mutation(
        "probes/pacing.py",
        "                fire(*packet)\n",
        "                fire(*packet)\n                prober.wait(monotonic_ns() + 300_000_000)\n",
        ("tests/probes/test_agent.py::test_an_outage_lies_within_its_bounds",),
    ),
    "a slow send is a gap": Mutation(
        "probes/pacing.py",
        "AMBIGUOUS if now - begun > STALLED_NS else SENT_BY",
        "AMBIGUOUS",
        (f"{PACING}::test_a_machine_on_which_every_send_is_slow_tells_of_every_slot",),
    ),
    "a guest that misses every other slot keeps its interval": Mutation(
        "probes/rehearsal.py",
        "TOLERATED = 0.1 ",
        "TOLERATED = 0.6 ",
        ("tests/probes/test_rehearsal.py::test_a_machine_that_misses_slots_falls_back_to_an_interval_that_it_keeps",),
    ),
    "an interrupted send is as good as any": Mutation(
        "probes/engine.py",
        "HELD_NS = 1_000_000 ",
        "HELD_NS = 1 << 62 ",
        (f"{PACING}::test_a_send_that_took_long_is_told_with_the_time_by_which_it_had_left[1.1]",),
    ),
}
CLOCK = {
    "durations are measured on the wall clock": Mutation(
        "probes/engine.py",
        "monotonic_ns, wall_ns = time.monotonic_ns, time.time_ns",
        "monotonic_ns, wall_ns = time.time_ns, time.time_ns",
        ("tests/probes/test_observation.py::test_all_is_well",),
    ),
    "a step of the wall clock goes unnoticed": Mutation(
        "probes/engine.py",
        "if abs(offset - self.offset) > error + 10_000:",
        "if False:",
        ("tests/probes/test_arrivals.py::test_a_stepped_wall_clock_moves_no_arrival[True-3600000000000]",),
    ),
    "what was found after a stop came just now": Mutation(
        "probes/banner.py",
        "self.log.record(AMBIGUOUS if stalled else kind,",
        "self.log.record(kind,",
        (f"{AUDIT}::test_connections_that_were_open_during_a_stop_prove_nothing",),
    ),
}
RECORDS = {
    "a word of stored facts is forgotten": Mutation(
        "store/codec.py",
        '"guest_of_endpoint": "behind",',
        "",
        (
            "tests/test_stored.py::test_a_stored_run_has_its_tables[one-vm-trials]",
            "tests/store/test_codec.py::test_facts_are_read_by_the_words_of_the_first_version",
        ),
    ),
    "a run that was ended early is done": Mutation(
        "run/execute.py",
        "if not error and not interrupted:",
        "if True:",
        ("tests/run/test_execute.py::test_a_second_interrupt_ends_the_removal",),
    ),
}
BASELINE = {
    "most of a baseline may be lost": Mutation(
        "core/judge/baseline.py",
        "HEAVY = 0.10",
        "HEAVY = 0.60",
        (f"{BASELINES}::test_a_little_loss_is_measured_on_and_much_is_not[0.3-True]",),
    ),
    "a control that was never up voids trials": Mutation(
        "core/judge/beside.py",
        "fit = [s for s in controls if s.stream.name not in facts.unfit]",
        "fit = controls",
        ("tests/core/test_baseline_analysis.py::test_a_control_that_was_never_up_is_no_control",),
    ),
}
MUTATIONS = {**ESTIMATOR, **SCHEDULER, **CLOCK, **RECORDS, **BASELINE}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package and its tests, to be broken."""
    place = tmp_path_factory.mktemp("mutated")
    for name in ("vrbench", "tests", "profiles"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, place)
    return place


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_instrument_turns_its_tests_red(copy: Path, name: str) -> None:
    """Every test that is named with the mutation fails under it."""
    mutation = MUTATIONS[name]
    source = copy / "vrbench" / mutation.file
    whole = source.read_text()
    assert whole.count(mutation.old) == 1, f"{mutation.file} has no longer one {mutation.old!r}"
    source.write_text(whole.replace(mutation.old, mutation.new))
    try:
        told = run_tests(copy, mutation.red)
    finally:
        source.write_text(whole)
    assert set(re.findall(r"^FAILED (\S+\[.*?\]|\S+)", told, re.MULTILINE)) == set(mutation.red), told


def run_tests(place: Path, tests: tuple[str, ...]) -> str:
    """Return what pytest says of the tests of that copy."""
    options = ["-p", "no:cacheprovider", "-rf", "--tb=line", f"--basetemp={place / 'tmp'}"]
    environ = {**os.environ, "PYTHONPATH": str(place), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "300"}
    argv = [sys.executable, "-m", "pytest", *options, *tests]
    return subprocess.run(argv, cwd=place, env=environ, capture_output=True, text=True, timeout=180).stdout
