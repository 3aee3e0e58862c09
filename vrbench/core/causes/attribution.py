"""Outage windows to phases with a cause: every window is cut wherever evidence changes, and each part is judged.

The rules, and what each cause claims, stand in ``cause_rules``. New flows and SYN are the finest streams of their
paths and are judged first: where one of them was down as well, the others of its path have its cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from msgspec import Struct
from msgspec.structs import replace

from vrbench.core.causes.evidence import Refusals, read_evidence
from vrbench.core.causes.evidence_timeline import Scene, place_of, set_scene, span
from vrbench.core.causes.odds import LEAST
from vrbench.core.causes.proofs import proven
from vrbench.core.causes.rules import RULES, Case
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import StreamResult
from vrbench.core.log.answers import NO_PROBES
from vrbench.core.log.log_file import LogFile
from vrbench.core.model import HARNESS, Cause, CausePhase, OutageWindow

SHORTEST_S = 0.001  # a phase shorter than this is two nodes' difference about one moment


def with_causes(
    facts: TrialFacts, logs: Sequence[LogFile], streams: Sequence[StreamResult]
) -> tuple[StreamResult, ...]:
    """Return the streams with causes in the windows of the operation."""
    evidence = [read_evidence(log) for log in logs]
    scene = set_scene(streams, evidence, facts.guest_of_endpoint, HARNESS)
    led = [_explained(_Judge(scene, {}), s) if s.stream.kind.leads else s for s in streams]
    leads = {s.stream.path(s.node): tuple(p for w in s.windows for p in w.phases) for s in led if s.stream.kind.leads}
    return tuple(s if s.stream.kind.leads else _explained(_Judge(scene, leads), s) for s in led)


class _Judge(Struct, frozen=True):
    """A trial's evidence, and the phases of the finest streams by path, once they are known."""

    scene: Scene
    leads: Mapping[str, tuple[CausePhase, ...]]


def _explained(judge: _Judge, result: StreamResult) -> StreamResult:
    if result.stream.direction not in RULES:
        return result
    return replace(result, windows=tuple(_window(judge, result, w) for w in result.windows))


def _window(judge: _Judge, result: StreamResult, window: OutageWindow) -> OutageWindow:
    """Return a window with its phases; a blind one has none, since its estimate is nothing."""
    refusals = judge.scene.refusals.get((result.node, result.stream.name), Refusals())
    began_s = span(window, result.stream.interval_s).last_up_s
    lead = judge.leads.get(result.stream.path(result.node), ())
    phases = tuple(_phases(Case(judge.scene, result, window, refusals, began_s, lead)))
    return replace(window, phases=phases, cause=in_words(phases))


def _phases(case: Case) -> Iterator[CausePhase]:
    """Return the parts of a window, in order: of what the rules find, what is not proven is nobody's."""
    if _too_short(case):
        yield CausePhase(Cause.UNATTRIBUTED, case.window.start_s, case.end_s)
        return
    decide = RULES[case.result.stream.direction]
    parts = (
        CausePhase(decide(case, (start_s + end_s) / 2), start_s, end_s) for start_s, end_s in pairwise(_cuts(case))
    )
    found = _joined(parts)
    yield from _joined(p if proven(case, p) else replace(p, cause=Cause.UNATTRIBUTED) for p in found)


def _too_short(case: Case) -> bool:
    """Return whether nothing can be proven of a window, without a look at all evidence: most of a lossy trial's."""
    window = case.window
    return case.kind.leads and not window.refused and window.lost < LEAST and window.estimate_s > 0


def _joined(parts: Iterable[CausePhase]) -> Iterator[CausePhase]:
    """Return parts with neighbours of one cause as one."""
    for cause, run in groupby(parts, key=lambda part: part.cause):
        alike = list(run)
        yield CausePhase(cause, alike[0].start_s, alike[-1].end_s)


def _cuts(case: Case) -> list[float]:
    """Return the window's ends, and the moments within at which evidence changes; those close together are one."""
    start_s, end_s = case.window.start_s, case.end_s
    kept = [start_s]
    own = case.scene.probes.get((case.kind, place_of(case.result)), NO_PROBES).cuts(start_s, end_s)
    for t_s in sorted({*case.scene.cuts_within(start_s, end_s), *case.refusals.cuts_within(start_s, end_s), *own}):
        if min(t_s - kept[-1], end_s - t_s) >= SHORTEST_S:
            kept.append(t_s)
    return [*kept, end_s] if end_s > start_s else []


def in_words(phases: Sequence[CausePhase]) -> str:
    """Return phases as one line: "router gone 1.84 s, NAT missing 0.12 s, unattributed 3 ms"."""
    return ", ".join(f"{p.cause} {_length(p.seconds)}" for p in phases)


def _length(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def seconds_by_cause(streams: Sequence[StreamResult]) -> dict[Cause, float]:
    """Return the mean seconds of downtime of each cause over the streams; causes that none had are left out."""
    sums = dict.fromkeys(Cause, 0.0)
    for phase in (p for s in streams for w in s.windows for p in w.phases):
        sums[phase.cause] += phase.seconds / len(streams)
    return {cause: seconds for cause, seconds in sums.items() if seconds > 0}
