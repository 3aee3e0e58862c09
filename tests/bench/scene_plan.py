"""Which scenes are played: outages by gates, and faults of quality, drawn from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vrbench.core.model import Cause

GATES = (
    "router",
    "guest side",
    "public side",
    "egress, way out",
    "egress, way back",
    "ingress, way in",
    "ingress, way back",
    "one guest",
)
SHORTEST_S = 0.005
# What may be said of each kind of scene: only what is there. Of a router whose every interface is shut nobody can tell
# that it is not gone.
NOTHING: frozenset[str] = frozenset()
ALLOWED: dict[str, frozenset[str]] = {
    "router": frozenset({Cause.ROUTER_GONE}),
    "guest side": frozenset({Cause.ROUTER_GONE}),
    "outage, then slow": frozenset({Cause.ROUTER_GONE}),
    "reset by guest": frozenset({Cause.SERVICE_REFUSES}),
    "reset by router": frozenset({"router refuses", Cause.FIREWALL_MISSING}),
    "prohibited": frozenset({Cause.FIREWALL_MISSING}),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What the delay line does while a scene lasts; ``values`` are those of its fault."""

    side: str
    way: str
    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene, ``quiet_s`` after the end of the one before.

    ``beats``: how long its gate is shut, open, shut, … The delay line's effects last from ``delayed_s`` after its
    beginning until its end. ``guest``: the number of the one guest that it is about, or none.
    """

    kind: str
    seconds: float
    quiet_s: float
    beats: tuple[float, ...] = ()
    gate: str = ""
    effects: tuple[Effect, ...] = ()
    delayed_s: float = 0.0
    guest: int | None = None

    @property
    def is_outage(self) -> bool:
        """Whether a gate was shut once, and nothing else was wrong."""
        return self.kind in GATES


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much is to be played at which interval."""

    outages: int
    faults: int
    interval_s: float
    longest_s: float
    guests: int


def draw_scenes(wanted: Wanted, seed: int) -> list[Scene]:
    """Draw the scenes that a seed stands for: every kind in turn, in an order that is drawn."""
    draw = random.Random(seed)
    kinds = [*FAULTS]
    offset = draw.randrange(len(kinds)), draw.randrange(len(GATES))
    scenes = [outage(GATES[(offset[1] + i) % len(GATES)], wanted, draw) for i in range(wanted.outages)]
    scenes += [FAULTS[kinds[(offset[0] + i) % len(kinds)]](wanted, draw) for i in range(wanted.faults)]
    draw.shuffle(scenes)
    return scenes


def outage(gate: str, wanted: Wanted, draw: random.Random) -> Scene:
    """Draw one outage; short ones are the most common."""
    seconds = math.exp(draw.uniform(math.log(SHORTEST_S), math.log(wanted.longest_s)))
    guest = draw.randrange(wanted.guests) if gate == "one guest" else None
    return Scene(gate, seconds, quiet_s(wanted, draw), (seconds,), gate, guest=guest)


def quiet_s(wanted: Wanted, draw: random.Random) -> float:
    """Return a time in which every stream sees the network up, whatever its phase."""
    return draw.uniform(0.5, 0.7) + 3 * wanted.interval_s


def _line(kind: str, seconds: float, *effects: Effect) -> Callable[[Wanted, random.Random], Scene]:
    def scene(wanted: Wanted, draw: random.Random) -> Scene:
        slower = 1.5 if wanted.interval_s > 0.05 and seconds < 5 else 1.0
        longer = seconds * slower * draw.uniform(0.9, 1.3)
        return Scene(kind, longer, 1.2, effects=effects)

    return scene


def _loss(*places: tuple[str, str]) -> Callable[[Wanted, random.Random], Scene]:
    """Return a constant loss from 5 to 50 % at these places."""

    def scene(wanted: Wanted, draw: random.Random) -> Scene:
        share = draw.uniform(0.05, 0.5)
        name = "loss, both ways" if len(places) > 1 else f"loss, {' '.join(places[0])}"
        effects = [Effect(*place, {"loss": (share,)}) for place in places]
        return _line(name, 2.5, *effects)(wanted, draw)

    return scene


def _gate(gate: str) -> Callable[[Wanted, random.Random], Scene]:
    def scene(wanted: Wanted, draw: random.Random) -> Scene:
        seconds = draw.uniform(0.3, 1.5)
        guest = draw.randrange(wanted.guests) if gate == "reset by guest" else None
        return Scene(gate, seconds, 1.0, (seconds,), gate, guest=guest)

    return scene


def _flapping(wanted: Wanted, draw: random.Random) -> Scene:
    """Draw beats of 0.6 of an interval: each is over before the next probe may notice."""
    beats = (0.6 * wanted.interval_s,) * (2 * round(draw.uniform(8, 20)) - 1)
    gate = draw.choice(["public side", "egress, way out", "ingress, way in", "router"])
    return Scene("flapping", sum(beats), 1.0, beats, gate)


def _then_slow(_wanted: Wanted, draw: random.Random) -> Scene:
    """Draw an outage after which the path is slow for longer than the outage was."""
    down = draw.uniform(0.7, 1.3)
    slow = Effect("guest", "in", {"delay_s": (0.3,), "ordered": True})
    return Scene("outage, then slow", down + 1.5, 1.2, (down,), "router", (slow,), delayed_s=down)


def _places() -> Iterable[tuple[str, str]]:
    return [("guest", "in"), ("guest", "out"), ("public", "in"), ("public", "out")]


FAULTS: dict[str, Callable[[Wanted, random.Random], Scene]] = {
    **{f"loss {' '.join(place)}": _loss(place) for place in _places()},
    "loss both": _loss(("guest", "in"), ("guest", "out")),
    "loss ramp in": _line("loss ramp", 3.0, Effect("guest", "in", {"loss": (0.0, 0.5, 0.0)})),
    "loss ramp out": _line("loss ramp", 3.0, Effect("public", "out", {"loss": (0.0, 0.5, 0.0)})),
    "delay ramp in": _line("delay ramp", 6.0, Effect("guest", "in", {"delay_s": (0.0, 1.5, 0.0), "ordered": True})),
    "delay ramp out": _line("delay ramp", 6.0, Effect("public", "out", {"delay_s": (0.0, 1.5, 0.0), "ordered": True})),
    "delay ramp back": _line("delay ramp", 6.0, Effect("guest", "out", {"delay_s": (0.0, 1.5, 0.0), "ordered": True})),
    "jitter": _line("jitter", 2.5, Effect("guest", "in", {"jitter_s": 0.3})),
    "jitter past the threshold": _line("jitter past the threshold", 2.5, Effect("public", "in", {"jitter_s": 1.2})),
    "reordering": _line("reordering", 2.0, Effect("guest", "out", {"odd_share": 0.3, "odd_s": 0.035})),
    "duplicates": _line(
        "duplicates", 2.0, Effect("guest", "in", {"twice": 0.3}), Effect("public", "in", {"twice": 0.3})
    ),
    "flapping": _flapping,
    "reset by router": _gate("reset by router"),
    "reset by guest": _gate("reset by guest"),
    "prohibited": _gate("prohibited"),
    "late or lost": _line("late or lost", 1.2, Effect("guest", "in", {"loss": (0.5,), "delay_s": (0.75,)})),
    "slow and lossy": _line(
        "slow and lossy", 4.0, Effect("guest", "out", {"loss": (0.05,), "delay_s": (0.4,), "ordered": True})
    ),
    "outage, then slow": _then_slow,
    "held, then a burst": _line("held, then a burst", 1.5, Effect("guest", "in", {"hold": True})),
    "everything at once": _line(
        "everything at once",
        3.0,
        Effect("guest", "in", {"loss": (0.2,), "jitter_s": 0.6, "twice": 0.2}),
        Effect("public", "in", {"loss": (0.1,), "jitter_s": 0.3}),
    ),
}


def total_s(scenes: Sequence[Scene]) -> float:
    """Return how long they take together."""
    return sum(s.seconds + s.quiet_s for s in scenes)
