"""What a run says of each scene beside what really was: bounds, estimates, causes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.bench.scene_plan import ALLOWED, NOTHING
from tests.bench.scene_truth import Played, Probes, Truth, read_truth
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.log.samples import Samples
from vrbench.core.model import Cause, CausePhase, Direction, OutageWindow
from vrbench.store.directory import RunDir
from vrbench.store.loading import load_run

REACH_NS = 250_000_000  # what belongs to a scene begins or ends this near; scenes are at least twice as far apart
EDGE_NS = 20_000_000
FOR_EVER_S = 1e6
SLACK_S = 0.001
ROUNDING_S = 1e-6
SHARE = 0.1
VAGUE_S = 0.001
EDGE_INTERVALS = 2.5
REFUSING = ("reset by router", "reset by guest", "prohibited")
HELD_KIND, THEN_SLOW, FLAPPING = "held, then a burst", "outage, then slow", "flapping"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scene in one stream that has figures, with its truth: ``down_s`` the path was down.

    ``wrong``: causes that were not there, and how long they are said to have been. ``gaps``: slots that were not sent
    where they decide. ``unseen_s``: how long it may have been down there where nothing was seen. ``stall_s``: for how
    long the line was held up at worst, so that a probe came late to its gate. ``excused``: the service was slow by
    itself, by what was seen of it next to it.
    """

    run: str
    scene: Played
    stream: str
    service: bool
    interval_s: float
    down_s: float
    vague_s: float
    failed: int
    probes: int
    windows: tuple[OutageWindow, ...]
    wrong: tuple[tuple[Cause, float], ...]
    gaps: int
    unseen_s: float
    stall_s: float
    excused: bool

    @property
    def at_least_s(self) -> float:
        return sum(w.at_least_s for w in self.windows)

    @property
    def estimate_s(self) -> float:
        return sum(w.estimate_s for w in self.windows)

    @property
    def at_most_s(self) -> float:
        return sum(w.at_most_s for w in self.windows)

    @property
    def seen(self) -> bool:
        return any(not w.blind for w in self.windows)

    @property
    def held(self) -> bool:
        """Whether the bounds hold the truth; what left no window was no longer than nothing was seen."""
        slack = self.vague_s + ROUNDING_S
        if not self.windows:
            missed = self.scene.is_fault and self.failed
            return not missed and self.down_s <= self.unseen_s + slack
        return self.at_least_s - slack <= self.down_s <= self.at_most_s + slack

    @property
    def error_s(self) -> float:
        return self.estimate_s - self.down_s

    @property
    def limit_s(self) -> float:
        """How far the estimate may be off."""
        limit = self.interval_s * (1 + self.gaps) + SLACK_S + self.vague_s + self.stall_s
        return max(limit, SHARE * self.down_s) if self.scene.is_fault else limit

    @property
    def judged(self) -> bool:
        """Whether the estimate says how good the estimator is: not of a service, nor where the truth is vague."""
        return not self.service and self.seen and self.vague_s <= VAGUE_S * max(1, len(self.scene.shut))

    @property
    def off(self) -> bool:
        return self.judged and abs(self.error_s) > self.limit_s

    @property
    def false(self) -> bool:
        """Whether a window is open though no probe of the stream failed."""
        return self.seen and not self.failed and not self.down_s

    @property
    def bad(self) -> bool:
        return not self.excused and bool(not self.held or self.off or self.false or self.wrong)

    @property
    def said(self) -> str:
        """The figure in words, with what is wrong about it."""
        marks = [m for m, on in (("NOT HELD", not self.held), ("OFF", self.off), ("FALSE", self.false)) if on]
        marks += [f"{cause} {seconds:.3f} s WRONG" for cause, seconds in self.wrong]
        bounds = f"{self.estimate_s:.3f} ({self.at_least_s:.3f}-{self.at_most_s:.3f}) in {len(self.windows)}"
        truth = f"{self.down_s:.3f} s, {self.failed} of {self.probes} failed"
        excused = " (excused: the service was slow)" if self.excused else ""
        where = f"{self.run} scene {self.scene.number} {self.scene.kind}: {self.stream}"
        return f"{where}: true {truth}; {bounds} {', '.join(marks)}{excused}"


@dataclass(frozen=True)
class Judged:
    """One run beside its truth."""

    name: str
    interval_s: float
    comparisons: tuple[Comparison, ...]
    stray: tuple[str, ...]  # windows where nothing was wrong
    wrong_beside: tuple[str, ...]  # causes that were not there, in streams beside the figures
    broken: tuple[str, ...]  # what can never be, whatever happens
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        return [*(c.said for c in self.comparisons if c.bad), *self.stray, *self.wrong_beside, *self.broken]


def judge_run(path: Path) -> Judged:
    """Hold a run against the truth that lies in its trial's directory."""
    run = load_run(path)
    (trial,) = run.trials
    environment = RunDir(path).read_environment()
    truth = read_truth(path / f"trial-{trial.facts.number:02d}", environment)
    behind = {e.public_ip: e.guest for e in environment.endpoints}
    beside = _Beside(run.run_id.split("-")[1], run.method.threshold_s, truth, behind, trial.facts.requested_ns)
    crossing = [s for s in trial.streams if s.stream.kind.crosses]
    headline = [s for s in crossing if s.stream.kind.headline]
    health = ", ".join(f"{k} {v}" for k, v in truth.health.items())
    caveats = ", ".join(sorted({str(c.kind.name) for c in trial.caveats}))
    on_time = f"{trial.punctual_harness:.4f}/{trial.punctual_guests:.4f}"
    return Judged(
        beside.name,
        min(s.stream.interval_s for s in trial.streams),
        tuple(c for s in headline for c in beside.compared(s)),
        tuple(words for s in headline for words in beside.stray(s)),
        tuple(words for s in crossing if s not in headline for words in beside.wrong_causes(s)),
        tuple(f"{beside.name} {words}" for words in (*(w for s in crossing for w in _impossible(s)), *_unlike(trial))),
        (f"{beside.name}: line {health}; on time {on_time}; {caveats}",),
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """A trial's truth; ``behind`` names the guest behind each public address, ``zero_ns`` is the request."""

    name: str
    threshold_s: float
    truth: Truth
    behind: dict[str, str]
    zero_ns: int

    def probes(self, result: StreamResult) -> Probes:
        """Return a stream's probes as they passed the line."""
        egress = result.stream.direction is Direction.EGRESS
        return self.truth.probes[result.stream.kind, result.node if egress else _public(result)]

    def compared(self, result: StreamResult) -> Iterator[Comparison]:
        """Yield a stream's windows of each scene beside what it lost there."""
        kind, by_scene, probes = result.stream.kind, self.by_scene(result), self.probes(result)
        guest = result.node if kind.direction is Direction.EGRESS else self.behind[_public(result)]
        for scene in self.truth.scenes:
            here = (probes.sent_ns >= scene.start_ns - REACH_NS) & (probes.sent_ns < scene.end_ns + REACH_NS)
            failed = probes.failed(self.threshold_s)
            # Where nothing refuses, a reset is of a half connection that an earlier loss left behind: the path is up.
            lost = int(np.count_nonzero(here & (failed if scene.kind in REFUSING else failed & ~probes.refused)))
            windows = tuple(by_scene.get(scene, ()))
            yield Comparison(
                run=self.name,
                scene=scene,
                stream=result.stream.name,
                service=kind.is_service,
                interval_s=result.stream.interval_s,
                down_s=_down_s(scene, scene.meets(kind, guest), lost * result.stream.interval_s),
                vague_s=scene.uncertainty_s,
                failed=lost,
                probes=int(np.count_nonzero(here)),
                windows=windows,
                wrong=tuple(_wrong(windows, scene)),
                gaps=_gaps(result, scene, self.zero_ns),
                unseen_s=self._unseen_s(result, scene),
                stall_s=self.truth.health["stall_ms"] / 1000,
                excused=kind.is_service and not scene.effects and self._served_slowly(result, scene),
            )

    def by_scene(self, result: StreamResult) -> dict[Played | None, list[OutageWindow]]:
        """Return each window under the scene that it is about; under None those that are about none."""
        found: dict[Played | None, list[OutageWindow]] = defaultdict(list)
        for window in (*result.baseline_windows, *result.windows):
            start_ns, end_ns = self._span(window)
            near = [s for s in self.truth.scenes if _near(s, result, start_ns, end_ns)]
            about = max(near, key=lambda s: min(s.end_ns, end_ns) - max(s.start_ns, start_ns), default=None)
            found[about].append(window)
        return found

    def stray(self, result: StreamResult) -> Iterator[str]:
        """Yield the windows where nothing was wrong, unless probes were really lost there."""
        probes = self.probes(result)
        lost_ns = probes.sent_ns[probes.failed(self.threshold_s) & ~probes.refused]
        for window in self.by_scene(result)[None]:
            start_ns, end_ns = self._span(window)
            reach_ns = round(result.stream.interval_s * 1e9)
            if not window.blind and not np.any((lost_ns >= start_ns - reach_ns) & (lost_ns <= end_ns)):
                yield f"{self.name} STRAY {result.stream.name}: {_words(window)}"

    def wrong_causes(self, result: StreamResult) -> Iterator[str]:
        """Yield what is wrongly said of a stream beside the figures; TCP does back off.

        While it does, its window may last over several scenes. So each cause is held against the scene of its own time.
        """
        for phase in (p for w in (*result.baseline_windows, *result.windows) for p in w.phases):
            about = [s for s in self.truth.scenes if self._within(s, phase)]
            if phase.cause not in _allowed(*about) | {Cause.TCP_BACKOFF}:
                where = " and ".join(f"scene {s.number} {s.kind}" for s in about) or "no scene"
                yield f"{self.name} {where}: {result.stream.name}: {phase.cause} {phase.seconds:.3f} s WRONG"

    def _within(self, scene: Played, phase: CausePhase) -> bool:
        start_ns, end_ns = (self.zero_ns + round(s * 1e9) for s in (phase.start_s, phase.end_s))
        return scene.start_ns - REACH_NS <= start_ns and end_ns <= scene.end_ns + REACH_NS

    def _span(self, window: OutageWindow) -> tuple[int, int]:
        length_s = window.estimate_s if not window.blind else min(window.at_most_s, FOR_EVER_S)
        start_ns = self.zero_ns + round(window.start_s * 1e9)
        return start_ns, start_ns + round(length_s * 1e9)

    def _unseen_s(self, result: StreamResult, scene: Played) -> float:
        """Return what the analysis bounds a stream by that saw nothing, of the time around a scene alone."""
        samples = result.samples
        assert isinstance(samples, Samples)
        edges = (scene.start_ns - REACH_NS - self.zero_ns, scene.end_ns + REACH_NS - self.zero_ns)
        begin, end = (int(np.searchsorted(samples.due_s, edge / 1e9)) for edge in edges)
        return samples[begin:end].unseen_s

    def _served_slowly(self, result: StreamResult, scene: Played) -> bool:
        slow_ns = self.truth.slow_ns[_public(result)]
        return bool(np.any((slow_ns >= scene.start_ns - REACH_NS) & (slow_ns < scene.end_ns + REACH_NS)))


def _public(result: StreamResult) -> str:
    return result.stream.target.partition(":")[0]


def _near(scene: Played, result: StreamResult, start_ns: int, end_ns: int) -> bool:
    """Return whether a window is about a scene: a gate works at once, a service and a slow path later."""
    sudden = scene.is_outage and not result.stream.kind.is_service
    reach_ns = round(result.stream.interval_s * 1e9) + (EDGE_NS if sudden else REACH_NS)
    return scene.start_ns - reach_ns <= end_ns and start_ns <= scene.end_ns + reach_ns


def _down_s(scene: Played, meets: bool, lost_s: float) -> float:
    """Return how long the path was down: by the gate's clock where one was shut once, else by the probes lost."""
    if scene.is_outage or scene.kind == THEN_SLOW:
        return scene.down_s if meets else 0.0
    if scene.kind == HELD_KIND and lost_s:
        return (scene.end_ns - scene.start_ns) / 1e9
    return lost_s


def _wrong(windows: Iterable[OutageWindow], scene: Played) -> Iterator[tuple[Cause, float]]:
    """Yield causes that were not there, and how long they are said to have been."""
    allowed = _allowed(scene)
    sums: dict[Cause, float] = defaultdict(float)
    for phase in (p for w in windows for p in w.phases if p.cause not in allowed):
        sums[phase.cause] += phase.seconds
    yield from sums.items()


def _allowed(*scenes: Played) -> set[str]:
    """Return the causes that may be claimed while these scenes last."""
    allowed = {Cause.UNATTRIBUTED, *(cause for s in scenes for cause in ALLOWED.get(s.kind, NOTHING))}
    if any(s.kind == FLAPPING and s.gate == "router" for s in scenes):
        allowed.add(Cause.ROUTER_GONE)
    return allowed


def _gaps(result: StreamResult, scene: Played, zero_ns: int) -> int:
    """Count the slots that were never sent where that decides: within a fault, about the edges of an outage."""
    edges = [(scene.start_ns - zero_ns) / 1e9, (scene.end_ns - zero_ns) / 1e9]
    reach_s, samples = EDGE_INTERVALS * result.stream.interval_s, result.samples
    if not samples:
        return 0
    first_s, interval_s = samples[0].due_s, result.stream.interval_s
    begin = max(0, int((edges[0] - reach_s - first_s) / interval_s))
    end = min(len(samples), int((edges[1] + reach_s - first_s) / interval_s) + 1)
    return sum(
        samples[i].outcome.is_gap and (scene.is_fault or any(abs(samples[i].due_s - edge) <= reach_s for edge in edges))
        for i in range(begin, end)
    )


def _impossible(result: StreamResult) -> Iterator[str]:
    """Yield what no log can mean: windows that overlap, more downtime than time."""
    windows = sorted((*result.baseline_windows, *result.windows), key=lambda w: w.start_s)
    overlapping = [(a, b) for a, b in pairwise(windows) if not b.blind and a.start_s + a.estimate_s > b.start_s + 1e-6]
    if overlapping:
        worst = max(overlapping, key=lambda pair: pair[0].start_s + pair[0].estimate_s - pair[1].start_s)
        such = f"{_words(worst[0])} and {_words(worst[1])}"
        yield f"{len(overlapping)} windows begin before the one before them ends, such as {such}"
    covered_s = result.samples[-1].due_s - result.samples[0].due_s if len(result.samples) else 0.0
    if sum(w.estimate_s for w in windows) > covered_s + 1.0:
        yield f"more downtime than time: {sum(w.estimate_s for w in windows):.3f} s in {covered_s:.3f} s"


def _unlike(trial: TrialResult) -> Iterator[str]:
    for direction in (Direction.EGRESS, Direction.INGRESS):
        figures = trial.figures(direction)
        mean_s, any_s = figures.downtime.estimate_s, figures.any_down.estimate_s
        if math.isfinite(any_s) and mean_s > any_s + 0.01:
            yield f"mean of {direction} {mean_s:.3f} s, any down {any_s:.3f} s"


def _words(window: OutageWindow) -> str:
    return (
        f"from {window.start_s:.3f} s for {window.estimate_s:.3f} ({window.at_least_s:.3f}-{window.at_most_s:.3f}), "
        f"{window.lost} lost, {window.refused} refused, {window.gaps} gaps, {window.cause or 'no cause'}"
    )


def report(judged: Sequence[Judged], scene: int | None) -> int:
    """Print a table by kind of scene and all that is wrong; 1 where anything is."""
    if scene is not None:
        for each in (c for j in judged for c in j.comparisons if c.scene.number == scene):
            print(each.said)
            for window in each.windows:
                print(f"    {_words(window)}")
    for note in (note for j in judged for note in j.notes):
        print(note)
    problems = [problem for j in judged for problem in j.problems]
    for problem in problems:
        print(problem)
    for interval_s in sorted({j.interval_s for j in judged}):
        here = [c for j in judged if j.interval_s == interval_s for c in j.comparisons]
        print(f"\nprobes every {interval_s * 1000:.0f} ms\n")
        print("\n".join(table(here)))
    count = sum(len({c.scene.number for c in j.comparisons}) for j in judged)
    print(f"\n{count} scenes, {sum(len(j.comparisons) for j in judged)} comparisons, {len(problems)} problems")
    return int(bool(problems))


def table(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a table in Markdown, a row for each kind of scene, apart for the network and for the service."""
    titles = (
        "scene, n, stream, down (s), held, not seen, worst error (ms), mean error (ms), off, false, causes not there"
    )
    yield f"| {' | '.join(titles.split(', '))} |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|---|"
    groups: dict[tuple[bool, bool, str], list[Comparison]] = defaultdict(list)
    for each in comparisons:
        if each.down_s or each.windows:
            groups[each.service, each.scene.is_fault, each.scene.kind].append(each)
    for (service, _, kind), mine in sorted(groups.items()):
        mine = [c for c in mine if not c.excused] or mine
        scenes = len({(c.run, c.scene.number) for c in mine})
        errors = [c.error_s * 1000 for c in mine if c.judged or (service and c.seen)]
        # What was too short to be seen is part of the mean: the others are too long by as much.
        every = [c.error_s * 1000 for c in mine if not c.gaps and (c.judged or c.service or not c.seen)]
        causes: dict[Cause, float] = defaultdict(float)
        for cause, seconds in (pair for c in mine for pair in c.wrong):
            causes[cause] += seconds
        yield (
            f"| {kind} | {scenes} | {'banner' if service else 'ping, SYN'} | {sum(c.down_s for c in mine):.1f} "
            f"| {sum(c.held for c in mine)} of {len(mine)} | {sum(not c.seen for c in mine)} "
            f"| {max(errors, key=abs, default=0):+.1f} | {np.mean(every) if every else 0:+.1f} "
            f"| {sum(c.off for c in mine)} | {sum(c.false for c in mine)} "
            f"| {', '.join(f'{c} {s:.2f} s' for c, s in causes.items())} |"
        )
