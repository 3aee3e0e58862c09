"""What a trial's figures are worth: caveats as values, and VALID, INVALID or UNKNOWN.

INVALID: the figures are of something else than the operation (the harness's own path failed, a guest rebooted, the
cloud did not do what was asked). UNKNOWN: the figures are of the operation but something decisive was not seen.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from vrbench.core.caveats import Caveat, CaveatKind, Effect
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import MEASURED, StreamResult
from vrbench.core.figures.windows import BLIND_GAPS
from vrbench.core.judge.beside import lost_before, of_baseline, of_controls
from vrbench.core.judge.coverage import slept_through, unseen
from vrbench.core.judge.flapping import flapping
from vrbench.core.judge.recovery import of_recovery
from vrbench.core.judge.routers import of_the_routers, rivals
from vrbench.core.kinds import BESIDE, ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN
from vrbench.core.log.failures import SSHD_LIMITS
from vrbench.core.log.outcomes import stretches
from vrbench.core.log.rawlog import Refusal
from vrbench.core.log.samples import NodeLog
from vrbench.core.model import HARNESS, Cause, Direction, Outcome, Verdict
from vrbench.core.plan.method import Method
from vrbench.core.text import few
from vrbench.core.values import show_duration

RFC6201_BASELINE_S = 15.0
CLOCK_STEP_NS = 500_000_000
CLOCK_ERROR_NS = 50_000_000
SKIPPED_TOLERATED = 0.005  # share of a stream's slots after the request; above it the caveat stands
SERVICE_TOLERATED = 0.10  # share of a stream's downtime that may be its service's
STALL_S = 1.0  # a prober that sends nothing for so long was stopped, or its machine was
LESS_OFTEN = 1.25  # a guest's own ``ping`` waits a little longer than it is told
SKIPPED_DECISIVE = 0.10  # above it nobody can say what happened


def judge(
    facts: TrialFacts, nodes: Sequence[NodeLog], streams: Sequence[StreamResult], method: Method
) -> tuple[Verdict, tuple[Caveat, ...]]:
    """Return the trial's verdict and every caveat that applies, worst first."""
    found = [*_of_the_run(facts, method), *_of_the_clocks(facts, nodes), *_of_the_streams(facts, streams, method)]
    found += [
        *of_baseline(facts, streams, nodes),
        *of_recovery(facts, streams, method),
        *facts.pre_trial_caveats,
        *_of_the_probers(nodes),
        *_of_the_pace(nodes, method),
        *_of_the_logs(facts, nodes),
        *_of_the_stalls(streams, facts),
    ]
    asleep = list(unseen(streams))
    if asleep:
        found.append(Caveat(CaveatKind.UNSEEN, few(asleep)))
    shares = {s.stream.name: s.gap_share for s in streams if s.samples and not (_beside(s) or s.unfit)}
    gappy = [f"{name} {share * 100:.2f} %" for name, share in shares.items() if share > SKIPPED_TOLERATED]
    if gappy:
        found.append(Caveat(CaveatKind.SLOTS_SKIPPED, few(gappy)))
    effects = {c.kind.effect for c in found}
    verdict = Verdict.VALID
    if Effect.UNKNOWN in effects or max(shares.values(), default=0.0) > SKIPPED_DECISIVE or _shut_out(nodes, streams):
        verdict = Verdict.UNKNOWN
    if Effect.INVALID in effects:
        verdict = Verdict.INVALID
    return verdict, tuple(sorted(found, key=lambda c: c.kind.rank))


def reasons(caveats: Sequence[Caveat]) -> tuple[Caveat, ...]:
    """Return the caveats that keep a trial from being VALID; all of them where none does by its kind alone."""
    return tuple(c for c in caveats if c.kind.effect) or tuple(caveats)


def _of_the_run(facts: TrialFacts, method: Method) -> Iterator[Caveat]:
    if facts.job_error:
        yield Caveat(CaveatKind.JOB_FAILED, facts.job_error)
    if not facts.job_finished:
        yield Caveat(CaveatKind.JOB_UNFINISHED)
    if facts.interrupted:
        yield Caveat(CaveatKind.INTERRUPTED)
    if facts.guests_rebooted:
        yield Caveat(CaveatKind.GUEST_REBOOTED, few(facts.guests_rebooted))
    if facts.agents_lost:
        yield Caveat(CaveatKind.AGENT_LOST, few(facts.agents_lost))
    if facts.probers_failed:
        yield Caveat(CaveatKind.PROBER_FAILED, few(facts.probers_failed))
    claimed = [f"{node}: {' and '.join(macs)}" for node, macs in facts.gateways.items() if len(macs) > 1]
    competing = rivals(facts)
    if claimed or competing:
        shown = [f"the cloud shows {' and '.join(competing)}"] if competing else []
        yield Caveat(CaveatKind.TWO_ROUTERS, few(shown + claimed))
    yield from of_the_routers(facts)
    if facts.lab:
        yield Caveat(CaveatKind.LAB)
    if method.baseline_s < RFC6201_BASELINE_S:
        yield Caveat(CaveatKind.BASELINE_SHORT, f"{method.baseline_s:g} s")


def _of_the_probers(nodes: Sequence[NodeLog]) -> Iterator[Caveat]:
    """Return how guests without Python were probed, each way once, with its grain; and whom sshd would not talk to."""
    ways = sorted({f"{n.method}, to {n.grain_s * 1000:.0f} ms" for n in nodes if n.grain_s})
    if ways:
        yield Caveat(CaveatKind.WITHOUT_PYTHON, "; ".join(ways))
    turned_away = [
        f"{name} {n} times, {SSHD_LIMITS[Refusal(why)]}" for node in nodes for name, why, n in node.turned_away
    ]
    if turned_away:
        yield Caveat(CaveatKind.TURNED_AWAY, few(turned_away))


def _of_the_pace(nodes: Sequence[NodeLog], method: Method) -> Iterator[Caveat]:
    """Find guests that ping less often than asked: their own prober fell back, or their ``ping`` takes no less."""
    slower: dict[tuple[str, float], list[str]] = {}
    for node in nodes:
        for stream in (s.stream for s in node.streams if node.node != HARNESS):
            if stream.kind in (ICMP_FRESH, ICMP_PERSISTENT) and stream.interval_s > LESS_OFTEN * method.interval_s:
                slower.setdefault((node.node, stream.interval_s), []).append(stream.flow)
    if slower:
        shown = (f"{node} {' and '.join(flows)} every {show_duration(s)}" for (node, s), flows in slower.items())
        yield Caveat(CaveatKind.PROBED_LESS_OFTEN, few(list(shown)))


def _of_the_logs(facts: TrialFacts, nodes: Sequence[NodeLog]) -> Iterator[Caveat]:
    """Find logs that have lost their end since: every prober that ended in order had written it."""
    cut = sorted({n.node for n in nodes if not n.ended})
    if cut and not (facts.agents_lost or facts.probers_failed or facts.guests_rebooted or facts.interrupted):
        yield Caveat(CaveatKind.LOG_CUT, few(cut))


def _of_the_stalls(streams: Sequence[StreamResult], facts: TrialFacts) -> Iterator[Caveat]:
    """Find machines that sent nothing while their own end was down: a guest its public one, the harness any."""
    ingress = [s for s in streams if s.stream.direction is Direction.INGRESS]
    stalls = [(s.node, stall) for s in streams for stall in unsent(s)]
    held = {
        node
        for node, (begin, end) in stalls
        for s in ingress
        if node in (s.node, facts.guest_of_endpoint.get(s.stream.target, node))
        if any(begin <= w.start_s + w.estimate_s and w.start_s <= end for w in s.outages)
    }
    if held:
        yield Caveat(CaveatKind.PROBER_STALLED, few(sorted(held)))


def _shut_out(nodes: Sequence[NodeLog], streams: Sequence[StreamResult]) -> bool:
    """Return whether sshd turned away two or more probes of a stream in a row: nobody saw what was down meanwhile."""
    turned_away = {name for node in nodes for name, _, _ in node.turned_away}
    return any(w.blind or w.gaps for s in streams if s.stream.name in turned_away for w in s.windows)


def _of_the_clocks(facts: TrialFacts, nodes: Sequence[NodeLog]) -> Iterator[Caveat]:
    stepped = [n.node for n in nodes if n.wall_ns and max(n.wall_ns) - min(n.wall_ns) > CLOCK_STEP_NS]
    if stepped:
        yield Caveat(CaveatKind.CLOCK_STEPPED, few(sorted(set(stepped))))
    unknown = sorted({n.node for n in nodes if not facts.places(n.node)})
    if unknown:
        yield Caveat(CaveatKind.CLOCKS_UNKNOWN, few(unknown))
    loose = [node for node, clock in facts.clocks.items() if clock.error_ns > CLOCK_ERROR_NS]
    if loose:
        yield Caveat(CaveatKind.CLOCKS_UNALIGNED, few(loose))


def _of_the_streams(facts: TrialFacts, streams: Sequence[StreamResult], method: Method) -> Iterator[Caveat]:
    measured = [s for s in streams if s.stream.kind.headline and not (s.stuck or s.unfit)]
    beside = [s for s in streams if _beside(s) and s.seen_up]
    never_up = [s.stream.name for s in measured if not s.seen_up]
    if never_up or not any(s.stream.kind.headline for s in streams):
        yield Caveat(CaveatKind.NO_SAMPLES, few(never_up) or "no stream at all")
    spanning = [s.stream.name for s in measured if s.seen_up and _spans_request(facts, s)]
    if spanning:
        yield Caveat(CaveatKind.DOWN_AT_REQUEST, few(spanning))
    lossy = [lost_before(facts, s) for s in (*measured, *beside) if any(not w.blind for w in s.baseline_windows)]
    if lossy:
        yield Caveat(CaveatKind.BASELINE_LOSSY, few(lossy))
    yield from of_controls(facts, streams, measured)
    relapsed = [s.stream.name for s in measured if len(s.outages) > 1]
    if relapsed:
        yield Caveat(CaveatKind.RELAPSED, few(relapsed))
    flapped = [f"{s.stream.name}: {told}" for s in measured for told in flapping(s)]
    if flapped:
        yield Caveat(CaveatKind.FLAPPING, few(flapped))
    served = [f"{s.stream.target} {seconds:.2f} s" for s in measured if (seconds := _by_the_service(s))]
    if served:
        yield Caveat(CaveatKind.SERVICE_DOWN, few(served))
    yield from _of_the_flows(measured, method)
    yield from _of_the_directions(measured, method)


def _by_the_service(stream: StreamResult) -> float:
    """Return for how long the guest's service alone was down; 0.0 where that is too little to move the figure."""
    services = (Cause.SERVICE_SLOW, Cause.SERVICE_REFUSES)
    seconds = sum(p.seconds for w in stream.windows for p in w.phases if p.cause in services)
    return seconds if seconds > SERVICE_TOLERATED * stream.downtime.estimate_s else 0.0


def _spans_request(facts: TrialFacts, result: StreamResult) -> bool:
    """Return whether it was down when the operation was requested; not by a loss of which its baseline has the like."""
    return any(w.start_s <= 0 and not facts.like_before(result.stream.name, w) for w in result.outages)


def _beside(result: StreamResult) -> bool:
    """Return whether it is reported beside the figures (sessions, names, logins), not in them."""
    return result.stream.kind in BESIDE


def _of_the_flows(measured: Sequence[StreamResult], method: Method) -> Iterator[Caveat]:
    """Find old and new flows of one node that recovered more than bounds and a threshold apart."""
    fresh = {s.node: s for s in measured if s.stream.kind is ICMP_FRESH}
    differ = []
    for old in (s for s in measured if s.stream.kind is ICMP_PERSISTENT):
        new = fresh.get(old.node)
        if new is not None and _apart(old.recovered_s, new.recovered_s, method):
            differ.append(old.node)
    if differ:
        yield Caveat(CaveatKind.FLOWS_DIFFER, few(differ))


def _of_the_directions(measured: Sequence[StreamResult], method: Method) -> Iterator[Caveat]:
    """Return all new flows out and all new flows in, when they recovered more than bounds and a threshold apart."""
    out, into = (
        [s.recovered_s or 0.0 for s in measured if s.stream.kind is kind and len(s.samples)]
        for kind in (ICMP_FRESH, SSH_SYN)
    )
    if any(slept_through(measured, direction) for direction in MEASURED):
        return
    if out and into and _apart(max(out), max(into), method):
        ends = zip(("egress", "ingress"), (max(out), max(into)), strict=True)
        told = [f"{name} {'not seen to' if math.isinf(s) else f'after {s:.1f} s'}" for name, s in ends]
        yield Caveat(CaveatKind.PATH_ASYMMETRIC, ", ".join(told))


def _apart(one_s: float | None, other_s: float | None, method: Method) -> bool:
    """Return whether two recoveries differ by more than bounds and a threshold.

    What never was down recovered at once.
    """
    one, other = one_s or 0.0, other_s or 0.0
    return one != other and abs(one - other) > method.threshold_s + 2 * method.interval_s


def unsent(stream: StreamResult) -> Iterator[tuple[float, float]]:
    """Yield the stretches of a second or more after the request in which no probe left, as (begin, end)."""
    samples = stream.samples
    for first, end in stretches(samples, Outcome.SKIPPED):
        begin = bisect_left(samples, 0.0, first, end, key=lambda s: s.due_s)
        if end - begin < BLIND_GAPS or end == len(samples):
            continue
        if samples[end].due_s - samples[begin].due_s >= STALL_S:
            yield samples[begin].due_s, samples[end].due_s
