"""The result tables for a terminal (rich). They fit 80 columns, and read the same without colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vrbench.core.causes.attribution import seconds_by_cause
from vrbench.core.figures.results import MEASURED, Run, StreamResult, TrialResult
from vrbench.core.figures.sessions import SessionState, answered, logins, sessions
from vrbench.core.figures.stats import summarize
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import DNS, HEADLINE
from vrbench.core.machine_calibration import calibrated_line
from vrbench.core.model import Cause, Direction, Verdict
from vrbench.core.text import some
from vrbench.core.values import show_duration
from vrbench.report.caveats import caveat_lines
from vrbench.report.export_rows import SCOPES
from vrbench.report.windows import longest, window_rows
from vrbench.report.wording import bounded, decimals, percent, seconds, setting

_VERDICT_STYLE = {Verdict.VALID: "green", Verdict.INVALID: "bold red", Verdict.UNKNOWN: "yellow"}
MAX_WINDOW_ROWS = 12
NEVER_BROKEN = ("trial", "direction", "verdict")


def _table(title: str, *columns: str) -> Table:
    """Make a plain table: first column left, the others right; words that don't fit are broken, never left out."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold", no_wrap=column in NEVER_BROKEN)
    return table


def run_report(run: Run) -> RenderableType:
    """Show all of a run: windows and trials, the headline, and every caveat."""
    unreadable: list[RenderableType] = [Text(f"! {words}", style="red") for words in run.unreadable]
    if not run.trials:
        return Group(*unreadable, Text(f"{run.run_id}: no complete trial ({run.state})"))
    parts: list[RenderableType] = [*unreadable, *(windows_table(t) for t in run.trials)]
    parts += [trials_table(run), causes_table(run), flows_table(run), sessions_table(run)]
    parts += [headline_table(run), quality_lines([run]), caveat_lines([run])]
    return Group(*parts)


def windows_table(trial: TrialResult) -> RenderableType:
    """Show the outage windows of one trial; streams whose windows are alike stand in one row."""
    n = trial.facts.number
    listed = list(window_rows(trial))
    if not listed:
        return Text(f"Trial {n}: no outage window in any stream\n")
    shown = longest(listed, MAX_WINDOW_ROWS)
    table = _table(
        f"Trial {n}: outage windows after the request", "streams", "no.", "from", "down for (bounds)", "kind"
    )
    for row in shown:
        streams = f"{row.streams} × {row.name}" if row.streams > 1 else row.name
        number = "" if row.number is None else str(row.number)
        table.add_row(streams, number, f"{row.start_s:+.2f} s", bounded(row.down), row.words)
    if len(listed) > len(shown):
        more = f"… and {len(listed) - len(shown)} more: vrbench export RUN --table windows"
        return Group(table, Text(more, style="dim"))
    return table


def trials_table(run: Run) -> Table:
    """Show one row per trial and direction."""
    table = _table("Trials", "trial", "direction", "mean over streams (bounds)", "worst", "any down", "job", "verdict")
    for trial in run.trials:
        for direction in MEASURED:
            f = trial.figures(direction)
            n = decimals(f.downtime.at_most_s - f.downtime.at_least_s) if math.isfinite(f.downtime.at_most_s) else 1
            first = direction is Direction.EGRESS
            table.add_row(
                str(trial.facts.number) if first else "",
                direction.value,
                bounded(f.downtime),
                seconds(f.worst_s, n),
                seconds(f.any_down_s, n),
                seconds(trial.facts.job_s, 1) if first else "",
                Text(trial.verdict.value, style=_VERDICT_STYLE[trial.verdict]) if first else "",
            )
    return table


def causes_table(run: Run) -> RenderableType:
    """Show why it was down: milliseconds of each cause per trial and direction, and of what has no known cause."""
    listed = [
        (trial, direction, seconds_by_cause(trial.headline(direction)))
        for trial in run.trials
        for direction in MEASURED
    ]
    shown = [cause for cause in Cause if any(cause in found for _, _, found in listed)]
    if not shown:
        return Text()
    shown = [*(cause for cause in shown if cause is not Cause.UNATTRIBUTED), Cause.UNATTRIBUTED]
    heads = ("\n".join(cause.rsplit(" ", 1)) for cause in shown)
    table = _table("Causes, milliseconds, mean over streams", "trial", "direction", *heads)
    for trial, direction, found in listed:
        number = str(trial.facts.number) if direction is Direction.EGRESS else ""
        table.add_row(number, direction.value, *(f"{found.get(cause, 0) * 1000:.0f}" for cause in shown))
    return table


def flows_table(run: Run) -> RenderableType:
    """Show old against new flows, and the network against the service: averages over trials."""
    usable = [t for t in run.trials if t.averaged]
    if not usable:
        return Text("By flow and layer: no trial counts, see the caveats")
    table = _table("By flow and layer, average over trials", "stream", "mean over streams (bounds)", "worst", "windows")
    for kind in HEADLINE:
        if not any(t.of(kind) for t in run.trials):
            continue
        figures = [t.figures_of(kind) for t in usable]
        worst = max(f.worst_s for f in figures)
        mean, windows = bounded(Downtime.mean([f.downtime for f in figures])), sum(f.windows for f in figures)
        table.add_row(kind.labels.row, mean, seconds(worst), str(windows))
    for row in (*_names_row(usable), *_logins_row(usable, run.method.auth_interval_s)):
        table.add_row(*row)
    return table


def _names_row(trials: Sequence[TrialResult]) -> Iterable[tuple[str, ...]]:
    """Yield the router's DNS as a row, where it answered before the operation."""
    found = [streams for t in trials if (streams := answered(t, DNS))]
    if found:
        mean = Downtime.mean([Downtime.mean([s.downtime for s in streams]) for streams in found])
        worst = max(s.downtime.settled_s for streams in found for s in streams)
        count = sum(len(s.outages) for streams in found for s in streams)
        yield DNS.labels.row, bounded(mean), seconds(worst), str(count)


def _logins_row(trials: Sequence[TrialResult], interval_s: float) -> Iterable[tuple[str, ...]]:
    """Yield logins as a row: how many failed, for they are too rare to say for how long."""
    tried = [found for t in trials if (found := logins(t))]
    if tried:
        words = f"{sum(failed for _, failed in tried)} of {sum(count for count, _ in tried)} failed"
        yield f"SSH logins, every {show_duration(interval_s)}", words, "–", "–"


def sessions_table(run: Run) -> RenderableType:
    """Show what became of the sessions of each trial: how many, and the first and last moment of each thing."""
    table = _table("Sessions that stood before the request", "trial", "sessions", "silent from", "resumed", "ended")
    for trial in run.trials:
        listed = sessions(trial)
        number = str(trial.facts.number)
        for state in SessionState:
            here = [s for s in listed if s.state is state]
            if here:
                resumed = _span([s.resumed_s for s in here], len(here))
                if state is SessionState.STALLED and resumed == "–":
                    resumed = "not seen"
                spans = (_span([s.silent_s for s in here]), resumed)
                table.add_row(number, f"{len(here)} {state.value}", *spans, _span([s.ended_s for s in here]))
                number = ""
    return table if table.rows else Text()


def _span(moments: Sequence[float | None], of: int = 0) -> str:
    """Word a span: "+2.81 to +2.93 s"; with ``of``, how many moments there are where some are missing."""
    known = sorted(m for m in moments if m is not None)
    if not known:
        return "–"
    first, last = f"{known[0]:+.2f}", f"{known[-1]:+.2f}"
    span = f"{first} s" if first == last else f"{first} to {last} s"
    return f"{len(known)} of {of}: {span}" if len(known) < of else span


def headline_table(run: Run) -> RenderableType:
    """Show, over all trials that count in averages, average with bounds, lowest, median, highest."""
    used = len(run.downtimes(None))
    if not used:
        nothing = Text("Downtime: no trial counts, see the caveats")
        return Group(Text(setting(run), style="bold"), nothing, _method_line(run))
    table = _table(
        _over(used, len(run.trials)),
        "direction",
        "average (bounds)",
        "lowest",
        "median",
        "highest",
    )
    for name, direction in SCOPES:
        downtimes = run.downtimes(direction)
        s = summarize([d.settled_s for d in downtimes])
        average = bounded(Downtime.mean(downtimes)) if downtimes else "–"
        table.add_row(name, average, seconds(s.lowest_s), seconds(s.median_s), seconds(s.highest_s))
    return Group(Text(setting(run), style="bold"), table, _method_line(run))


def _over(used: int, trials: int) -> str:
    """Word over how many trials the averages are."""
    return f"Downtime over {some(used, 'trial') if used == trials else f'{used} of {trials} trials'}"


def _method_line(run: Run) -> RenderableType:
    """Show the method's id; it is one word, and longer than a line of 80."""
    anew = f"\ncomputed anew, recorded under {run.recorded_under}" if run.recorded_under else ""
    line = Table.grid(padding=(0, 1))
    line.add_column()
    line.add_column(overflow="fold")
    line.add_row("method", f"{run.method.id}{anew}", style="dim")
    return line


def reduction_table(before: Run, after: Run, words: tuple[str, str]) -> Table:
    """Show two runs side by side in the form operators know from 2018: averages, the lowest, and the reduction."""
    heads = (f"{word} (bounds)" for word in words)
    table = _table("How long the network is down: router restart with cleanup", "direction", "", *heads, "reduction")
    for name, direction in SCOPES:
        old, new = before.downtimes(direction), after.downtimes(direction)
        if not old or not new:
            table.add_row(name, *"––––")
            continue
        was, average, lowest = Downtime.mean(old), Downtime.mean(new), min(d.settled_s for d in new)
        less, least = (percent(_reduction(was.settled_s, now)) for now in (average.settled_s, lowest))
        table.add_row(name, "average", bounded(was), bounded(average), less)
        table.add_row("", "lowest", "", seconds(lowest), least)
    return table


def _reduction(before: float, after: float) -> float | None:
    """Return how much less it is, as a share; None where one of the two has no upper bound."""
    return 1 - after / before if before > 0 and math.isfinite(before) and math.isfinite(after) else None


def quality_lines(runs: Sequence[Run]) -> RenderableType:
    """Say how punctual the instrument was in each run, and what it was calibrated to."""
    measured = [run for run in runs if run.trials]
    calibrated = dict.fromkeys(calibrated_line(run.calibrated) for run in measured)
    return Group(*(Text(words, style="dim") for words in (*map(_quality, measured), *calibrated)))


def _quality(run: Run) -> str:
    streams: list[StreamResult] = [s for t in run.trials for s in t.streams]
    harness = min(t.punctual_harness for t in run.trials)
    guests = min(t.punctual_guests for t in run.trials)
    slots = sum(len(s.samples) for s in streams)
    return (
        f"instrument: {slots} probes planned; in the worst trial {harness * 100:.2f} % of the harness's left within "
        f"2 ms of their time, {guests * 100:.2f} % of the guests' within 5 ms"
    )
