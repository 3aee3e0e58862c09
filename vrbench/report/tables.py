"""The report of a run for a terminal (rich): the answer, its figures, the doubts about them, then all details."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from vrbench.core.causes.attribution import seconds_by_cause
from vrbench.core.figures.results import Run, StreamResult, TrialResult
from vrbench.core.figures.sessions import SessionState, answered, logins, sessions
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import DNS, ROWS
from vrbench.core.machine_calibration import calibrated_line
from vrbench.core.model import Cause, Verdict
from vrbench.core.text import listed
from vrbench.core.values import show_duration
from vrbench.report.answer import answer
from vrbench.report.caveats import caveat_lines
from vrbench.report.headline_table import headline_table, reduction_table
from vrbench.report.layout import Broken, table, with_notes
from vrbench.report.windows import longest, unseen, window_rows
from vrbench.report.wording import NEVER_BACK, digits_of, figure, seconds, setting, surely

_VERDICT_STYLE = {Verdict.VALID: "green", Verdict.INVALID: "bold red", Verdict.UNKNOWN: "yellow"}
MAX_WINDOW_ROWS = 12


def run_report(run: Run) -> RenderableType:
    """Show all of a run: the answer first, and what it stands on; each part says what it shows."""
    unreadable = [Text(f"! {words}", style="red") for words in run.unreadable]
    head = Group(Text(answer(run), style="bold"), Text(setting(run), style="dim"), *unreadable)
    if not run.trials:
        return head
    return _apart(head, headline_table(run), caveat_lines([run]), *_details(run))


def answers(runs: Sequence[Run], words: Sequence[str]) -> str:
    """Return the answers of several runs, each after its word."""
    return "\n".join(f"{word}: {answer(run)}" for word, run in zip(words, runs, strict=True))


def comparison_report(before: Run, after: Run, words: tuple[str, str]) -> RenderableType:
    """Show two runs side by side: their answers, the table operators know, the doubts, then each one's headline."""
    runs = (before, after)
    each = (Group(Text(word, style="bold"), headline_table(run)) for word, run in zip(words, runs, strict=True))
    head = Text(answers(runs, words), style="bold")
    return _apart(head, reduction_table(before, after, words), caveat_lines(runs), *each, method_lines(runs))


def _apart(*parts: RenderableType | None) -> RenderableType:
    """Put one empty line between the parts that there are."""
    first, *others = (part for part in parts if part is not None)
    return Group(first, *(line for part in others for line in (Text(), part)))


def _details(run: Run) -> Iterator[RenderableType | None]:
    """Yield what stands behind a run's figures."""
    yield from map(windows_table, run.trials)
    yield from (trials_table(run), causes_table(run), beside_table(run), sessions_table(run), method_lines([run]))


def windows_table(trial: TrialResult) -> RenderableType:
    """Show the longest outage windows of one trial; streams whose windows are alike stand in one row."""
    n, rows = trial.facts.number, list(window_rows(trial))
    shown = longest(rows, MAX_WINDOW_ROWS)
    of = f"the {len(shown)} longest of {len(rows)} outage windows" if len(rows) > len(shown) else "outage windows"
    below = [*_not_shown(trial)]
    if len(rows) > len(shown):
        below.append("all of them: vrbench export RUN --table windows")
    if not rows:
        return with_notes(Text(f"Trial {n}: no outage window in any stream", style="bold"), below)
    made = table(f"Trial {n}: {of} after the request", "stream", "no.", "from", "down for", "surely", "kind")
    for row in shown:
        streams = f"{row.streams} × {row.name}" if row.streams > 1 else row.name
        made.add_row(streams, str(row.number), f"{row.start_s:+.2f} s", figure(row.down), surely(row.down), row.kind)
    return with_notes(made, below)


def _not_shown(trial: TrialResult) -> Iterator[str]:
    """Yield what no row of the windows says: what was not seen, and whose windows can't be placed."""
    if stretches := unseen(trial):
        yield stretches.words
    if loose := list(dict.fromkeys(s.node for s in trial.streams if not s.aligned)):
        yield f"{listed(loose)}: not shown, the trial ended before the clock was compared with this machine's"


def trials_table(run: Run) -> RenderableType:
    """Show each trial: its verdict, and one row per kind over its VMs; of an only one the headline has shown them."""
    if len(run.trials) == 1 and run.trials[0].averaged:
        return Text.assemble("Trial ", _trial_words(run.trials[0]))
    made = table("Trials, over the VMs of each", "trial", "mean", "surely", "worst VM", "any down")
    for trial in run.trials:
        made.add_row(_trial_words(trial))
        for kind in ROWS:
            if not trial.of(kind):
                continue
            f = trial.figures_of(kind)
            measured = (f.downtime, f.worst, f.any_down)
            n = digits_of(measured)
            mean, worst, union = (figure(d, n) for d in measured)
            made.add_row(f"  {kind.labels.row}", mean, surely(f.downtime, n), worst, union)
            if f.stuck:
                made.add_row(f"    {NEVER_BACK}", f"{f.stuck} of {f.streams + f.stuck}")
    return made


def _trial_words(trial: TrialResult) -> Text:
    """Word a trial: "1: valid, job 2.5 s"."""
    job = "" if trial.facts.job_s is None else f", job {seconds(trial.facts.job_s, 1)}"
    verdict = (trial.verdict.value, _VERDICT_STYLE[trial.verdict])
    return Text.assemble(f"{trial.facts.number}: ", verdict, job)


def causes_table(run: Run) -> RenderableType | None:
    """Show why it was down: how long by each cause, per trial and kind, and what has no known cause."""
    made = table("Causes, mean over VMs", "trial", "stream", "down because of", left=3)
    for trial in run.trials:
        number = str(trial.facts.number)
        for kind in ROWS:
            found = seconds_by_cause([s for s in trial.of(kind) if s.measured and not s.stuck])
            if found:
                made.add_row(number, kind.labels.row, ", ".join(map(_because, found, found.values())))
                number = ""
    return made if made.rows else None


def _because(cause: Cause, seconds_: float) -> str:
    """Word one cause: "NAT missing 450 ms"."""
    return f"{cause} {seconds_ * 1000:.0f} ms" if seconds_ < 1 else f"{cause} {seconds_:.1f} s"


def beside_table(run: Run) -> RenderableType | None:
    """Show what was probed beside the figures: the router's DNS and logins; averages over the trials that count."""
    usable = [t for t in run.trials if t.averaged]
    made = table("Beside the figures, over trials", "stream", "average", "surely", "worst VM")
    for row in (*_names_row(usable), *_logins_row(usable, run.method.auth_interval_s)):
        made.add_row(*row)
    return made if made.rows else None


def _names_row(trials: Sequence[TrialResult]) -> Iterable[tuple[str, ...]]:
    """Yield the router's DNS as a row, where it answered before the operation."""
    found = [[s.downtime for s in streams] for t in trials if (streams := answered(t, DNS))]
    if found:
        mean, worst = Downtime.mean([*map(Downtime.mean, found)]), Downtime.worst([*map(Downtime.worst, found)])
        n = digits_of((mean, worst))
        yield DNS.labels.row, figure(mean, n), surely(mean, n), figure(worst, n)


def _logins_row(trials: Sequence[TrialResult], interval_s: float) -> Iterable[tuple[str, ...]]:
    """Yield logins as a row: how many failed, for they are too rare to say for how long."""
    tried = [found for t in trials if (found := logins(t))]
    if tried:
        words = f"{sum(failed for _, failed in tried)} of {sum(count for count, _ in tried)} failed"
        yield f"SSH logins, every {show_duration(interval_s)}", words, "", ""


def sessions_table(run: Run) -> RenderableType | None:
    """Show what became of the sessions of each trial: how many, and the first and last moment of each thing."""
    made = table("Sessions that stood before the request", "trial", "sessions", "silent from", "resumed", "ended")
    for trial in run.trials:
        watched = sessions(trial)
        number = str(trial.facts.number)
        for state in SessionState:
            here = [s for s in watched if s.state is state]
            if here:
                resumed = _span([s.resumed_s for s in here], len(here))
                if state is SessionState.STALLED and resumed == "–":
                    resumed = "not seen"
                if stuck := sum(s.stuck for s in here):
                    resumed = f"{stuck} stuck" if resumed == "not seen" else f"{resumed}, {stuck} stuck"
                spans = (_span([s.silent_s for s in here]), resumed)
                made.add_row(number, f"{len(here)} {state.value}", *spans, _span([s.ended_s for s in here]))
                number = ""
    return made if made.rows else None


def _span(moments: Sequence[float | None], of: int = 0) -> str:
    """Word a span: "+2.81 to +2.93 s"; with ``of``, how many moments there are where some are missing."""
    known = sorted(m for m in moments if m is not None)
    if not known:
        return "–"
    first, last = f"{known[0]:+.2f}", f"{known[-1]:+.2f}"
    span = f"{first} s" if first == last else f"{first} to {last} s"
    return f"{len(known)} of {of}: {span}" if len(known) < of else span


def method_lines(runs: Sequence[Run]) -> RenderableType:
    """Say by which rules runs were measured, how punctual the instrument was, and what it was calibrated to."""
    measured = [run for run in runs if run.trials]
    methods = [Broken("method", method) for method in dict.fromkeys(run.method.id for run in measured)]
    anew = dict.fromkeys(
        f"computed anew under {run.method.estimator}, recorded under {run.recorded_under}"
        for run in measured
        if run.recorded_under
    )
    calibrated = dict.fromkeys(calibrated_line(run.calibrated) for run in measured)
    lines = (*anew, *map(_quality, measured), *calibrated)
    return Group(*methods, *(Text(words, style="dim") for words in lines))


def _quality(run: Run) -> str:
    streams: list[StreamResult] = [s for t in run.trials for s in t.streams]
    guests = min(t.punctual_guests for t in run.trials)
    slots = sum(len(s.samples) for s in streams)
    return (
        f"instrument: {slots} probes planned; in the worst trial {run.on_time * 100:.2f} % of the harness's left "
        f"within 2 ms of their time, {guests * 100:.2f} % of the guests' within 5 ms"
    )
