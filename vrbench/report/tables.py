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
from vrbench.core.machine_verdict import calibrated_line
from vrbench.core.model import Cause, Direction, OutageWindow, Verdict
from vrbench.core.values import show_duration
from vrbench.core.words import some
from vrbench.report.rows import FLOWS, SCOPES
from vrbench.report.wording import bounded, decimals, percent, seconds, setting

_VERDICT_STYLE = {Verdict.VALID: "green", Verdict.INVALID: "bold red", Verdict.UNKNOWN: "yellow"}
MAX_WINDOW_ROWS = 12
FLOW_NAMES = {
    "fresh": "egress ping, new flows",
    "persistent": "egress ping, one old flow",
    "syn": "ingress TCP (SYN)",
    "banner": "ingress SSH (banner)",
}


def _table(title: str, *columns: str) -> Table:
    """A plain table: first column left, the others right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def run_report(run: Run) -> RenderableType:
    """All of a run: windows and trials, the headline, and every caveat."""
    unreadable: list[RenderableType] = [Text(f"! {words}", style="red") for words in run.unreadable]
    if not run.trials:
        return Group(*unreadable, Text(f"{run.run_id}: no complete trial ({run.state})"))
    parts: list[RenderableType] = [*unreadable, *(windows_table(t) for t in run.trials)]
    parts += [trials_table(run), causes_table(run), flows_table(run), sessions_table(run)]
    parts += [headline_table(run), caveat_lines([run])]
    return Group(*parts)


def windows_table(trial: TrialResult) -> RenderableType:
    """The outage windows of one trial; streams whose windows are alike stand in one row."""
    n = trial.facts.number
    table = _table(
        f"Trial {n}: outage windows after the request", "streams", "window", "from", "down for (bounds)", "kind"
    )
    listed = list(_grouped(trial))
    for count, name, index, window in listed[:MAX_WINDOW_ROWS]:
        streams = f"{count} × {name}" if count > 1 else name
        kind = _kind(window)
        down = bounded(Downtime(window.at_least_s, window.estimate_s, window.at_most_s))
        table.add_row(streams, str(index), f"{window.start_s:+.2f} s", down, kind)
    if not listed:
        return Text(f"Trial {n}: no outage window in any stream\n")
    if len(listed) > MAX_WINDOW_ROWS:
        more = f"… and {len(listed) - MAX_WINDOW_ROWS} more: vrbench export RUN --table windows"
        return Group(table, Text(more, style="dim"))
    return table


def _kind(window: OutageWindow) -> str:
    """What was seen in a window."""
    if window.blind:
        return "not seen"
    return "silence" if not window.refused else "refusal" if not window.lost else "both"


def _grouped(trial: TrialResult) -> Iterable[tuple[int, str, int, OutageWindow]]:
    """(streams, what they are, number of the window, the middle one of those windows) per flow and time.

    Sessions have a table of their own, since what cuts one is no outage window of the network; logins are too rare.
    """
    for direction, flow in (*FLOWS, (Direction.EGRESS, "resolver")):
        streams = [s for s in trial.of(direction, flow) if s.windows and (s.stream.counts or s.seen_up)]
        name = "router's DNS" if flow == "resolver" else f"{direction} {flow}"
        for number, group in enumerate(_at_the_same_time(streams), 1):
            here = sorted(group, key=lambda w: w.estimate_s)
            yield len(here), name, number, here[len(here) // 2]


def _at_the_same_time(streams: Sequence[StreamResult]) -> list[list[OutageWindow]]:
    """The windows of several streams by when they were open, in order: at most one of each stream in a group."""
    groups: list[dict[int, OutageWindow]] = []
    for window, number in sorted(
        ((w, n) for n, s in enumerate(streams) for w in s.windows), key=lambda e: e[0].start_s
    ):
        fitting = (g for g in groups if number not in g and any(_both_open(window, w) for w in g.values()))
        group = next(fitting, None)
        if group is None:
            groups.append({number: window})
        else:
            group[number] = window
    return [list(group.values()) for group in groups]


def _both_open(one: OutageWindow, other: OutageWindow) -> bool:
    """Whether two windows were open at the same time; what was not seen is none of what was."""
    ends = [w.start_s + (w.at_most_s if w.blind else math.inf if w.censored else w.estimate_s) for w in (one, other)]
    return one.blind is other.blind and one.start_s <= ends[1] and other.start_s <= ends[0]


def trials_table(run: Run) -> Table:
    """One row per trial and direction."""
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
    """Why it was down: milliseconds of each cause per trial and direction; what has no cause has its own column."""
    listed = [
        (trial, direction, seconds_by_cause([s for s in trial.of(direction) if s.stream.counts]))
        for trial in run.trials
        for direction in MEASURED
    ]
    shown = [cause for cause in Cause if any(cause in found for _, _, found in listed)]
    if not shown:
        return Text()
    shown = [*(cause for cause in shown if cause is not Cause.UNATTRIBUTED), Cause.UNATTRIBUTED]
    table = _table("Causes, milliseconds, mean over streams", "trial", "direction", *shown)
    for trial, direction, found in listed:
        number = str(trial.facts.number) if direction is Direction.EGRESS else ""
        table.add_row(number, direction.value, *(f"{found.get(cause, 0) * 1000:.0f}" for cause in shown))
    return table


def flows_table(run: Run) -> Table:
    """Old against new flows, and the network against the service: averages over trials."""
    table = _table("By flow and layer, average over trials", "stream", "mean over streams (bounds)", "worst", "windows")
    usable = [t for t in run.trials if t.averaged]
    for direction, flow in FLOWS:
        if not any(t.of(direction, flow) for t in run.trials):
            continue
        figures = [t.figures(direction, flow) for t in usable]
        worst = max((f.worst_s for f in figures), default=None)
        mean = bounded(Downtime.mean([f.downtime for f in figures])) if figures else "–"
        table.add_row(FLOW_NAMES[flow], mean, seconds(worst), str(sum(f.windows for f in figures)))
    for row in (*_names_row(usable), *_logins_row(usable, run.method.auth_interval_s)):
        table.add_row(*row)
    return table


def _names_row(trials: Sequence[TrialResult]) -> Iterable[tuple[str, ...]]:
    """The router's DNS as a row, where it answered before the operation."""
    found = [streams for t in trials if (streams := answered(t, "resolver"))]
    if found:
        mean = Downtime.mean([Downtime.mean([s.downtime for s in streams]) for streams in found])
        worst = max(s.downtime.settled_s for streams in found for s in streams)
        count = sum(len(s.outages) for streams in found for s in streams)
        yield "names from the router's DNS", bounded(mean), seconds(worst), str(count)


def _logins_row(trials: Sequence[TrialResult], interval_s: float) -> Iterable[tuple[str, ...]]:
    """Logins as a row: how many failed, for they are too rare to say for how long."""
    tried = [found for t in trials if (found := logins(t))]
    if tried:
        words = f"{sum(failed for _, failed in tried)} of {sum(count for count, _ in tried)} failed"
        yield f"SSH logins, every {show_duration(interval_s)}", words, "–", "–"


def sessions_table(run: Run) -> RenderableType:
    """What became of the sessions of each trial: how many, and the first and last moment of each thing."""
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
    """ "+2.81 to +2.93 s" from the first moment to the last; with ``of``, how many there are where some are missing."""
    known = sorted(m for m in moments if m is not None)
    if not known:
        return "–"
    first, last = f"{known[0]:+.2f}", f"{known[-1]:+.2f}"
    span = f"{first} s" if first == last else f"{first} to {last} s"
    return f"{span} ({len(known)})" if len(known) < of else span


def headline_table(run: Run) -> RenderableType:
    """Over all trials that count in averages: average with bounds, lowest, median, highest."""
    used = len(run.downtimes(None))
    table = _table(
        f"Downtime over {some(used, 'trial')}",
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
    return Group(Text(setting(run), style="bold"), table, Text(_method_line(run), style="dim"))


def _method_line(run: Run) -> str:
    anew = f", computed anew (recorded under {run.recorded_under})" if run.recorded_under else ""
    return f"method {run.method.id}{anew}"


def reduction_table(before: Run, after: Run, words: tuple[str, str]) -> Table:
    """Two runs side by side in the form operators know from 2018: average, average (lowest), reduction."""
    table = _table(
        "How long the network is down: router restart with cleanup",
        "environment",
        f"{words[0]} average",
        f"{words[1]} average (lowest)",
        "reduction average (highest)",
    )
    for name, direction in SCOPES:
        old, new = before.downtimes(direction), after.downtimes(direction)
        if not old or not new:
            table.add_row(name, "–", "–", "–")
            continue
        average, lowest = Downtime.mean(old).settled_s, min(d.settled_s for d in new)
        new_average = Downtime.mean(new)
        table.add_row(
            name,
            bounded(Downtime.mean(old)),
            f"{bounded(new_average)}\n(lowest {seconds(lowest)})",
            f"{percent(_reduction(average, new_average.settled_s))} ({percent(_reduction(average, lowest))})",
        )
    return table


def _reduction(before: float, after: float) -> float | None:
    """How much less, as a share; None where one of the two has no upper bound."""
    return 1 - after / before if before > 0 and math.isfinite(before) and math.isfinite(after) else None


def caveat_lines(runs: Sequence[Run]) -> RenderableType:
    """Every caveat once, with the trials that carry it, the instrument's own quality, and what it was calibrated to."""
    seen: dict[str, list[str]] = {}
    trials = [(run, trial) for run in runs for trial in run.trials]
    for run, trial in trials:
        place = f"{run.context.environment} {trial.facts.number}" if len(runs) > 1 else str(trial.facts.number)
        for caveat in trial.caveats:
            seen.setdefault(str(caveat), []).append(place)
    lines = []
    for words, places in seen.items():
        where = "all trials" if len(places) == len(trials) > 1 else f"trial {', '.join(places)}"
        lines.append(Text(f"! {words} [{where}]", style="yellow"))
    quality = [_quality(run) for run in runs if run.trials]
    calibrated = dict.fromkeys(calibrated_line(run.calibrated) for run in runs if run.trials)
    return Group(*lines, *(Text(words, style="dim") for words in (*quality, *calibrated)))


def _quality(run: Run) -> str:
    streams: list[StreamResult] = [s for t in run.trials for s in t.streams]
    harness = min(t.punctual_harness for t in run.trials)
    guests = min(t.punctual_guests for t in run.trials)
    slots = sum(len(s.samples) for s in streams)
    return (
        f"instrument: {slots} slots; sent on time {harness:.2%} (harness, 2 ms) and {guests:.2%} (guests, 5 ms) "
        "in the worst trial"
    )
