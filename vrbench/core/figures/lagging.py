"""What stayed away although its path was back: old flows that are stuck, and services that are slow without end.

An old flow is *stuck* when it was dead at its end, while new flows of the same path had been passing: it was given up
by its trial, or they had passed for as long as a trial would have waited. It says nothing of how long the network was
down. A ping is *pinned* when it was answered again after it had been silent: its own probes had kept alive what the
router remembered of it. A session can't be silenced: TCP itself tries again, at the latest after as long as it has
been silent already, and after TRIES_AGAIN_S at most. One that would have tried by then is stuck too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import StreamResult
from vrbench.core.kinds import ICMP_PERSISTENT, TCP_SESSION
from vrbench.core.model import OutageWindow
from vrbench.core.plan.method import Method

TRIES_AGAIN_S = 120.0  # Linux's TCP_RTO_MAX


class _Path(Struct, frozen=True):
    """From when until when the finest stream of a path was up without a break, at its end."""

    since_s: float
    until_s: float

    def passed_for(self, waiting_s: float) -> float:
        """Return how long it was up while another stream had been waiting since then."""
        return self.until_s - max(self.since_s, waiting_s)


def with_stuck(facts: TrialFacts, streams: Sequence[StreamResult], method: Method) -> tuple[StreamResult, ...]:
    """Return the streams, with those called stuck that are; only such are pinned."""
    paths = _paths(streams)

    def judged(result: StreamResult) -> StreamResult:
        path, window = paths.get(result.stream.path(result.node)), _open(result)
        if path is None or window is None or not result.seen_up:
            return replace(result, pinned=False)
        stuck = _is_stuck(facts, result, window, path, method.old_flow_grace_s)
        return replace(result, stuck=stuck, pinned=stuck and result.pinned)

    return tuple(judged(s) if s.stream.kind in (ICMP_PERSISTENT, TCP_SESSION) else s for s in streams)


def _is_stuck(facts: TrialFacts, result: StreamResult, window: OutageWindow, path: _Path, grace_s: float) -> bool:
    if result.stream.kind is TCP_SESSION:
        silent_s = max(0.0, path.since_s - window.start_s)
        return not window.refused and path.passed_for(window.start_s) >= grace_s + min(silent_s, TRIES_AGAIN_S)
    return result.stream.name in facts.given_up or path.passed_for(window.start_s) >= grace_s


def slow_services(facts: TrialFacts, streams: Sequence[StreamResult], method: Method) -> tuple[StreamResult, ...]:
    """Return the services that were given up, or kept a trial waiting until its time was up."""
    paths = _paths(streams)

    def slow(result: StreamResult) -> bool:
        if result.stream.name in facts.given_up:
            return True
        path = paths.get(result.stream.path(result.node))
        waited = path is not None and path.passed_for(0.0) >= method.old_flow_grace_s
        return waited and not facts.recovered and not is_back(result, method.validation_s)

    return tuple(s for s in streams if s.stream.kind.lags and s.stream.kind.is_service and s.seen_up and slow(s))


def is_back(result: StreamResult, validation_s: float) -> bool:
    """Return whether a stream had been up for the validation time when it was last probed."""
    return _end_s(result) - (result.recovered_s or 0.0) >= validation_s


def _paths(streams: Sequence[StreamResult]) -> Mapping[str, _Path]:
    """Return the paths that were back at the end, by their names."""
    finest = (s for s in streams if s.stream.kind.leads and s.seen_up and _open(s) is None)
    return {s.stream.path(s.node): _path(s) for s in finest}


def _path(finest: StreamResult) -> _Path:
    since_s = max((w.start_s + w.estimate_s for w in finest.outages), default=0.0)
    unseen_s = min((w.start_s for w in finest.windows if w.censored), default=math.inf)
    return _Path(since_s, min(unseen_s, _end_s(finest)))


def _open(result: StreamResult) -> OutageWindow | None:
    """Return the outage that had no end."""
    return next((w for w in result.outages if w.censored), None)


def _end_s(result: StreamResult) -> float:
    return result.samples[-1].due_s if result.samples else -math.inf
