"""vrbench calibrate: the short form of the nightly bench, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.zone import ROOT, VRBENCH, Done

pytestmark = pytest.mark.lab


def start(here: Path, *arguments: str) -> subprocess.Popen[str]:
    """vrbench calibrate in ``here``, with a lab of its own."""
    return subprocess.Popen(
        [*VRBENCH, "calibrate", *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(here: Path, *arguments: str, timeout_s: float = 120) -> Done:
    """Run it to its end."""
    process = start(here, *arguments)
    out, err = process.communicate(timeout=timeout_s)
    return Done(process.returncode, out, err)


@pytest.mark.slow
def test_bounds_hold_the_truth(tmp_path: Path) -> None:
    """Sixty known outages in a minute or so: all bounds hold, none is missed or made up, and the CSV has every row."""
    done = run(tmp_path, "--quick", "--outages", "60", "--seed", "4", "--json", "--reports", "r")
    assert done.code == 0, done.err
    shown = done.json
    assert shown["good"], shown["verdict"]
    assert shown["seed"] == 4
    kinds = {k["kind"]: k for k in shown["kinds"]}
    assert set(kinds) == {"egress fresh", "egress persistent", "ingress syn", "ingress banner", "control"}
    for name, kind in kinds.items():
        # Both directions and one of three: 20 of each direction and 20 of both; half for one VM, half for two.
        assert kind["outages"] == (0 if name == "control" else 60)
        assert kind["held"] == kind["seen"]
        assert (kind["missed"], kind["false"]) == (0, 0)
    assert shown["worst_s"] <= 0.016
    assert abs(shown["bias_s"]) <= 0.002
    with (tmp_path / shown["csv"]).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(shown["comparisons"]) == 4 * 60
    assert {r["result"] for r in rows} <= {"held", "unseen", "unknown"}
    assert {(r["refuse"], bool(r["guest"])) for r in rows} == {(a, b) for a in ("True", "False") for b in (True, False)}
    truth = json.loads(next(tmp_path.glob("r/*/trial-01/truth.json")).read_text())
    assert len(truth) == 60


def test_an_interrupt_ends_it_and_leaves_no_lab(tmp_path: Path) -> None:
    """Ctrl-C while outages are injected: exit 2, the run's lab and secrets gone."""
    process = start(tmp_path, "--quick", "--plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "2 of 41" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert "Traceback" not in err
    (path,) = tmp_path.glob("reports/*/")
    assert not (path / "lab").exists()
    assert not (path / "key").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--interval", "10"), "not a duration"),
        (("--interval", "1ms"), "below the finest grain"),
        (("--interval", "2s"), "must be shorter than probes.threshold"),
        (("--outages", "0"), "--outages"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """Before anything is started, with a sentence and exit code 64."""
    done = run(tmp_path, *arguments, timeout_s=30)
    assert done.code == 64
    assert words in done.err
    assert not list(tmp_path.glob("reports/*"))
