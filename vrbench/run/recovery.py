"""When a trial has seen enough: recovery by the probes alone, and how long it waits for whoever lags behind.

A stream is back when it has been up for the validation time, with at least five probes, seen recently; one beside the
figures that probes too rarely for that is back when its last probe was answered. A login that was begun while the path
was down may take longer to fail than a validation: until then nobody knows. The network has recovered when every
stream is back but those that may stay away although their path works: an old flow that its router has bound wrongly,
and a guest's service that is slow. They get a grace from then on. It begins anew when the network relapses: when
another stream is down. That a slow guest sends no news for a while is no relapse.

After it a service is given up, and an old flow is tried once more after a silence in which the router forgets it: one
that is answered then was pinned by its own probes. Who can't be asked to be silent stays unproven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vrbench.core.log.growing_log import StreamState
from vrbench.core.ports import Clock, Observation
from vrbench.core.text import some

FRESH_S = 3.0  # news of a stream older than this are no news
VALIDATION_PROBES = 5
NEWS_S = 10.0  # after a silence: how long its outcome may take to get here from a slow guest

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """The times by which recovery is judged, in seconds."""

    validation_s: float
    grace_s: float
    silence_s: float


def recovered(states: Sequence[StreamState], now_ns: int, validation_s: float) -> bool:
    """Return whether every stream is back, and there is one."""
    return bool(states) and all(is_back(s, now_ns, validation_s) for s in states)


def is_back(state: StreamState, now_ns: int, validation_s: float) -> bool:
    """Return whether a stream is up, was seen so lately, and has been up for the validation time and five probes."""
    interval_s = state.stream.interval_s
    rare = not state.stream.kind.headline and interval_s * VALIDATION_PROBES > validation_s
    seen_lately = (now_ns - state.judged_ns) / 1e9 <= FRESH_S + (interval_s if rare else 0.0)
    if rare and state.asked_ns and (now_ns - state.asked_ns) / 1e9 > validation_s:
        return False
    lasting = rare or (state.probes >= VALIDATION_PROBES and (state.judged_ns - state.since_ns) / 1e9 >= validation_s)
    return bool(state.up) and seen_lately and lasting


def lagging(states: Sequence[StreamState]) -> list[StreamState]:
    """Return those that may stay away, since the finest stream of their path is up."""
    paths = {s.stream.path(s.node) for s in states if s.stream.kind.leads and s.up}
    return [s for s in states if s.stream.kind.lags and s.stream.path(s.node) in paths]


class Recovery:
    """Judges, look after look, whether a trial has anything left to wait for; ``given_up`` names what it left."""

    def __init__(self, observation: Observation, clock: Clock, patience: Patience, say: Say) -> None:
        self.given_up: tuple[str, ...] = ()
        self._observation, self._clock, self._patience, self._say = observation, clock, patience, say
        self._since_ns: int | None = None  # when all else had recovered
        self._silent: frozenset[str] = frozenset()
        self._silent_until_ns = 0

    def complete(self, states: Sequence[StreamState], now_ns: int) -> bool:
        """Return whether all have recovered but those that were given up, and nothing remains to be proven."""
        if self._proving(states, now_ns):
            return False
        awaited = [s for s in states if s.stream.name not in self.given_up]
        behind = [s for s in awaited if not is_back(s, now_ns, self._patience.validation_s)]
        if not behind:
            return bool(states)
        excused = lagging(awaited)
        late = [s for s in behind if s in excused]
        if any(not s.up for s in awaited if s not in excused):
            self._since_ns = None
        elif self._since_ns is None and len(late) == len(behind):
            self._since_ns = now_ns
            self._say(f"waiting at most {self._patience.grace_s:g} s for {_streams(late)}")
        elif late and self._since_ns is not None and (now_ns - self._since_ns) / 1e9 >= self._patience.grace_s:
            self._give_up(late)
        return False

    def _give_up(self, late: Sequence[StreamState]) -> None:
        """Wait for them no longer, but for what a silence may prove of the old flows among them."""
        self.given_up += tuple(s.stream.name for s in late)
        flows = [s for s in late if not s.stream.kind.is_service]
        silence_s = self._patience.silence_s
        self._silent = self._observation.silence(flows, silence_s) if flows else frozenset()
        if self._silent:
            self._say(f"{some(len(self._silent), 'old flow')} silent for {silence_s:g} s, then tried again")
        self._silent_until_ns = self._clock.monotonic_ns() + round(silence_s * 1e9)

    def _proving(self, states: Sequence[StreamState], now_ns: int) -> bool:
        """Return whether what was silent may still be answered."""
        if not self._silent or now_ns >= self._silent_until_ns + round(NEWS_S * 1e9):
            return False
        return any(s.stream.name in self._silent and not s.up for s in states)


def _streams(late: Sequence[StreamState]) -> str:
    """Name the first of them, and how many more."""
    more = f" and {len(late) - 1} more" if len(late) > 1 else ""
    return f"{late[0].stream.name}{more}, whose path is back"
