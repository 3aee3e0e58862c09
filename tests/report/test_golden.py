"""What people and programs see, byte for byte, from one fixed run; ``pytest --rewrite`` accepts a change."""

import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console, RenderableType

from tests.golden import check
from tests.replacing import replace
from tests.report.runs import METHOD, OUT, UP, fixed_run, guest, harness, trial
from vrbench.cli.lab import command as lab
from vrbench.cli.main import COMMANDS, cli
from vrbench.cli.results import as_object
from vrbench.core.log.failures import Failure
from vrbench.core.model import Direction, Stream
from vrbench.report.export_files import write_samples, write_table
from vrbench.report.export_rows import COLUMNS, TABLES, failure_rows, rows
from vrbench.report.sample_blocks import sample_blocks
from vrbench.report.tables import comparison_report, run_report, windows_table

BANNER = (Direction.INGRESS, "ssh-ingress", "banner")
COUNTED = [
    (1, Stream("ssh-ingress/198.51.100.11:22/banner", *BANNER, "198.51.100.11:22", 0.25), Failure.BANNER_LATE, 3),
    (2, Stream("ssh-ingress/198.51.100.12:22/banner", *BANNER, "=1+1", 0.25), Failure.RESET, 1),
]


def plain(what: RenderableType, width: int) -> str:
    """As it looks piped, without colour."""
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, force_terminal=False).print(what)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_report(width: int, rewrite: bool) -> None:
    """All tables of a run fit the width."""
    text = plain(run_report(fixed_run()), width)
    assert max(map(len, text.splitlines())) <= width
    check(f"report-{width}.txt", text, rewrite)


def test_one_outage_is_one_row_whatever_else_a_stream_saw() -> None:
    """A blip of one stream alone moves none of the windows that it shares with others to another row."""
    blip = "R" * 17 + "L" + OUT[18:]
    shown = windows_table(trial(1, [guest("vm1", OUT, UP), guest("vm2", blip, UP), harness(UP, UP)]))
    told = [" ".join(line.split()[:7]) for line in plain(shown, 80).splitlines() if "egress" in line]
    assert told == ["egress, new pings 1 +0.20 s 0.10", "2 × egress, new pings 2 +0.50"]


def test_reduction(rewrite: bool) -> None:
    """What a demo ends with: the table that operators know, with both runs' answers, headlines and caveats."""
    after = fixed_run()
    before = replace(after, run_id="before", context=replace(after.context, environment="lab-serial"))
    text = plain(comparison_report(before, after, ("serial", "parallel")), 80)
    check("reduction.txt", text, rewrite)


@pytest.mark.parametrize("table", TABLES)
def test_csv(table: str, rewrite: bool) -> None:
    """The export tables: header, order of columns, empty cells, a formula defused."""
    out = io.StringIO()
    write_table(table, rows(table, [fixed_run()]), "csv", out)
    text = out.getvalue()
    assert text.splitlines()[0].split(",") == list(COLUMNS[table])
    check(f"{table}.csv", text, rewrite)


def test_failures_csv(rewrite: bool) -> None:
    """The table that no run carries: how often each reason was seen, by stream."""
    out = io.StringIO()
    write_table("failures", failure_rows("golden", METHOD.id, COUNTED), "csv", out)
    assert out.getvalue().splitlines()[0].split(",") == list(COLUMNS["failures"])
    check("failures.csv", out.getvalue(), rewrite)


def test_samples_csv(rewrite: bool) -> None:
    """The table that is written block by block: its first rows."""
    out = io.StringIO()
    write_samples(sample_blocks([fixed_run()]), "csv", out)
    assert out.getvalue().splitlines()[0].split(",") == list(COLUMNS["samples"])
    check("samples.csv", "\n".join(out.getvalue().splitlines()[:40]) + "\n", rewrite)


def test_every_table_has_a_golden_file() -> None:
    """None is forgotten."""
    assert {*TABLES, "failures", "samples"} == set(COLUMNS)


def test_json(rewrite: bool) -> None:
    """What --json prints."""
    check("run.json", json.dumps(as_object([fixed_run()]), indent=1) + "\n", rewrite)


@pytest.mark.parametrize("command", ["", *COMMANDS, *(f"lab {name}" for name in lab.commands)])
def test_help(command: str, rewrite: bool) -> None:
    """Every --help fits a screen of 80 by 40 and shows an example."""
    done = CliRunner().invoke(cli, [*command.split(), "--help"], prog_name="vrbench", terminal_width=80)
    assert done.exit_code == 0
    assert len(done.output.splitlines()) <= 40
    assert "Example: vrbench" in done.output or "Start with: vrbench" in done.output
    check(f"help-{command.replace(' ', '-') or 'vrbench'}.txt", done.output, rewrite)
