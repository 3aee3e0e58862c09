"""vrbench export on a run directory made by hand: the tables that show what is beside the figures."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner

from tests.cli.zone import ROOT
from tests.report.runs import CONTEXT, METHOD, OUT, RESET, UP, beside, guest, harness, trial
from vrbench.cli.exits import Exit
from vrbench.cli.export import command
from vrbench.cli.main import cli
from vrbench.core.figures.results import RunState
from vrbench.report.export_rows import COLUMNS
from vrbench.store.directory import RunDir


def exported(reports: Path, table: str) -> list[dict[str, str]]:
    """Return the rows of a table of the only run there is."""
    done = CliRunner().invoke(cli, ["export", "run", "--table", table, "--reports", str(reports)])
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.output)))


def a_run(reports: Path) -> None:
    """One trial with a reset session, an outage of DNS and logins that failed."""
    store = RunDir.create(reports, "run-1", 0)
    store.write_run(RunState.DONE, CONTEXT, METHOD, {})
    logs = [guest("vm1", OUT, OUT), harness(OUT, "R" * 20 + "F" * 3 + UP[23:]), *beside(UP, RESET, OUT, OUT)]
    store.write_facts(trial(1, logs).facts)
    for number, log in enumerate(logs):
        (store.trial(1) / f"{number}.raw").write_bytes(log)


def test_failures_are_counted_by_reason(tmp_path: Path) -> None:
    """Per stream of ingress and reason, after the request only; a direction without failures has no row."""
    a_run(tmp_path)
    found = {(r["stream"], r["failure"]): int(r["count"]) for r in exported(tmp_path, "failures")}
    assert found == {
        ("ssh-ingress/198.51.100.11:22/syn", "silence"): 12,
        ("ssh-ingress/198.51.100.11:22/banner", "silence"): 12,
        ("ssh-ingress/198.51.100.12:22/syn", "unreachable"): 3,
        ("ssh-ingress/198.51.100.12:22/banner", "unreachable"): 3,
        ("ssh-ingress/198.51.100.11:22/auth", "silence"): 12,
    }


def test_sessions_have_a_table(tmp_path: Path) -> None:
    """One row per guest, with the moments that belong to what became of its session."""
    a_run(tmp_path)
    rows = exported(tmp_path, "sessions")
    assert [(r["guest"], r["state"], r["silent_s"], r["ended_s"]) for r in rows] == [
        ("vm1", "survived", "", ""),
        ("vm2", "reset", "0.500000", "1.401000"),
    ]


def test_every_table_can_be_asked_for() -> None:
    """The command names them itself, so that its help loads nothing; both lists are one, in one order."""
    choice = next(option.type for option in command.params if option.name == "table")
    assert isinstance(choice, click.Choice)
    assert list(choice.choices) == list(COLUMNS)


def test_whoever_has_read_enough_ends_it_well(tmp_path: Path) -> None:
    """``| head``: the reader is gone while there is more to write than a pipe holds."""
    a_run(tmp_path)
    words = [sys.executable, "-m", "vrbench", "export", "run", "--table", "samples", "--reports", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        writer.stdout.close()
        assert writer.wait(60) == Exit.OK
        assert writer.stderr is not None
        assert writer.stderr.read() == b""
