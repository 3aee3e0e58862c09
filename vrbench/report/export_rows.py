"""Runs to the rows of the export tables (design contract: names and order of columns; units in the names).

Empty (None) means not measured or not bounded, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from msgspec.structs import asdict

from vrbench.core.figures.headline import headline
from vrbench.core.figures.results import Run, StreamResult, TrialResult
from vrbench.core.figures.sessions import SessionState, answered, logins, sessions
from vrbench.core.figures.stats import summarize
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import BESIDE, HEADLINE, ProbeKind
from vrbench.core.model import Direction, Stream
from vrbench.core.text import utc_text

Cell = str | int | float | bool | None
Row = dict[str, Cell]

SCOPES: tuple[tuple[str, Direction | None], ...] = (
    ("egress", Direction.EGRESS),
    ("ingress", Direction.INGRESS),
    ("both", None),
)
# Columns keep their place for ever: kinds of probe that came after these have theirs at the end.
FIRST_KINDS = HEADLINE[:4]
LATER_KINDS = HEADLINE[4:]
SESSION_COUNTS = ("survived", "reset", "stalled", "resumed")  # resumed: of those that stalled
MEASURES = ("worst", "any_down")  # beside the mean, whose columns have no word


def _of_kinds(kinds: Iterable[ProbeKind]) -> tuple[str, ...]:
    """Return the columns of kinds beside that of their mean: its bounds, and the other measures with theirs."""
    names = [k.labels.export for k in kinds]
    bounds = ("at_least_s", "at_most_s")
    each = (*bounds, *(f"{m}_{c}" for m in MEASURES for c in ("s", *bounds)), "never_back", "unmeasured")
    return tuple(f"{name}_{column}" for name in names for column in each)


COLUMNS: dict[str, tuple[str, ...]] = {
    "samples": tuple("run_id trial stream direction probe flow target slot due_s sent_s outcome rtt_ms method".split()),
    "windows": tuple(
        "run_id trial stream direction probe flow target start_utc start_s at_least_s estimate_s at_most_s "
        "lost refused gaps censored cause method recorded_under".split()
    ),
    "causes": tuple(
        "run_id trial stream direction probe flow target window_start_s cause start_s duration_s method "
        "recorded_under".split()
    ),
    "sessions": tuple("run_id trial guest target state silent_s resumed_s ended_s method recorded_under stuck".split()),
    "routers": tuple("run_id trial router after_s seen_s state redundant_state method recorded_under".split()),
    "failures": tuple("run_id trial stream probe flow target failure count method".split()),
    "trials": (
        *"run_id trial environment cloud_version hypervisor operation requested_utc job_s verdict caveats".split(),
        *(
            f"{d}_{c}"
            for d in ("egress", "ingress")
            for c in (
                "downtime_s at_least_s at_most_s worst_s any_down_s first_recovery_s full_recovery_s windows "
                "unavailable_s"
            ).split()
        ),
        *(f"{kind.labels.export}_downtime_s" for kind in FIRST_KINDS),
        "punctual_harness",
        "punctual_guests",
        "method",
        *(f"sessions_{c}" for c in SESSION_COUNTS),
        *(f"{kind.labels.export}_downtime_s" for kind in BESIDE if kind.labels.export),
        "logins",
        "logins_failed",
        *_of_kinds(FIRST_KINDS),
        "recorded_under",
        *(column for kind in LATER_KINDS for column in (f"{kind.labels.export}_downtime_s", *_of_kinds([kind]))),
    ),
    "summary": tuple(
        "environment cloud_version hypervisor operation method direction trials average_s lowest_s median_s highest_s "
        "stdev_s ci95_low_s ci95_high_s average_at_least_s average_at_most_s run_id recorded_under".split()
    ),
    "headline": tuple(
        "run_id environment cloud_version hypervisor operation kind measure trials average_s at_least_s at_most_s "
        "lowest_s median_s highest_s stdev_s ci95_low_s ci95_high_s streams watched never_back unmeasured method "
        "recorded_under".split()
    ),
}


def rows(table: str, runs: Iterable[Run]) -> Iterator[Row]:
    """Return the rows of one of ``TABLES``."""
    for run in runs:
        for row in _MAKERS[table](run):
            yield {**row, "method": run.method.id, "recorded_under": run.recorded_under or run.method.estimator}


def _windows(run: Run) -> Iterator[Row]:
    for trial in run.trials:
        requested = datetime.fromisoformat(trial.facts.requested_utc)
        for stream in trial.streams:
            head = stream_cells(run, trial, stream)
            for w in (*stream.baseline_windows, *stream.windows):
                start = requested + timedelta(seconds=w.start_s)
                yield {
                    **head,
                    "start_utc": utc_text(start) if stream.aligned else None,
                    "start_s": w.start_s if stream.aligned else None,
                    "at_least_s": w.at_least_s,
                    "estimate_s": w.estimate_s,
                    "at_most_s": finite(w.at_most_s),
                    "lost": w.lost,
                    "refused": w.refused,
                    "gaps": w.gaps,
                    "censored": w.censored,
                    "cause": w.cause,
                }


def _causes(run: Run) -> Iterator[Row]:
    for trial in run.trials:
        for stream in trial.streams:
            head = stream_cells(run, trial, stream)
            for window in stream.windows:
                for phase in window.phases:
                    when = {"window_start_s": window.start_s, "start_s": phase.start_s, "duration_s": phase.seconds}
                    yield {**head, **when, "cause": phase.cause.value}


def stream_cells(run: Run, trial: TrialResult, result: StreamResult) -> Row:
    """Return the cells that say which stream of which trial a row is of."""
    stream = result.stream
    return {
        "run_id": run.run_id,
        "trial": trial.facts.number,
        "stream": stream.name,
        "direction": stream.direction.value,
        "probe": stream.probe,
        "flow": stream.flow,
        "target": stream.target,
    }


def failure_rows(run_id: str, method: str, found: Iterable[tuple[int, Stream, str, int]]) -> Iterator[Row]:
    """Return the rows of the table "failures", whose counts (trial, stream, reason, how often) no Run carries."""
    for trial, s, failure, count in found:
        head: Row = {"run_id": run_id, "trial": trial, "stream": s.name, "probe": s.probe, "flow": s.flow}
        yield {**head, "target": s.target, "failure": str(failure), "count": count, "method": method}


def _trials(run: Run) -> Iterator[Row]:
    for trial in run.trials:
        facts = trial.facts
        row: Row = {
            "run_id": run.run_id,
            "trial": facts.number,
            **_context(run),
            "requested_utc": facts.requested_utc,
            "job_s": facts.job_s,
            "verdict": trial.verdict.value,
            "caveats": ";".join(c.kind.value for c in trial.caveats),
        }
        for direction in (Direction.EGRESS, Direction.INGRESS):
            row |= {f"{direction}_{k}": v for k, v in _direction_cells(trial, direction).items()}
        row |= {f"{k.labels.export}_downtime_s": finite(trial.figures_of(k).downtime.estimate_s) for k in HEADLINE}
        row |= {"punctual_harness": trial.punctual_harness, "punctual_guests": trial.punctual_guests}
        row |= {name: cell for kind in HEADLINE for name, cell in _kind_cells(trial, kind).items()}
        yield {**row, "method": run.method.id, **_beside_cells(trial)}


def _kind_cells(trial: TrialResult, kind: ProbeKind) -> Row:
    """Return what columns of a kind say; empty where it was not probed."""
    figures, name = trial.figures_of(kind), kind.labels.export
    cells: Row = {
        f"{name}_at_least_s": _known(figures.downtime),
        f"{name}_at_most_s": finite(figures.downtime.at_most_s),
    }
    for measure, d in zip(MEASURES, (figures.worst, figures.any_down), strict=True):
        cells |= {
            f"{name}_{measure}_s": finite(d.settled_s),
            f"{name}_{measure}_at_least_s": _known(d),
            f"{name}_{measure}_at_most_s": finite(d.at_most_s),
        }
    probed = bool(trial.of(kind))
    counts = {"never_back": figures.stuck, "unmeasured": figures.unmeasured}
    return cells | {f"{name}_{what}": count if probed else None for what, count in counts.items()}


def _known(d: Downtime) -> float | None:
    """Return the lower bound of what was measured."""
    return None if math.isnan(d.estimate_s) else d.at_least_s


def _beside_cells(trial: TrialResult) -> Row:
    """Return what is reported beside the figures; empty where it was not measured."""
    row: Row = {f"sessions_{name}": count for name, count in session_counts(trial).items()}
    for kind in BESIDE:
        if kind.labels.export:
            mean = Downtime.mean([s.downtime for s in answered(trial, kind)])
            row[f"{kind.labels.export}_downtime_s"] = finite(mean.settled_s)
    row["logins"], row["logins_failed"] = logins(trial) or (None, None)
    return row


def session_counts(trial: TrialResult) -> dict[str, int | None]:
    """Return how many sessions there are of each of SESSION_COUNTS; None where none was watched."""
    listed = [s for s in sessions(trial) if s.state is not SessionState.UNKNOWN]
    counts = {name: sum(s.state == name for s in listed) for name in SESSION_COUNTS}
    counts["resumed"] = sum(s.resumed_s is not None for s in listed)
    return {name: count if listed else None for name, count in counts.items()}


def _sessions(run: Run) -> Iterator[Row]:
    for trial in run.trials:
        for s in sessions(trial):
            head: Row = {"run_id": run.run_id, "trial": trial.facts.number, "guest": s.guest, "target": s.target}
            times: Row = {"silent_s": s.silent_s, "resumed_s": s.resumed_s, "ended_s": s.ended_s}
            yield {**head, "state": s.state.value, **times, "stuck": s.stuck}


def _routers(run: Run) -> Iterator[Row]:
    """Yield what the cloud showed of routers, in seconds from the request: each came between two looks."""
    for trial in run.trials:
        facts = trial.facts
        for change in facts.router_changes:
            after_s, seen_s = ((at - facts.requested_ns) / 1e9 for at in (change.after_ns, change.seen_ns))
            head: Row = {"run_id": run.run_id, "trial": facts.number, "router": change.name}
            shown: Row = {"state": change.state, "redundant_state": change.redundant_state}
            yield {**head, "after_s": after_s, "seen_s": seen_s, **shown}


def _direction_cells(trial: TrialResult, direction: Direction) -> Row:
    figures = trial.figures(direction)
    return {
        "downtime_s": finite(figures.downtime.estimate_s),
        "at_least_s": figures.downtime.at_least_s,
        "at_most_s": finite(figures.downtime.at_most_s),
        "worst_s": finite(figures.worst.settled_s),
        "any_down_s": finite(figures.any_down.estimate_s),
        "first_recovery_s": figures.first_recovery_s,
        "full_recovery_s": figures.full_recovery_s,
        "windows": figures.windows,
        "unavailable_s": figures.unavailable_s,
    }


def _summary(run: Run) -> Iterator[Row]:
    for name, direction in SCOPES:
        downtimes = run.downtimes(direction)
        summary = asdict(summarize([d.settled_s for d in downtimes]))
        n = len(downtimes)
        yield {
            **_context(run),
            "method": run.method.id,
            "direction": name,
            **summary,
            "average_at_least_s": sum(d.at_least_s for d in downtimes) / n if n else None,
            "average_at_most_s": finite(sum(d.at_most_s for d in downtimes) / n) if n else None,
            "run_id": run.run_id,
        }


def _headline(run: Run) -> Iterator[Row]:
    for k in headline(run).kinds:
        counts: Row = {"streams": k.streams, "watched": k.watched, "never_back": k.stuck, "unmeasured": k.unmeasured}
        for measure, over in k.measures.items():
            average, summary = over.average, asdict(summarize([d.settled_s for d in over.downtimes]))
            yield {
                "run_id": run.run_id,
                **_context(run),
                "kind": k.kind.key,
                "measure": measure.name.lower(),
                **summary,
                "at_least_s": _known(average),
                "at_most_s": finite(average.at_most_s),
                **counts,
            }


def _context(run: Run) -> Row:
    c = run.context
    return {
        "environment": c.environment,
        "cloud_version": c.cloud_version,
        "hypervisor": c.hypervisor,
        "operation": c.operation,
    }


def finite(value: float) -> float | None:
    """Return the value, or None where there is no bound or nothing was measured."""
    return value if math.isfinite(value) else None


_MAKERS: Mapping[str, Callable[[Run], Iterator[Row]]] = {
    "windows": _windows,
    "causes": _causes,
    "sessions": _sessions,
    "routers": _routers,
    "trials": _trials,
    "summary": _summary,
    "headline": _headline,
}
TABLES = tuple(_MAKERS)  # those made row by row from a run; for the others see failure_rows and sample_blocks
