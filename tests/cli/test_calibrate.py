"""vrbench calibrate: the short form of the nightly bench, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.zone import ROOT, STOOD_STILL, VRBENCH, Done, hear
from vrbench.cli.exits import Exit
from vrbench.core.plan.method import ESTIMATOR

pytestmark = pytest.mark.lab


def start(here: Path, *arguments: str) -> subprocess.Popen[str]:
    """vrbench calibrate in ``here``, with a lab of its own."""
    return subprocess.Popen(
        [*VRBENCH, "calibrate", *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(here / "state")},
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


def held_up(done: Done) -> bool:
    """Return whether this machine stood still while probes were due, so that nothing is kept for later runs."""
    return any(f"the trial is unknown: {kind.happened}" in done.err for kind in STOOD_STILL)


def check_code(done: Done) -> None:
    """Check that a good calibration ends well, or says that the machine itself was held up."""
    assert done.code == (Exit.NOT_VALID if held_up(done) else Exit.OK), done.err


@pytest.mark.slow
def test_bounds_hold_the_truth(tmp_path: Path) -> None:
    """Every case once within a minute: all bounds hold, none is missed or made up, and the CSV has every row."""
    done = run(tmp_path, "--quick", "--seed", "4", "--json", "--reports", "r")
    shown = done.json
    assert shown["good"], shown["verdict"]
    check_code(done)
    assert shown["seed"] == 4
    kinds = {k["kind"]: k for k in shown["kinds"]}
    assert set(kinds) == {"egress fresh", "egress persistent", "ingress syn", "ingress banner", "control"}
    for name, kind in kinds.items():
        assert (kind["outages"] == 0) == (name == "control")
        assert kind["held"] == kind["seen"]
        assert (kind["missed"], kind["false"]) == (0, 0)
    assert {f["fault"] for f in shown["faults"]} == {"silence", "refusal", "late", "no-nat", "flapping", "burst"}
    rows = csv_rows(tmp_path / shown["csv"])
    assert len(rows) == len(shown["comparisons"])
    assert {r["result"] for r in rows if r["fault"] != "flapping"} <= {"held", "unseen", "unknown", "slow"}
    assert {r["result"] for r in rows} <= {"held", "unseen", "unknown", "slow", "over"}
    assert len({r["outage"] for r in rows}) == 33
    assert {bool(r["guest"]) for r in rows} == {True, False}
    assert (tmp_path / shown["plot"]).read_text().startswith("<?xml")
    kept = [json.loads(path.read_text()) for path in tmp_path.glob("state/vrbench/*.json")]
    told = [(True, 4, shown["worst_s"])] * (not held_up(done))
    assert [(k["good"], k["seed"], k["worst_s"]) for k in kept] == told
    truth = json.loads(next(tmp_path.glob("r/*/trial-01/truth.json")).read_text())
    assert len(truth) == 33
    bound = [(float(r["true_s"]), r["stream"]) for r in rows if r["fault"] == "no-nat"]
    longest = {kind: max(true for true, stream in bound if kind in stream) for kind in ("fresh", "persistent")}
    assert longest["persistent"] > longest["fresh"] + 0.3


@pytest.mark.slow
def test_one_target_of_ten(tmp_path: Path) -> None:
    """Outages of a single VM are seen by its own streams, and by none of the nine others'."""
    options = ("--quick", "--vms", "10", "--outages", "12", "--clean", "1s", "--seed", "3")
    done = run(tmp_path, *options, "--json", "--reports", "r")
    check_code(done)
    assert done.json["good"], done.json["verdict"]
    assert all((k["missed"], k["false"]) == (0, 0) for k in done.json["kinds"])
    rows = csv_rows(tmp_path / done.json["csv"])
    assert {(r["run_id"], r["seed"], r["method"][:3]) for r in rows} == {
        (next(tmp_path.glob("r/*")).name, "3", f"{ESTIMATOR}/")
    }
    assert "that needs a valid trial and 20 outages" in done.err
    assert not (tmp_path / "state").exists(), "a verdict that others carry along needs more of them"
    alone = [r for r in rows if r["guest"]]
    assert len({r["outage"] for r in alone}) >= 3
    assert len({r["guest"] for r in alone}) >= 3
    for number in {r["outage"] for r in alone}:
        touched = {r["stream"] for r in alone if r["outage"] == number}
        assert 1 <= len(touched) <= 4, "at most two flows out and two layers in, all of one VM"


def test_a_clean_stretch_without_any_outage(tmp_path: Path) -> None:
    """Nothing is injected, and nothing may be seen."""
    done = run(tmp_path, "--quick", "--outages", "0", "--clean", "3s", "--plain")
    check_code(done)
    assert "0 false windows" in done.out
    (path,) = tmp_path.glob("reports/*/calibration.csv")
    assert csv_rows(path) == []
    assert not (tmp_path / "state").exists(), "a verdict needs outages"


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_an_interrupt_ends_it_and_leaves_no_lab(tmp_path: Path) -> None:
    """Ctrl-C while outages are injected: exit 2, the run's lab and secrets gone."""
    process = start(tmp_path, "--quick", "--plain")
    hear(process, "2 of 34")
    process.send_signal(signal.SIGINT)
    said = hear(process, "interrupted: ")
    assert "9 of 34" not in said, "whoever hears nothing for so long presses again, and leaves the lab behind"
    _, err = process.communicate(timeout=150)
    assert process.returncode == 2, err
    assert "Traceback" not in err
    (path,) = tmp_path.glob("reports/*/")
    assert not (path / "lab").exists()
    assert not (path / "key").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--outages", "1001"), "1001"),
        (("--interval", "10"), "not a duration"),
        (("--interval", "1ms"), "the finest is 5ms"),
        (("--interval", "2s"), "the coarsest is 500ms"),
        (("--outages", "-1"), "--outages"),
        (("--clean", "soon"), "not a duration"),
        (("--outages", "0", "--clean", "0s"), "nothing to do"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """Before anything is started, with a sentence and exit code 64."""
    done = run(tmp_path, *arguments, timeout_s=30)
    assert done.code == 64
    assert words in done.err
    assert not list(tmp_path.glob("reports/*"))
