"""Runs made of figures alone: streams with the downtimes that a test names, without logs."""

from __future__ import annotations

from collections.abc import Sequence

from tests.replacing import replace
from tests.report.runs import CONTEXT, METHOD
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import Run, RunState, StreamResult, TrialResult
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import ICMP_FRESH, ICMP_PERSISTENT, SSH_BANNER, SSH_SYN, TCP_SESSION, ProbeKind
from vrbench.core.model import OutageWindow, Outcome, Sample, Stream, Verdict

Figure = float | Downtime
UNSEEN = Downtime(0.0, 0.0, 0.1012)
OPEN = Downtime(3.9, 5.0, float("inf"))


def down(seconds: float, width: float = 0.2) -> Downtime:
    """Return a downtime in the middle of bounds so far apart."""
    return Downtime(seconds - width / 2, seconds, seconds + width / 2)


def results(kind: ProbeKind, *figures: Figure) -> list[StreamResult]:
    """Return one stream for each figure, each down once, from the request on."""
    return [_result(kind, number, f if isinstance(f, Downtime) else down(f)) for number, f in enumerate(figures, 1)]


def _result(kind: ProbeKind, number: int, d: Downtime) -> StreamResult:
    stream = Stream(f"{kind.key}/vm{number}", kind.direction, kind.probe, kind.flow, f"198.51.100.{number}:22", 0.1)
    window = OutageWindow(0.1, d.at_least_s, d.estimate_s, d.at_most_s, 1, 0, 0, censored=d.open)
    windows = () if d.unseen else (window,)
    return StreamResult(f"vm{number}", stream, (), windows, (), d, d.estimate_s, 0.001, seen_up=True)


def stuck(kind: ProbeKind, number: int = 9) -> StreamResult:
    """Return an old flow that never came back."""
    return replace(_result(kind, number, OPEN), stuck=True)


def session(number: int, becomes: str) -> StreamResult:
    """Return a session that survives, stalls or is reset."""
    base = _result(TCP_SESSION, number, UNSEEN if becomes == "survived" else down(1.0))
    ended = [Sample(0, 0.5, 0.5, Outcome.REFUSED, 0.001)] if becomes == "reset" else []
    return replace(base, samples=ended)


def made_trial(
    *streams: Sequence[StreamResult], number: int = 1, verdict: Verdict = Verdict.VALID, caveats: Sequence[str] = ()
) -> TrialResult:
    """Return a trial of these streams."""
    facts = TrialFacts(number, "2026-11-24T12:00:00.000Z", 0, 15.0)
    carried = tuple(Caveat(CaveatKind.of(key)) for key in caveats)
    return TrialResult(facts, tuple(s for each in streams for s in each), verdict, carried, 1.0, 1.0)


def made_run(*trials: TrialResult, planned: int = 0, operation: str = "restart-network-cleanup") -> Run:
    """Return a run of these trials."""
    numbered = tuple(replace(t, facts=replace(t.facts, number=n)) for n, t in enumerate(trials, 1))
    context = replace(CONTEXT, environment="made", operation=operation)
    return Run("run", "reports/run", context, METHOD, RunState.DONE, numbered, planned=planned)


def fresh(*figures: Figure) -> list[StreamResult]:
    """Return new pings of one VM each."""
    return results(ICMP_FRESH, *figures)


def old(*figures: Figure) -> list[StreamResult]:
    """Return the ongoing pings of one VM each."""
    return results(ICMP_PERSISTENT, *figures)


def syn(*figures: Figure) -> list[StreamResult]:
    """Return TCP to one VM each."""
    return results(SSH_SYN, *figures)


def banner(*figures: Figure) -> list[StreamResult]:
    """Return the SSH service of one VM each."""
    return results(SSH_BANNER, *figures)
