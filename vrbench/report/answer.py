"""The answer of a run in one plain sentence: what fails for a tenant, for how long, and what never came back.

"Restarting the router with cleanup: new connections from VMs fail for 4.2 s (worst VM 5.0 s), SSH from outside for
3.9 s (worst 4.4 s), over 6 trials; 60 of 60 open SSH sessions stalled; 1 of 60 ongoing pings never came back."
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vrbench.core.caveats import Caveat, CaveatKind, Effect
from vrbench.core.figures.headline import Headline, KindOverTrials, Measure, OverTrials, headline
from vrbench.core.figures.results import MEASURED, Run, TrialResult
from vrbench.core.figures.sessions import SessionState, sessions
from vrbench.core.figures.windows import Downtime
from vrbench.core.model import Direction
from vrbench.core.plan.operations import OPERATIONS
from vrbench.core.text import some
from vrbench.report.wording import spoken, surely, vague

ENDS = {SessionState.STALLED: ("stalled", "stalled"), SessionState.RESET: ("was reset", "were reset")}


def answer(run: Run) -> str:
    """Return the sentence of a run."""
    asked = OPERATIONS.get(run.context.operation)
    return f"{asked.doing if asked else f'Operation {run.context.operation}'}: {_said(run)}."


def _said(run: Run) -> str:
    of_run = headline(run)
    if not run.trials:
        why = "no trial can be read" if run.unreadable else f"no complete trial ({run.state})"
        return f"no figure, {why}"
    if not of_run.counted:
        counting = "its only trial does not count" if of_run.trials == 1 else f"none of {of_run.trials} trials counts"
        return f"no figure, {counting}: {_why_not(run.trials)}"
    parts = (_failing(of_run), *_not_measured(of_run), *_of_sessions(run), *_never_back(of_run))
    return "; ".join(filter(None, parts)) or "no figure, nothing was probed"


def _why_not(trials: Sequence[TrialResult]) -> str:
    """Return what keeps trials out of averages, each reason once."""
    found = dict.fromkeys(c.kind.happened for t in trials for c in list(filter(_excludes, t.caveats))[:1])
    return "; ".join(found) or "see the caveats"


def _excludes(caveat: Caveat) -> bool:
    return caveat.kind.effect is Effect.INVALID or caveat.kind is CaveatKind.UNSEEN


def _failing(of_run: Headline) -> str:
    """Say of each direction what fails for how long; the verb stands once."""
    said: list[str] = []
    named = ""
    for kinds in filter(None, (_measured(of_run, direction) for direction in MEASURED)):
        subject, verb = _claim(kinds[0])
        said.append(f"{subject}{'' if said else f' {verb}'} for {_how_long(kinds, named)}")
        named = _of_what(kinds[0]) or named
    return f"{', '.join(said)}, {over_trials(of_run)}" if said else ""


def _claim(of: KindOverTrials) -> tuple[str, str]:
    """Return what of a tenant's is down with a kind, and the verb that says so."""
    labels = of.kind.labels
    subject, _, verb = (labels.claim or f"{labels.row} fails").rpartition(" ")
    return subject, verb


def over_trials(of_run: Headline) -> str:
    """Say over how many trials averages are: "in one trial", "over 6 trials", "over 5 of 6 trials"."""
    if of_run.counted == of_run.trials:
        return "in one trial" if of_run.trials == 1 else f"over {of_run.trials} trials"
    return f"over {of_run.counted} of {of_run.trials} trials"


def _measured(of_run: Headline, direction: Direction) -> list[KindOverTrials]:
    """Return the kinds of a direction that were measured, first what a tenant asks for.

    That is the service before the path alone, and new flows before old ones.
    """
    kinds = [k for k in of_run.kinds if k.kind.direction is direction and k.trials]
    return sorted(kinds, key=lambda k: (k.kind.is_service, k.kind.leads), reverse=True)


def _how_long(kinds: Sequence[KindOverTrials], named: str) -> str:
    """Return the mean over VMs, and in brackets what differs from it: the worst, and kinds that surely were unlike.

    ``named``: of what the last worst was that was told; it is not said again.
    """
    mean = kinds[0].mean.average
    beside = [f"surely {surely(mean)}"] if vague(mean) else []
    beside += [*_ends(kinds[0].mean), *_worst(kinds[0], named)]
    for other in kinds[1:]:
        if _apart(mean, other.mean.average):
            beside.append(f"{other.kind.labels.row.rpartition(', ')[2]} {spoken(other.mean.average)}")
    words = f"{spoken(mean)}, if at all" if mean.unseen else spoken(mean)
    return f"{words} ({'; '.join(beside)})" if beside else words


def _ends(over: OverTrials) -> Iterator[str]:
    if over.open:
        yield (
            "no end seen" if len(over.downtimes) == 1 else f"no end seen in {over.open} of {len(over.downtimes)} trials"
        )


def _worst(kind: KindOverTrials, named: str) -> Iterator[str]:
    """Yield the worst VM of all trials, or the worst trial of the only VM; nothing where it says nothing new."""
    if of := _of_what(kind):
        worst = spoken(kind.measures[Measure.WORST].highest)
        yield f"worst {worst}" if of == named else f"worst {of} {worst}"


def _of_what(kind: KindOverTrials) -> str:
    """Return of what the worst is told: "VM", "trial", or empty where it says nothing new."""
    worst = kind.measures[Measure.WORST].highest
    if worst.open or worst.unseen or (kind.streams == 1 and kind.trials == 1):
        return ""
    return "VM" if kind.streams > 1 else "trial"


def _apart(one: Downtime, other: Downtime) -> bool:
    """Return whether two durations surely differ."""
    return one.at_most_s < other.at_least_s or other.at_most_s < one.at_least_s


def _not_measured(of_run: Headline) -> Iterator[str]:
    """Yield what was to be measured and was not, in no trial that counts."""
    for k in of_run.kinds:
        if k.unmeasured == k.watched and not _measured(of_run, k.kind.direction):
            yield f"{_claim(k)[0]} could not be measured"


def _of_sessions(run: Run) -> Iterator[str]:
    """Yield what became of the sessions that stood before, in the trials that count."""
    ended = [s.state for t in run.trials if t.averaged for s in sessions(t)]
    states = [state for state in ended if state is not SessionState.UNKNOWN]
    of = some(len(states), "open SSH session")
    if states and {*states} == {SessionState.SURVIVED}:
        yield f"{len(states)} of {of} survived"
    counts = [(sum(s is state for s in states), *words) for state, words in ENDS.items()]
    told = [(count, one if count == 1 else many) for count, one, many in counts if count]
    if told:
        (count, became), *more = told
        yield ", ".join((f"{count} of {of} {became}", *(f"{n} {words}" for n, words in more)))


def _never_back(of_run: Headline) -> Iterator[str]:
    for k in of_run.kinds:
        if k.stuck:
            yield f"{k.stuck} of {some(k.watched - k.unmeasured, 'ongoing ping')} never came back"
