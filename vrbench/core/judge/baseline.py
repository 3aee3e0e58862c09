"""What the baseline can tell before anything is restarted: which streams can't tell an outage, and what that means.

A stream that lost more than HEAVY of its probes is *unfit*: it is down anyway. At a loss of a tenth, a hundred probes
in a row are answered once in 38,000: a validation of 10 s at 0.1 s would be waited for over an hour. In that time alone
it would show more than a second of outage that is none, as much as a good router takes to be replaced.

Where more than a tenth of a kind's streams are unfit, its figure would not be that of the network, and nobody is to
restart a router for it. Up to a tenth are left out, and the rest is measured: as many may sleep through an outage.
What is lost by streams that are fit is like the baseline, and no outage (``tolerated``). How many are lost in a row
is known from all streams of a kind together: of hundred streams that lose one probe of a thousand, most lose none in a
baseline, and some lose one in any ten seconds. A trial that waited for all to lose none would never end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from vrbench.core.findings import Finding, FindingState
from vrbench.core.judge.baseline_words import (
    lossy,
    no_control,
    nothing_answers,
    proxied,
    still_fit,
    unmeasured,
)
from vrbench.core.judge.coverage import TOLERATED
from vrbench.core.judge.loss import loss_of
from vrbench.core.kinds import HEADLINE, SSH_SYN, Aim
from vrbench.core.log.history import Fate, Marked, ProbeHistory
from vrbench.core.model import HARNESS, Direction

HEAVY = 0.10  # share of a stream's probes that may be lost
FEW = 3  # so many lost probes are a share; fewer may be anything
ENOUGH = 10  # probes that show what losses are usual
USUAL = 5  # so many in a row are lost by chance, at a loss of a tenth, in hundred streams; more are an outage


class Baseline(Struct, frozen=True):
    """What a baseline comes to. ``conclusive``: what is bad about it won't pass by itself within a minute.

    ``here``: it is this machine that can't send.
    """

    findings: tuple[Finding, ...] = ()
    marked: Marked = Marked()
    conclusive: bool = False
    here: bool = False

    @property
    def bad(self) -> tuple[Finding, ...]:
        """What makes a restart useless."""
        return tuple(f for f in self.findings if f.state is FindingState.BAD)


def judge_baseline(histories: Sequence[ProbeHistory], seconds: float, always_up: frozenset[str]) -> Baseline:
    """Judge the last ``seconds`` of every stream; ``always_up``: public ends where connections tell nothing."""
    seen = [h.latest(seconds) for h in histories]
    unfit = {h.stream.name for h in seen if not _fit(h) or _is_faked(h, always_up)}
    counted = [h for h in seen if h.stream.kind.headline]
    findings: list[Finding] = []
    conclusive = here = False
    for group in _groups(counted):
        bad = [h for h in group if h.stream.name in unfit]
        if bad and _too_many(group, unfit):
            findings.append(_stopping(group, bad, seen, always_up))
            conclusive |= _is_conclusive(group, bad, always_up)
            here |= all(h.node == HARNESS and _unsent(h) for h in bad)
        elif bad:
            findings.append(still_fit(bad, group))
    findings += [*no_control([h for h in seen if _controls(h) and h.stream.name in unfit])]
    findings += [*unmeasured([h for h in seen if _is_beside(h) and h.stream.name in unfit])]
    telling = [h for h in seen if h.stream.name not in unfit and len(h.probes) >= ENOUGH]
    return Baseline(tuple(dict.fromkeys(findings)), Marked(_tolerated(telling), frozenset(unfit)), conclusive, here)


def _tolerated(telling: Sequence[ProbeHistory]) -> dict[str, int]:
    """Return how many probes in a row are lost by streams of each one's kind, from the same side, at most."""
    usual: dict[tuple[str, bool], int] = {}
    for history in telling:
        alike = history.stream.kind.key, history.node == HARNESS
        usual[alike] = max(usual.get(alike, 0), min(history.longest_loss, USUAL))
    by_name = {h.stream.name: usual[h.stream.kind.key, h.node == HARNESS] for h in telling}
    return {name: lost for name, lost in by_name.items() if lost}


def _controls(history: ProbeHistory) -> bool:
    return history.stream.direction is Direction.CONTROL


def _is_beside(history: ProbeHistory) -> bool:
    return history.stream.kind.crosses and not history.stream.kind.headline


def _fit(history: ProbeHistory) -> bool:
    """Return whether a stream can tell an outage.

    What is reported beside the figures may probe so rarely that a baseline tells nothing of it, as logins do. A session
    that answers is one, however often.
    """
    heavy = is_heavy(len(history.probes) - history.answered, len(history.probes))
    if _is_beside(history):
        return not heavy or (bool(history.answered) and not history.stream.kind.awaited)
    return bool(history.answered) and not heavy


def is_heavy(lost: int, sent: int) -> bool:
    """Return whether so many probes are lost that no outage can be told from it."""
    return lost >= FEW and lost > HEAVY * sent


def _is_faked(history: ProbeHistory, always_up: frozenset[str]) -> bool:
    return history.stream.kind is SSH_SYN and history.stream.target in always_up


def _unsent(history: ProbeHistory) -> bool:
    """Return whether most of what it lost was never sent."""
    return history.count(Fate.NOT_SENT) * 2 > len(history.probes) - history.answered


def _groups(counted: Sequence[ProbeHistory]) -> Iterator[list[ProbeHistory]]:
    """Yield the streams that share a target, or a kind where each has its own."""
    groups: dict[object, list[ProbeHistory]] = {}
    for history in counted:
        kind = history.stream.kind
        groups.setdefault(history.stream.target if kind.aim is Aim.OUTSIDE else kind.key, []).append(history)
    yield from groups.values()


def _too_many(group: Sequence[ProbeHistory], unfit: set[str]) -> bool:
    """Return whether so many streams of a kind are unfit that its figure would not be that of the network."""
    by_kind = ([h for h in group if h.stream.kind is kind] for kind in HEADLINE)
    return any(sum(h.stream.name in unfit for h in mine) > TOLERATED * len(mine) for mine in by_kind)


def _stopping(
    group: Sequence[ProbeHistory], bad: Sequence[ProbeHistory], seen: Sequence[ProbeHistory], always_up: frozenset[str]
) -> Finding:
    """Say why no figure can come of a group of streams."""
    faked = [h for h in bad if _is_faked(h, always_up)]
    if faked:
        return proxied(faked)
    direction = group[0].stream.direction
    mine = [h for h in seen if h.stream.kind.headline and h.stream.direction is direction]
    if not any(h.answered for h in mine):
        return nothing_answers(mine, loss_of(mine), seen)
    return lossy(group, bad, loss_of(group), loss_of(bad))


def _is_conclusive(group: Sequence[ProbeHistory], bad: Sequence[ProbeHistory], always_up: frozenset[str]) -> bool:
    """Return whether waiting for longer is no use: the loss goes on all the time, in each third of it.

    One that never answered may only be late, unless its path is up already, or nothing was ever sent.
    """
    up = {h.stream.path(h.node) for h in group if h.answered}
    begun = [h for h in bad if h.stream.path(h.node) in up or _unsent(h)]
    lasting = {h.stream.name for h in begun if all(not _fit(part) for part in h.thirds())}
    return _too_many(group, lasting) or any(_is_faked(h, always_up) for h in bad)
