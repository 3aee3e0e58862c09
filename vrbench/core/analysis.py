"""Raw logs and facts of one trial to its figures: the one way from samples to numbers, live or years later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vrbench.core.facts import NodeClock, TrialFacts
from vrbench.core.method import Method
from vrbench.core.model import Outcome
from vrbench.core.rawlog import decode_header
from vrbench.core.results import StreamResult, TrialResult
from vrbench.core.samples import NodeLog, StreamSamples, punctual_share, read_log
from vrbench.core.stats import percentile
from vrbench.core.verdict import judge
from vrbench.core.windows import Downtime, find_windows, unavailable_s

HARNESS = "harness"


def analyze_trial(facts: TrialFacts, logs: Sequence[bytes], method: Method) -> TrialResult:
    """Compute a trial from its raw logs. Raises RawLogError when a log's header can't be read."""
    nodes = [_read(log, facts, method.threshold_s) for log in logs]
    streams = tuple(_stream_result(node.node, s, method) for node in nodes for s in node.streams)
    verdict, caveats = judge(facts, nodes, streams, method)
    return TrialResult(
        facts,
        streams,
        verdict,
        caveats,
        punctual_harness=_punctual((n for n in nodes if n.node == HARNESS), 0.002),
        punctual_guests=_punctual((n for n in nodes if n.node != HARNESS), 0.005),
    )


def _read(log: bytes, facts: TrialFacts, threshold_s: float) -> NodeLog:
    """Judge a log with its node's own zero: the request, moved onto the node's clock."""
    header, _ = decode_header(log)
    offset = facts.clocks.get(header.node, NodeClock(0, 0)).offset_ns
    return read_log(log, facts.requested_ns + offset, threshold_s)


def _punctual(nodes: Iterable[NodeLog], within_s: float) -> float:
    return punctual_share((s for n in nodes for s in n.streams), within_s)


def _stream_result(node: str, stream: StreamSamples, method: Method) -> StreamResult:
    baseline_rtts = [s.rtt_s for s in stream.samples if s.rtt_s is not None and s.due_s < 0]
    rtt_s = percentile(baseline_rtts, 0.99)
    windows = find_windows(stream.samples, method.merge, rtt_s)
    # A window that was open when the operation was requested belongs to the trial: it can't be told from its start.
    after = tuple(w for w in windows if w.censored or w.start_s + w.estimate_s > 0)
    during = [s for s in stream.samples if s.due_s >= 0]
    return StreamResult(
        node=node,
        stream=stream.stream,
        samples=stream.samples,
        windows=after,
        baseline_windows=tuple(w for w in windows if w not in after),
        downtime=Downtime.total(after),
        unavailable_s=unavailable_s(during, stream.stream.interval_s),
        rtt_s=rtt_s,
        seen_up=any(s.outcome is Outcome.REPLIED for s in stream.samples if s.due_s < 0),
    )
