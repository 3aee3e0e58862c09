"""What is reported beside the figures; above all what became of the sessions that stood before the operation.

A session *survived* when every byte was echoed within the threshold. It *stalled* when echoes failed to come, whether
it went on by itself later (TCP sends again what was lost, at ever longer intervals) or was still silent when
observation ended. It was *reset* when its connection came to an end; nothing revives it, and it says nothing of how
long the network was down.
"""

from __future__ import annotations

import math
from enum import StrEnum

from msgspec import Struct

from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.kinds import SSH_AUTH, TCP_SESSION, ProbeKind
from vrbench.core.log.outcomes import stretches
from vrbench.core.model import Outcome


class SessionState(StrEnum):
    """What became of a session; UNKNOWN: it never stood, or was not watched to the end."""

    SURVIVED = "survived"
    STALLED = "stalled"
    RESET = "reset"
    UNKNOWN = "unknown"


class Session(Struct, frozen=True):
    """One session of one trial; times in seconds from the request, None for what did not happen.

    ``silent_s``: when the first byte was sent whose echo did not come in time; ``resumed_s``: when the first
    echo came in time again; ``ended_s``: when the connection was seen to have ended. ``stuck``: it was silent to
    the end, and for longer than TCP waits before it tries again on a network that is back.
    """

    guest: str
    target: str
    state: SessionState
    silent_s: float | None = None
    resumed_s: float | None = None
    ended_s: float | None = None
    stuck: bool = False


def sessions(trial: TrialResult) -> tuple[Session, ...]:
    """Return every session that was to be watched, in the order of its guests."""
    return tuple(session_of(s) for s in trial.of(TCP_SESSION))


def session_of(result: StreamResult) -> Session:
    """Return what a session's stream says of it."""
    guest, target = result.stream.place, result.stream.target
    silent_s = min((w.start_s for w in result.outages), default=None)
    ended_s = _ended_s(result)
    if not result.seen_up:
        return Session(guest, target, SessionState.UNKNOWN)
    if ended_s is not None:
        return Session(guest, target, SessionState.RESET, silent_s, None, ended_s)
    if silent_s is not None:
        return Session(guest, target, SessionState.STALLED, silent_s, _resumed_s(result), stuck=result.stuck)
    unwatched = any(w.censored for w in result.windows)
    return Session(guest, target, SessionState.UNKNOWN if unwatched else SessionState.SURVIVED)


def _resumed_s(result: StreamResult) -> float | None:
    """Return when the first echo came after its last silence; None where none was seen."""
    last = result.outages[-1]
    if last.last_up_s is None or not math.isfinite(result.recovered_s or 0.0):
        return None
    return last.last_up_s + last.at_most_s


def _ended_s(result: StreamResult) -> float | None:
    """Return when the first refusal was heard: a session refuses for ever."""
    first = next((result.samples[begin] for begin, _ in stretches(result.samples, Outcome.REFUSED)), None)
    return None if first is None or first.sent_s is None else first.sent_s + (first.rtt_s or 0.0)


def answered(trial: TrialResult, kind: ProbeKind) -> tuple[StreamResult, ...]:
    """Return the streams of a kind that were up before the operation."""
    return tuple(s for s in trial.of(kind) if s.measured)


def logins(trial: TrialResult) -> tuple[int, int] | None:
    """Return how many logins were tried after the request and how many of them failed; None where none was measured.

    They are too rare for a downtime: one that fails says little of how long, and none that fails says nothing.
    """
    streams = answered(trial, SSH_AUTH)
    outcomes = [s.outcome for stream in streams for s in stream.samples if s.due_s >= 0 and not s.outcome.is_gap]
    return (len(outcomes), sum(o.is_down for o in outcomes)) if streams else None
