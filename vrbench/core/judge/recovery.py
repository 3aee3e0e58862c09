"""What had not recovered when observation ended: the network, a service alone, or an old flow alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.lagging import is_back, slow_services
from vrbench.core.figures.results import StreamResult
from vrbench.core.model import OutageWindow
from vrbench.core.plan.method import Method
from vrbench.core.text import few


def of_recovery(facts: TrialFacts, streams: Sequence[StreamResult], method: Method) -> Iterator[Caveat]:
    """Return the caveats of all that was not back at the end."""
    stuck, slow = [s for s in streams if s.stuck], slow_services(facts, streams, method)
    awaited = [s for s in streams if s.stream.kind.crosses and s.stream.kind.awaited and s.seen_up]
    rest = [s for s in awaited if not s.stuck and s not in slow]
    lagged = bool(stuck or slow) and all(is_back(s, method.validation_s) for s in rest)
    waited = not facts.interrupted
    if waited and not facts.recovered and not lagged:
        yield Caveat(CaveatKind.NO_RECOVERY_SEEN, "not up for the whole validation time")
    open_ended = [s.stream.name for s in rest if any(_is_open(facts, s, w) for w in s.windows)]
    if waited and open_ended:
        yield Caveat(CaveatKind.NO_RECOVERY_SEEN, few(open_ended))
    if slow:
        yield Caveat(CaveatKind.SERVICE_GIVEN_UP, few([s.stream.name for s in slow]))
    if stuck:
        yield Caveat(CaveatKind.OLD_FLOW_STUCK, few([f"{s.stream.name}, {_why(s)}" for s in stuck]))


def _is_open(facts: TrialFacts, result: StreamResult, window: OutageWindow) -> bool:
    """Return whether an outage had no end; a loss of which the baseline has the like is none."""
    return window.censored and not facts.like_before(result.stream.name, window)


def _why(result: StreamResult) -> str:
    return "answered once it had been silent" if result.pinned else "why is not proven"
