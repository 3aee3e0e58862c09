"""All evidence of one trial, as questions about a moment: was this stream up, where was the gateway, did it move.

All times are seconds from the request; those of guests have been moved by their clock's offset already.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto

from msgspec import Struct

from vrbench.core.causes.evidence import Evidence, History, Move, Refusals
from vrbench.core.causes.odds import silent
from vrbench.core.figures.results import StreamResult
from vrbench.core.kinds import GATEWAY, ICMP_FRESH, SSH_SYN, ProbeKind
from vrbench.core.log.answers import NO_PROBES, Probes, probes_of
from vrbench.core.model import Direction, OutageWindow

ANNOUNCED_INTERVALS = (
    3  # a gateway that announced itself this many of its probes before it answered one is up from then
)
CLOCKS_S = 0.05  # how far apart two nodes may see the same thing


class PathState(Enum):
    """What is known of a stream at a moment."""

    UP = auto()
    DOWN = auto()
    FALLING = auto()  # between its last success and its first failure
    UNKNOWN = auto()

    @property
    def not_up(self) -> bool:
        return self in (PathState.DOWN, PathState.FALLING)


class Span(Struct, frozen=True):
    """A window with the time before it in which its outage may have begun already."""

    last_up_s: float
    start_s: float
    end_s: float
    blind: bool


class Track(Struct, frozen=True):
    """One stream's spans in order of time; UNKNOWN throughout for a stream that was never up."""

    spans: tuple[Span, ...]
    interval_s: float
    seen_up: bool

    def at(self, t_s: float) -> PathState:
        """Return the state at a moment. A success counts until the next failure, a failure until the next success."""
        i = bisect_right(self.spans, t_s, key=lambda s: s.last_up_s) - 1
        if not self.seen_up:
            return PathState.UNKNOWN
        if i < 0 or t_s >= self.spans[i].end_s:
            return PathState.UP
        if self.spans[i].blind:
            return PathState.UNKNOWN
        return PathState.DOWN if t_s >= self.spans[i].start_s else PathState.FALLING

    def recovered_s(self, t_s: float) -> float:
        """Return when it last came up before a moment; minus infinity when it had not been down by then."""
        i = bisect_right(self.spans, t_s, key=lambda s: s.end_s)
        return self.spans[i - 1].end_s if i else -math.inf

    def falls_s(self, t_s: float) -> float:
        """Return until when it is surely up, from a moment at which it is.

        Infinite when it is not seen to fall again.
        """
        i = bisect_right(self.spans, t_s, key=lambda s: s.last_up_s)
        return self.spans[i].last_up_s if i < len(self.spans) else math.inf

    def recovers_s(self, t_s: float) -> float:
        """Return when it comes up again after a moment at which it is not; infinite when nobody saw that."""
        i = bisect_right(self.spans, t_s, key=lambda s: s.last_up_s)
        return self.spans[i - 1].end_s if i else math.inf


NO_TRACK = Track((), 0.1, seen_up=False)


def track(result: StreamResult) -> Track:
    """Return a stream's windows as a track."""
    windows = sorted((*result.baseline_windows, *result.windows), key=lambda w: w.start_s)
    interval_s = result.stream.interval_s
    return Track(tuple(span(w, interval_s) for w in windows), interval_s, result.seen_up)


def span(window: OutageWindow, interval_s: float) -> Span:
    """Return a window of a stream probed at an interval, as a span."""
    if window.blind:
        return Span(window.start_s, window.start_s, window.start_s + window.at_most_s, blind=True)
    end_s = window.start_s + window.estimate_s
    before_s = window.start_s - interval_s if window.last_up_s is None else window.last_up_s
    return Span(before_s, window.start_s, math.inf if window.censored else end_s, blind=False)


class GuestView(Struct, frozen=True):
    """What one guest shows of the router: whether it answers, where the guest sends to, whether new flows get out.

    ``moves`` are those of its neighbour entry, ``answers`` when its gateway answered again after silence.
    """

    node: str
    gateway: Track
    fresh: Track
    control: Track
    history: History
    moves: tuple[Move, ...]
    answers: tuple[float, ...]

    def moved_s(self, t_s: float) -> float:
        """Return when its entry last moved, up to a moment; minus infinity when it had not."""
        i = bisect_right(self.moves, t_s, key=lambda move: move.at_s)
        return self.moves[i - 1].at_s if i else -math.inf

    def next_move(self, t_s: float) -> Move | None:
        i = bisect_right(self.moves, t_s, key=lambda move: move.at_s)
        return self.moves[i] if i < len(self.moves) else None

    def appeared_s(self, t_s: float) -> float:
        """Return when a router last came into its view, up to a moment: it moved, or answered after silence."""
        i = bisect_right(self.answers, t_s)
        return max(self.moved_s(t_s), self.answers[i - 1] if i else -math.inf)


class Scene(Struct, frozen=True):
    """A trial's evidence. ``ends`` are the SYN tracks by public end, ``public`` what the harness's own neighbour table
    says of public addresses, ``behind`` the guest behind each public end where that is known."""

    guests: Mapping[str, GuestView]
    ends: Mapping[str, Track]
    public: Mapping[str, History]
    harness: Track
    behind: Mapping[str, str]
    refusals: Mapping[tuple[str, str], Refusals]
    probes: Mapping[tuple[ProbeKind, str], Probes]  # by kind, and by guest or public end
    appearances: tuple[float, ...] = ()
    cuts: tuple[float, ...] = ()  # every moment at which some answer changes

    def appeared_s(self, t_s: float) -> float:
        """Return when a router last came into anybody's view, up to a moment; minus infinity when none did."""
        i = bisect_right(self.appearances, t_s)
        return self.appearances[i - 1] if i else -math.inf

    def works(self, t_s: float, leaving_out: str = "") -> bool:
        """Return whether the router is seen at work at a moment, by anybody but the guest ``leaving_out``."""
        others = (g for g in self.guests.values() if g.node != leaving_out)
        return any(PathState.UP in (g.gateway.at(t_s), g.fresh.at(t_s)) for g in others) or any(
            end.at(t_s) is PathState.UP for end in self.ends.values()
        )

    def silent(self, t_s: float) -> bool:
        """Return whether guests see no answer from the gateway at a moment: all who can tell, and at least one."""
        seen = [state for g in self.guests.values() if (state := g.gateway.at(t_s)) is not PathState.UNKNOWN]
        return bool(seen) and all(state.not_up for state in seen)

    def cuts_within(self, start_s: float, end_s: float) -> Sequence[float]:
        return self.cuts[bisect_right(self.cuts, start_s) : bisect_left(self.cuts, end_s)]


class _Parts(Struct):
    """Tracks of one node while a scene is set."""

    gateway: Track = NO_TRACK
    fresh: Track = NO_TRACK
    control: Track = NO_TRACK


def set_scene(
    streams: Sequence[StreamResult], evidence: Iterable[Evidence], behind: Mapping[str, str], harness: str
) -> Scene:
    """Gather a trial's evidence; ``harness`` is the name of the harness's own node."""
    parts: dict[str, _Parts] = {}
    ends: dict[str, Track] = {}
    for result in streams:
        its = track(result)
        here = parts.setdefault(result.node, _Parts())
        if result.stream.direction is Direction.ROUTER:
            here.gateway = its
        elif result.stream.direction is Direction.CONTROL:
            here.control = its
        elif result.stream.kind is ICMP_FRESH:
            here.fresh = its
        elif result.stream.kind is SSH_SYN:
            ends[result.stream.target] = its
    logs = list(evidence)
    probes = {(r.stream.kind, place_of(r)): _probes(r, logs) for r in streams}
    own = parts.pop(harness, _Parts()).control
    public = {address: h for log in logs if log.node == harness for address, h in log.neighbours.items()}
    gateways = {log.node: _gateway(log) for log in logs if log.node != harness}
    asked = {node: gateways.get(node, History()) for node in parts}
    guests = {n: _view(n, p, asked[n], probes.get((GATEWAY, n), NO_PROBES)) for n, p in parts.items()}
    refusals = {(log.node, name): r for log in logs for name, r in log.refusals.items()}
    seen = ((*(m.at_s for m in guest.moves), *guest.answers) for guest in guests.values())
    appearances = tuple(sorted(at for times in seen for at in times))
    cuts = tuple(sorted(set(_cuts([*guests.values()], [*ends.values(), own], public.values()))))
    return Scene(guests, ends, public, own, behind, refusals, probes, appearances, cuts)


def place_of(result: StreamResult) -> str:
    """Return the public end that is probed, or the guest that probes."""
    return result.stream.target if result.stream.direction is Direction.INGRESS else result.node


def _probes(result: StreamResult, logs: Sequence[Evidence]) -> Probes:
    name, ingress = result.stream.name, result.stream.direction is Direction.INGRESS
    of_node = [log for log in logs if log.node == result.node]
    # A guest asks for its gateway; this machine for the public addresses, where they are next to it.
    target = result.stream.target.rpartition(":")[0]
    entries = (log.neighbours.get(target) if ingress else _gateway(log) for log in of_node if log.neighbours)
    asked = next(filter(None, entries), History())
    answers = next((log.answered[name] for log in of_node if name in log.answered), None)
    return NO_PROBES if answers is None else probes_of(result.samples, answers, tuple(asked.askings()))


def _gateway(log: Evidence) -> History:
    """Return the entry of a guest's gateway, which is the only one that its prober watches."""
    return next(iter(log.neighbours.values()), History())


def _view(node: str, parts: _Parts, history: History, asked: Probes) -> GuestView:
    moves = history.moves()
    gateway = _announced(parts.gateway, [move.at_s for move in moves])
    # An answer after a loss or two shows no router that was not there before.
    answers = tuple(
        s.end_s for s in gateway.spans if not s.blind and math.isfinite(s.end_s) and silent(asked, s.start_s, s.end_s)
    )
    return GuestView(node, gateway, parts.fresh, parts.control, history, moves, answers)


def _announced(gateway: Track, moves: Sequence[float]) -> Track:
    """Take the gateway for up from its announcement on where answers follow at once: that is the finer time."""

    def end_s(span: Span) -> float:
        since = moves[bisect_left(moves, span.last_up_s) : bisect_left(moves, span.end_s)]
        return since[-1] if since and span.end_s - since[-1] <= ANNOUNCED_INTERVALS * gateway.interval_s else span.end_s

    clipped = tuple(Span(s.last_up_s, min(s.start_s, end_s(s)), end_s(s), s.blind) for s in gateway.spans)
    return Track(clipped, gateway.interval_s, gateway.seen_up)


def _cuts(guests: Iterable[GuestView], tracks: Iterable[Track], histories: Iterable[History]) -> Iterator[float]:
    listed = list(guests)
    for each in (*tracks, *(t for g in listed for t in (g.gateway, g.fresh, g.control))):
        for span in each.spans:
            yield from (span.last_up_s, span.start_s, span.end_s)
    for history in (*histories, *(g.history for g in listed)):
        yield from history.changes()
