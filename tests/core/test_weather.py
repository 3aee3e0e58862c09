"""Causes under loss and delay alone: whatever the weather, none is claimed that was not there; true ones are found.

A session that waits before it repeats what the weather took is backing off: that is so, and nobody's fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from tests.core.weather import GUEST_TTL, ROUTER_TTL, Deed, Trial, Weather
from vrbench.core.figures.results import TrialResult
from vrbench.core.kinds import (
    DNS,
    GATEWAY,
    ICMP_FRESH,
    ICMP_PERSISTENT,
    SSH_BANNER,
    SSH_SYN,
    TCP_SESSION,
    ProbeKind,
)
from vrbench.core.model import Cause

BEGIN_S, END_S = 1.0, 7.0
FINE_S, USUAL_S = 0.01, 0.1
Level = Callable[[float], float]


def between(level: float, start_s: float = BEGIN_S, end_s: float = END_S) -> Level:
    """Return a level that lasts for a while."""
    return lambda t_s: level if start_s <= t_s < end_s else 0.0


def ramp(level: float) -> Level:
    """Return what goes up to a level and down again."""
    half_s = (END_S - BEGIN_S) / 2
    return lambda t_s: max(0.0, level * (1 - abs(t_s - BEGIN_S - half_s) / half_s))


def blinks(length_s: float, every_s: float) -> Level:
    """Return short outages, again and again."""
    return lambda t_s: float(BEGIN_S <= t_s < END_S and t_s % every_s < length_s)


NONE = between(0.0)


def alike(level: Level, delay: Level = NONE, jitter: Level = NONE) -> Weather:
    """Return weather that is the same both ways."""
    return Weather(level, level, delay, jitter)


WEATHERS: Mapping[str, Callable[[float], Weather]] = {
    "loss of 5 %": lambda _: alike(between(0.05)),
    "loss of 10 %": lambda _: alike(between(0.1)),
    "loss of 20 %": lambda _: alike(between(0.2)),
    "loss of 30 %": lambda _: alike(between(0.3)),
    "loss of 50 %": lambda _: alike(between(0.5)),
    "loss of 50 % out": lambda _: Weather(between(0.5), NONE),
    "loss of 50 % back": lambda _: Weather(NONE, between(0.5)),
    "loss up to 50 %": lambda _: alike(ramp(0.5)),
    "loss up to 100 %": lambda _: alike(ramp(1.0)),
    "delay up to 1.5 s": lambda _: alike(NONE, ramp(0.75)),
    "delay of 0.45 s": lambda _: alike(NONE, between(0.225)),
    "delay of 0.7 s": lambda _: alike(NONE, between(0.35)),
    "delay of 1.2 s": lambda _: alike(NONE, between(0.6)),
    "jitter up to 1 s": lambda _: alike(NONE, NONE, between(0.5)),
    "jitter up to 3 s": lambda _: alike(NONE, NONE, between(1.5)),
    "jitter and loss": lambda _: alike(between(0.1), NONE, between(0.4)),
    "delay and loss": lambda _: alike(between(0.05), ramp(0.5)),
    "flapping": lambda interval_s: alike(blinks(0.6 * interval_s, 1.2 * interval_s)),
    "outages of 25 ms": lambda _: alike(blinks(0.025, 1.7)),
    "outages of 35 ms": lambda _: alike(blinks(0.035, 0.45)),
}
FORGED_FINE = ("loss of 10 %", "loss of 50 %", "loss up to 100 %", "delay of 1.2 s", "jitter and loss", "flapping")


def claimed(trial: TrialResult) -> dict[Cause, float]:
    """Return the seconds of every cause that says more than that something was lost."""
    found: Counter[Cause] = Counter()
    for phase in (p for s in trial.streams for w in s.windows for p in w.phases):
        found[phase.cause] += phase.seconds  # type: ignore[assignment]
    return {cause: s for cause, s in found.items() if cause not in (Cause.UNATTRIBUTED, Cause.TCP_BACKOFF)}


@pytest.mark.parametrize(
    ("name", "interval_s"), [*((name, USUAL_S) for name in WEATHERS), *((name, FINE_S) for name in FORGED_FINE)]
)
def test_weather_forges_no_cause(name: str, interval_s: float) -> None:
    """On either side of the router, with each packet's fate its own."""
    weather = WEATHERS[name](interval_s)
    vms = 1 if interval_s == FINE_S else 2
    for inner, public in ((weather, Weather()), (Weather(), weather)):
        trial = Trial(public, inner, interval_s=interval_s, after_s=9.0, vms=vms).analysed()
        assert any(w.phases for s in trial.streams for w in s.windows), "the weather was seen"
        assert claimed(trial) == {}, "inner" if weather is inner else "public"


OUT = frozenset((ICMP_FRESH, ICMP_PERSISTENT))
INTO = frozenset((SSH_SYN, SSH_BANNER, TCP_SESSION))
ALL = frozenset((*OUT, *INTO, GATEWAY, DNS))
GONE = Deed(2.0, 3.0, ALL)
TRUE: Mapping[Cause, tuple[ProbeKind, Callable[[float], tuple[Deed, ...]]]] = {
    Cause.ROUTER_GONE: (ICMP_FRESH, lambda s: (Deed(3.0 - s, 3.0, ALL),)),
    Cause.NAT_MISSING: (ICMP_FRESH, lambda s: (GONE, Deed(3.0, 3.0 + s, OUT))),
    Cause.FIREWALL_MISSING: (SSH_SYN, lambda s: (GONE, Deed(3.0, 3.0 + s, INTO))),
    Cause.OLD_FLOW_CUT: (ICMP_PERSISTENT, lambda s: (GONE, Deed(3.0, 3.0 + s, frozenset((ICMP_PERSISTENT,))))),
    Cause.SERVICE_SLOW: (SSH_BANNER, lambda s: (Deed(4.0, 4.0 + s, slow_s=3.0),)),
    Cause.SERVICE_REFUSES: (SSH_SYN, lambda s: (Deed(4.0, 4.0 + s, refuses=GUEST_TTL),)),
    Cause.ROUTER_REFUSES: (SSH_SYN, lambda s: (Deed(4.0, 4.0 + s, refuses=ROUTER_TTL),)),
}


@pytest.mark.parametrize(("interval_s", "length_s"), [(FINE_S, 0.25), (USUAL_S, 0.7)])
@pytest.mark.parametrize("cause", TRUE)
def test_a_true_cause_is_named_from_this_length_on(cause: Cause, interval_s: float, length_s: float) -> None:
    """The resolution that the rules state: a quarter of a second at 10 ms, 0.7 s at 100 ms."""
    kind, deeds = TRUE[cause]
    replaced = (3.0,) if deeds(1.0)[0].silent else ()
    trial = Trial(interval_s=interval_s, after_s=6.0, deeds=deeds(length_s), moves=replaced).analysed()
    for result in trial.of(kind):
        named_s = sum(p.seconds for w in result.windows for p in w.phases if p.cause is cause)
        assert named_s >= length_s - 2 * interval_s - 0.1, result.windows
    assert claimed(trial).keys() <= {cause, Cause.ROUTER_GONE}
