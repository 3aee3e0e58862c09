"""What lies beside the operation: what the baseline found, and the paths that don't cross the router."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import StreamResult
from vrbench.core.log.samples import NodeLog
from vrbench.core.model import HARNESS, Direction, OutageWindow
from vrbench.core.text import few


def of_baseline(facts: TrialFacts, streams: Sequence[StreamResult], nodes: Sequence[NodeLog]) -> Iterator[Caveat]:
    """Return the caveats of streams that the baseline found unfit, and of probes that never left."""
    unfit = [s.stream.name for s in streams if s.stream.name in facts.unfit and s.stream.kind.headline]
    if unfit:
        yield Caveat(CaveatKind.LEFT_OUT, few(unfit))
    not_sent = [f"{name} {n} times, {_word(reason)}" for node in nodes for name, reason, n in node.not_sent]
    if not_sent:
        yield Caveat(CaveatKind.NOT_SENT, few(not_sent))


def lost_before(facts: TrialFacts, result: StreamResult) -> str:
    """Name a stream, with the share of its probes that it lost before the request where its baseline was judged."""
    name = result.stream.name
    if name not in facts.tolerated:
        return name
    down = sum(w.lost + w.refused for w in result.baseline_windows)
    before = sum(1 for _ in takewhile(lambda sample: sample.due_s < 0, result.samples))
    return f"{name} {100 * down / max(1, before):.1f} %"


def _word(reason: int) -> str:
    return errno.errorcode.get(reason, f"errno {reason}")


def of_controls(
    facts: TrialFacts, streams: Sequence[StreamResult], measured: Sequence[StreamResult]
) -> Iterator[Caveat]:
    """Return what controls say; one that the baseline found unfit says nothing."""
    controls = [s for s in streams if s.stream.direction is Direction.CONTROL]
    fit = [s for s in controls if s.stream.name not in facts.unfit]
    if all(s.node != HARNESS for s in fit if len(s.samples)):
        silent = [f"{s.stream.target} did not answer before the operation" for s in controls if s.node == HARNESS]
        yield Caveat(CaveatKind.NO_CONTROL, few(silent) if len(fit) < len(controls) else "")
    outages = [w for s in measured for w in s.outages]
    down = [
        s.stream.name
        for s in fit
        if any(_overlap(c, outages) for c in s.outages if not facts.like_before(s.stream.name, c))
    ]
    if down:
        yield Caveat(CaveatKind.CONTROL_DOWN, few(down))
    lossy = [s.stream.name for s in controls if s.stream.name not in down and _lost_any(s)]
    if lossy:
        yield Caveat(CaveatKind.CONTROL_LOSSY, few(lossy))


def _lost_any(stream: StreamResult) -> bool:
    return any(not w.blind for w in (*stream.windows, *stream.baseline_windows))


def _overlap(control: OutageWindow, outages: Iterable[OutageWindow]) -> bool:
    """Return whether a control window was open while a measured one was."""
    end = control.start_s + control.estimate_s
    return any(w.start_s <= end and control.start_s <= w.start_s + w.estimate_s for w in outages)
