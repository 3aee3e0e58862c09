"""The same samples under the same rules give the same bytes: in any process, place, time zone and locale."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.report.runs import CONTEXT, METHOD, OUT, RELAPSE, REQUESTED, fixed_run, guest, harness
from vrbench.cli.main import cli
from vrbench.core.caveats import CaveatKind
from vrbench.core.facts import NodeClock, TrialFacts
from vrbench.core.figures.results import RunState
from vrbench.core.model import Verdict
from vrbench.core.plan.method import ESTIMATOR
from vrbench.report import sample_blocks as blocks
from vrbench.report.export_files import FORMATS, write_samples, write_table
from vrbench.report.export_rows import COLUMNS, TABLES
from vrbench.report.sample_blocks import sample_blocks
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError
from vrbench.store.loading import load_method, load_run

ROOT = Path(__file__).parents[2]
COMMANDS = (
    ("analyze", "RUN", "--json"),
    ("analyze", "RUN"),
    *(("export", "RUN", "--table", t, "--format", f) for t in COLUMNS for f in ("csv", "json")),
)
SCRIPT = """
import sys
from click.testing import CliRunner
from vrbench.cli.main import cli
for line in sys.stdin.read().splitlines():
    done = CliRunner().invoke(cli, line.split("\\t"))
    assert done.exit_code in (0, 2), (line, done.output)
    print(done.output)
"""


def stored(reports: Path) -> Path:
    """Write a run directory of two trials, as a run leaves it."""
    run = RunDir.create(reports, "20261124T120000Z-1a2b3c4d-golden", 0)
    run.write_run(RunState.DONE, CONTEXT, METHOD, {})
    for number, second in ((1, OUT), (2, RELAPSE)):
        clocks = {"vm1": NodeClock(0, 1000), "vm2": NodeClock(0, 1000)}
        run.write_facts(TrialFacts(number, "2026-11-24T12:00:00.000Z", REQUESTED, 15.0, job_s=2.5, clocks=clocks))
        for name, log in (("vm1", guest("vm1", OUT, second)), ("vm2", guest("vm2", second, OUT))):
            (run.trial(number) / f"guest-{name}.raw").write_bytes(log)
        (run.trial(number) / "harness-syn.raw").write_bytes(harness(OUT, second))
    return run.path


def said(run: Path, **environment: str) -> str:
    """Return what all commands print of a run, in a process with that environment."""
    lines = "\n".join("\t".join(str(run) if word == "RUN" else word for word in words) for words in COMMANDS)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=lines,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_bytes_wherever_it_is_analysed(tmp_path: Path) -> None:
    """Another hash seed, time zone and locale change nothing; a copy elsewhere differs by its path alone."""
    run = stored(tmp_path / "here")
    first = said(run, PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C.UTF-8")
    assert "outage windows" in first
    assert said(run, PYTHONHASHSEED="2", TZ="Pacific/Auckland", LC_ALL="C", LANG="de_DE.UTF-8") == first
    copied = tmp_path / "elsewhere" / run.name
    shutil.copytree(run, copied)
    assert said(copied).replace(str(copied), str(run)) == first


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_parts_make_the_same_bytes(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples written in parts are those written at once, and every record carries the method."""
    whole, parts = io.StringIO(), io.StringIO()
    write_samples(sample_blocks([fixed_run()]), format_, whole)
    monkeypatch.setattr(blocks, "AT_ONCE", 7)
    write_samples(sample_blocks([fixed_run()]), format_, parts)
    assert parts.getvalue() == whole.getvalue()
    assert "method" in whole.getvalue()


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_table_without_rows_is_a_table(format_: str, tmp_path: Path) -> None:
    """No samples: a header, or an empty array, in a file as on a stream."""
    for name in (*TABLES, "failures"):
        write_table(name, [], format_, tmp_path / name)
    write_samples([], format_, tmp_path / "samples")
    for path in tmp_path.iterdir():
        text = path.read_text()
        if format_ == "csv":
            assert text == ",".join(COLUMNS[path.name]) + "\n"
        else:
            assert json.loads(text) == []


def test_samples_are_the_same_in_every_format(tmp_path: Path) -> None:
    """CSV, JSON and Parquet hold the same cells: text, whole numbers, times, and what was not measured."""
    read: dict[str, list[list[object]]] = {}
    for format_ in FORMATS:
        path = tmp_path / format_
        write_samples(sample_blocks([fixed_run()]), format_, path)
        if format_ == "csv":
            read[format_] = [[cell or None for cell in row] for row in csv.reader(path.read_text().splitlines()[1:])]
        else:
            frame = pd.read_json(path, dtype=False) if format_ == "json" else pd.read_parquet(path)
            assert list(frame.columns) == list(COLUMNS["samples"])
            cells = frame.astype(object).where(frame.notna(), None)
            read[format_] = [[_as_csv(cell) for cell in row] for row in cells.itertuples(index=False)]
    assert read["json"] == read["csv"]
    assert read["parquet"] == read["csv"]
    assert any(None in row for row in read["csv"])


def _as_csv(cell: object) -> object:
    """Return a cell as CSV writes it."""
    return f"{cell:.6f}" if isinstance(cell, float) else None if cell is None else str(cell)


def test_every_table_says_by_which_method(tmp_path: Path) -> None:
    """Also once its rows lie elsewhere, without the run."""
    run = stored(tmp_path)
    for table in COLUMNS:
        shown = CliRunner().invoke(cli, ["export", str(run), "--table", table])
        read = csv.DictReader(io.StringIO(shown.output))
        assert "method" in (read.fieldnames or ()), table
        assert {row["method"] for row in read} <= {load_method(run).id}, table


def changed(run: Path, **change: object) -> Path:
    """Write the run with other entries of its ``run.json``; ``method`` changes entries within that."""
    stored_as = json.loads((run / "run.json").read_text())
    method = stored_as["method"] | change.pop("method", {})
    (run / "run.json").write_text(json.dumps(stored_as | change | {"method": method}))
    return run


def test_another_estimator_than_the_one_that_computes_is_not_named(tmp_path: Path) -> None:
    """A run of an older version is computed by today's rules, under their name; the report says under which it was."""
    run = changed(stored(tmp_path), method={"estimator": "w1"})
    loaded = load_run(run)
    assert (loaded.method.estimator, loaded.recorded_under) == (ESTIMATOR, "w1")
    assert load_run(changed(run, method={"estimator": ESTIMATOR})).recorded_under == ""
    shown = CliRunner().invoke(cli, ["analyze", str(changed(run, method={"estimator": "w1"}))])
    words = " ".join(shown.output.split())
    assert f"method {ESTIMATOR}/" in words
    assert f"computed anew under {ESTIMATOR}, recorded under w1" in words


@pytest.mark.parametrize(("name", "value"), [("merge", -1), ("merge", 1.5), ("threshold_s", "abc"), ("interval_s", -1)])
def test_a_method_that_can_be_none_is_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(StoreError, match=f"method.{name}"):
        load_run(changed(stored(tmp_path), method={name: value}))


def test_what_is_analysed_later_has_the_exit_code_of_the_run(tmp_path: Path) -> None:
    """Its limits hold then as well, and a trial that is missing is missing."""

    def code(trials: int, egress: float | None) -> object:
        profile = {"trials": {"count": trials}, "limits": {"egress": egress, "ingress": None}}
        words = ["analyze", str(changed(run, profile=profile))]
        return CliRunner().invoke(cli, words, standalone_mode=False).return_value

    run = stored(tmp_path)
    assert {t.verdict for t in load_run(run).trials} == {Verdict.VALID}
    assert [code(2, None), code(2, 60.0), code(2, 0.1), code(3, None), code(3, 0.1)] == [0, 0, 1, 2, 2]


def test_a_log_that_was_cut_short_is_said_to_be(tmp_path: Path) -> None:
    """And so is a control that is gone: nobody can say any more that the harness's own path was up."""
    run = stored(tmp_path)
    log = run / "trial-01" / "harness-syn.raw"
    whole = log.read_bytes()
    assert all(c.kind is not CaveatKind.LOG_CUT for c in load_run(run).trials[0].caveats)
    log.write_bytes(whole[:-3])
    trial = load_run(run).trials[0]
    assert trial.verdict is Verdict.UNKNOWN
    assert [c.detail for c in trial.caveats if c.kind is CaveatKind.LOG_CUT] == ["harness"]
