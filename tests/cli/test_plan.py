"""What would happen, without a cloud and without a lab."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from vrbench.cli.main import cli


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
