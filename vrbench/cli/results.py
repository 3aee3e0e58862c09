"""How finished runs are printed, and what exit code they deserve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from vrbench.cli.exits import Exit
from vrbench.cli.say import say_json
from vrbench.core.figures.headline import headline
from vrbench.core.figures.results import Run
from vrbench.core.model import Direction, Verdict
from vrbench.core.plan.limits import LimitsTable

if TYPE_CHECKING:
    from rich.console import RenderableType


def show_runs(runs: Sequence[Run], as_json: bool) -> None:
    """Print runs on stdout: the answer and tables for people, or one JSON object for programs."""
    if as_json:
        say_json(as_object(runs))
        return
    from vrbench.report.answer import answer
    from vrbench.report.tables import run_report

    for run in runs:
        _print_with_answer_at_both_ends(run_report(run), answer(run))


def show_comparison(before: Run, after: Run, words: tuple[str, str], as_json: bool) -> None:
    """Print two runs side by side on stdout: the answers, the table operators know, then what stands behind it."""
    runs = (before, after)
    if as_json:
        say_json(as_object(runs))
        return
    from vrbench.report.tables import answers, comparison_report

    told = answers(runs, words)
    _print_with_answer_at_both_ends(comparison_report(before, after, words), told)


def _print_with_answer_at_both_ends(report: RenderableType, told: str) -> None:
    """Print a report, which begins with the answer; where that has left the terminal, say it again."""
    from rich.segment import SegmentLines
    from rich.text import Text

    from vrbench.cli.console import TextConsole

    console = TextConsole()
    lines = console.render_lines(report, pad=False)  # once: tables take their time
    console.print(SegmentLines(lines, new_lines=True), end="")
    if console.is_terminal and len(lines) >= console.height:
        console.print(Text(f"\n{told}", style="bold"))


def as_object(runs: Sequence[Run]) -> dict[str, object]:
    """Return runs as plain values for JSON: where they lie, rows of five tables, and every caveat in full."""
    from vrbench.report.caveats import caveat_rows
    from vrbench.report.export_rows import rows

    tables = {table: list(rows(table, runs)) for table in ("summary", "trials", "windows", "sessions", "headline")}
    return {"runs": [_run_object(run) for run in runs], **tables, "caveats": list(caveat_rows(runs))}


def _run_object(run: Run) -> dict[str, object]:
    """Return where a run lies, how far it came, and its answer; how wrong the instrument was (null: not calibrated)."""
    from vrbench.report.answer import answer

    calibrated = asdict(run.calibrated) if run.calibrated else None
    head = {"run_id": run.run_id, "path": run.path, "state": run.state, "calibrated": calibrated}
    return {**head, "answer": answer(run)}


def exit_code(run: Run, limits: LimitsTable | None, planned: int) -> Exit:
    """Return 0, 1 or 2: invalid or missing trials outweigh a limit, since no figure can be held against it."""
    if len(run.trials) < planned or any(t.verdict is not Verdict.VALID for t in run.trials):
        return Exit.NOT_VALID
    return Exit.OVER_LIMIT if limits and over_limits(run, limits) else Exit.OK


def over_limits(run: Run, limits: LimitsTable) -> list[str]:
    """Return one sentence for each kind of stream whose average is above the profile's limit of its direction."""
    from vrbench.report.wording import figure

    allowed = {Direction.EGRESS: limits.egress, Direction.INGRESS: limits.ingress}
    found = []
    for kind in headline(run).kinds:
        limit, average = allowed[kind.kind.direction], kind.mean.average
        if limit is not None and average.estimate_s > limit:
            found.append(f"average of {kind.kind.labels.row} is {figure(average)}, the limit {limit:g} s")
    return found
