"""What would happen, without a cloud and without a lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from vrbench.cli.choices import MUST_KNOW, Choices
from vrbench.cli.exits import UsageProblem
from vrbench.cli.main import cli
from vrbench.cli.profiles import open_profile
from vrbench.core.plan.plan import make_plan
from vrbench.run.disk import bytes_needed
from vrbench.store.files import NoSuchRun

PLAN = make_plan(open_profile("isolated", ()), "none")


def planned(*options: str) -> str:
    done = CliRunner().invoke(cli, ["run", "lab-parallel", "--plan", *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_plan_as_json() -> None:
    """One object, with every value resolved and the same lines as people get."""
    shown = json.loads(planned("--json", "--trials", "3"))
    assert shown["profile"]["trials"]["count"] == 3
    assert shown["method"] in planned()
    assert shown["probes_per_s"] == pytest.approx(sum(c["probes_per_s"] for c in shown["costs"]))
    assert shown["lines"][1:] == [
        f"{line[:10].strip()}: {line[11:]}" if line[:10].strip() else line[11:]
        for line in planned("--trials", "3").splitlines()[1:]
    ]


def test_what_an_operator_must_know_is_a_part_of_the_plan() -> None:
    """Where, what, how often, how long and that it goes again; what probes cost and the rest are for who asks."""
    told = Choices().told(PLAN)
    assert tuple(what for what, _ in told) == MUST_KNOW
    assert set(told) < set(Choices().lines(PLAN))
    assert Choices(verbose=True).told(PLAN) == Choices().lines(PLAN)


def test_the_plan_says_how_much_disk_it_may_take() -> None:
    """For programs in bytes."""
    shown = json.loads(planned("--json"))
    assert f"disk: the samples may take {shown['disk_bytes'] / 1e6:.0f} MB" in shown["lines"]
    assert dict(Choices().lines(PLAN))["disk"] == f"the samples may take {bytes_needed(PLAN) / 1e6:.0f} MB"


@pytest.mark.parametrize(
    ("options", "builds", "removes"),
    [
        ((), "1 isolated network", "all of it"),
        (("--keep",), "1 isolated network", "nothing, unless the build fails"),
        (("--reuse", "2026"), "nothing: measures what 2026 kept", "nothing"),
        (("--keep", "--reuse", "2026"), "nothing: measures what 2026 kept", "nothing"),
    ],
)
def test_the_plan_is_that_of_its_options(tmp_path: Path, options: tuple[str, ...], builds: str, removes: str) -> None:
    """What is kept is not said to be removed, and what is measured again is not said to be built."""
    (tmp_path / "20261124").mkdir()
    (tmp_path / "20261124" / "run.json").write_text("{}")
    done = CliRunner().invoke(cli, ["run", "isolated", "--plan", "--reports", str(tmp_path), *options])
    told = {line[:10].strip(): line[11:] for line in done.output.splitlines()}
    assert told["builds"].startswith(builds)
    assert told["removes"].startswith(removes)


def test_a_run_to_measure_again_is_looked_up_before_the_plan_is_shown(tmp_path: Path) -> None:
    """A plan that can't be carried out is none."""
    done = CliRunner().invoke(cli, ["run", "isolated", "--plan", "--reuse", "x", "--reports", str(tmp_path)])
    assert isinstance(done.exception, NoSuchRun)


@pytest.mark.parametrize("option", [("--keep",), ("--reuse", "x")])
def test_a_lab_that_goes_keeps_nothing_also_in_the_plan(option: tuple[str, ...]) -> None:
    """The same refusal as without --plan."""
    done = CliRunner().invoke(cli, ["run", "lab-parallel", "--plan", *option])
    assert isinstance(done.exception, UsageProblem)
