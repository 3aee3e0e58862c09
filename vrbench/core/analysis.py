"""Raw logs and facts of one trial to its figures: the one way from samples to numbers, live or years later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from vrbench.core.causes.attribution import with_causes
from vrbench.core.facts import NodeClock, TrialFacts
from vrbench.core.figures.lagging import with_stuck
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.figures.unavailable import unavailable_s
from vrbench.core.figures.windows import Allowance, Downtime, find_windows
from vrbench.core.judge.verdict import judge
from vrbench.core.kinds import Aim
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.samples import NodeLog, StreamSamples, punctual_share, read_samples
from vrbench.core.model import HARNESS, Outcome, Stream
from vrbench.core.plan.method import Method

CUT_SHORT_S = 1.0  # a stream whose last probe is this much (and three intervals) before the end was cut short


def analyze_trial(facts: TrialFacts, logs: Sequence[bytes], method: Method) -> TrialResult:
    """Compute a trial from its raw logs. Raises RawLogError when a log's header can't be read.

    A stream that was expected and is in no log has a result without samples: not measured is never zero.
    """
    files = read_logs(facts, logs)
    nodes = [read_samples(file, method.threshold_s) for file in files]
    measured = {(n.node, s.stream.name): _stream_result(n, s, facts, method) for n in nodes for s in n.streams}
    placed = with_stuck(facts, (*(s for s in measured.values() if s.aligned), *_unseen(facts, measured.keys())), method)
    explained = with_causes(facts, [f for f in files if facts.places(f.header.node)], placed)
    verdict, caveats = judge(facts, nodes, explained, method)
    return TrialResult(
        facts,
        (*explained, *(s for s in measured.values() if not s.aligned)),
        verdict,
        caveats,
        punctual_harness=_punctual((n for n in nodes if n.node == HARNESS), 0.002),
        # Ping keeps no schedule of ours that it could be held to.
        punctual_guests=_punctual((n for n in nodes if n.node != HARNESS and not n.grain_s), 0.005),
        without_python=tuple(sorted({n.method for n in nodes if n.grain_s})),
    )


def read_logs(facts: TrialFacts, logs: Iterable[bytes]) -> tuple[LogFile, ...]:
    """Read a trial's raw logs, each with its own zero: the request, moved onto the clock of the log's node.

    Where that clock is not known, zero is the log's begin. Raises RawLogError when a header can't be read.
    """
    return tuple(_counted_from_request(facts, LogFile.read(log)) for log in logs)


def _counted_from_request(facts: TrialFacts, log: LogFile) -> LogFile:
    if not facts.places(log.header.node):
        return log.counted_from(log.header.started_ns)
    clock = facts.clocks.get(log.header.node, NodeClock(0, 0))
    return log.counted_from(facts.requested_ns + clock.offset_ns)


def _punctual(nodes: Iterable[NodeLog], within_s: float) -> float:
    """Return the share of slots that were sent on time.

    Streams beside the figures are left out: an attempt to log in sends when its thread comes to it.
    """
    kept = (s for n in nodes for s in n.streams if s.stream.kind.headline or not s.stream.kind.crosses)
    return punctual_share(kept, within_s)


def _stream_result(node: NodeLog, judged: StreamSamples, facts: TrialFacts, method: Method) -> StreamResult:
    samples = judged.samples
    before, since = samples[: samples.baseline], samples[samples.baseline :]
    rtt_s = before.answer_s(0.99)
    # One that was silenced is whole: it was probed until then, and what came after is no part of its figures.
    unfit = judged.stream.name in facts.unfit
    whole = judged.afterwards is not None or (node.ended and _reaches_the_end(judged, facts))
    kind = judged.stream.kind
    # The router is next to the guests: what they ping is beyond it, and where the harness asks, only the time that a
    # service takes is.
    beyond_s = before.answer_s(0.5) if kind.aim is Aim.OUTSIDE or kind.is_service else 0.0
    allowance = Allowance(rtt_s, beyond_s, judged.grain_s, kind.patience_s, kind.is_service, method.threshold_s)
    windows = find_windows(samples, allowance, method.merge, whole)
    if not facts.places(node.node):
        up = samples.tally(Outcome.REPLIED) > 0
        return replace(
            _nothing(node.node, judged.stream), samples=samples, baseline_windows=windows, seen_up=up, aligned=False
        )
    # A window that was open when the operation was requested belongs to the trial: nobody can divide it.
    after = tuple(w for w in windows if w.censored or w.start_s + max(w.estimate_s, _finite(w.at_most_s)) > 0)
    return StreamResult(
        node=node.node,
        stream=judged.stream,
        samples=samples,
        windows=after,
        baseline_windows=tuple(w for w in windows if w not in after),
        downtime=Downtime.of(after, samples.unseen_s + 2 * judged.grain_s),
        unavailable_s=unavailable_s(since, judged.stream.interval_s),
        rtt_s=rtt_s,
        seen_up=before.tally(Outcome.REPLIED) > 0 and not unfit,
        gap_share=since.gap_share,
        pinned=judged.afterwards is not None and judged.afterwards.tally(Outcome.REPLIED) > 0,
        unfit=unfit,
    )


def _reaches_the_end(judged: StreamSamples, facts: TrialFacts) -> bool:
    """Return whether the stream was probed until observation was stopped, as far as that is known."""
    if not facts.observed_ns:
        return True
    end_s = (facts.observed_ns - facts.requested_ns) / 1e9
    last_s = judged.samples[-1].due_s if judged.samples else float("-inf")
    return last_s >= end_s - max(CUT_SHORT_S, 3 * judged.stream.interval_s)


def _finite(at_most_s: float) -> float:
    """Return how long a blind stretch was; a window that was never up before is judged by its estimate."""
    return 0.0 if at_most_s == float("inf") else at_most_s


def _unseen(facts: TrialFacts, seen: Iterable[tuple[str, str]]) -> Iterator[StreamResult]:
    """Return results without samples for the streams that should have been there."""
    known = set(seen)
    for node, stream in facts.expected_streams:
        if (node, stream.name) not in known:
            yield _nothing(node, stream)


def _nothing(node: str, stream: Stream) -> StreamResult:
    return StreamResult(node, stream, (), (), (), Downtime.mean([]), 0.0, 0.0, seen_up=False)
