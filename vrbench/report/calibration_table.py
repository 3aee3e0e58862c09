"""A calibration as a table for people, as rows for CSV and as an object for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vrbench.core.calibrate.calibration import Calibration, FaultFigures, KindFigures
from vrbench.core.calibrate.measurement import FalseWindow, Figures, Judgement, OutageMeasurement
from vrbench.core.text import some
from vrbench.report.csv_text import write_csv
from vrbench.report.export_rows import Row

MAX_WRONG = 12
COLUMNS = tuple(
    "outage fault direction guest stream kind interval_s true_start_s true_s span_s uncertainty_s pieces windows blind "
    "start_s at_least_s estimate_s at_most_s error_s fine unsent result".split()
)


def calibration_report(calibration: Calibration) -> RenderableType:
    """Show figures per kind of stream, what is wrong, and a summary in one line; fits 80 columns."""
    parts: list[RenderableType] = [_kinds(calibration)]
    if calibration.faults:
        parts.append(_faults(calibration))
    parts += map(Text, _wrong(calibration))
    style = "bold green" if calibration.good else "bold red"
    return Group(*parts, Text(summary_line(calibration), style=style))


def summary_line(calibration: Calibration) -> str:
    """Say what this machine's figures are worth, in one line."""
    total, steady, flapped = calibration.total, calibration.steady, calibration.flapped
    if not total.outages:
        false = some(calibration.false, "false window")
        return f"on this machine: {false} in {_clean(calibration)} without any outage"
    judged = len(calibration.fine)
    errors = (
        f"bias {calibration.bias_s * 1000:+.1f} ms, worst {calibration.worst_s * 1000:.1f} ms at "
        f"{calibration.interval_s * 1000:g} ms in {some(judged, 'window')}"
        if judged
        else "no error that means something"
    )
    off = f", {calibration.off} of them larger than probing explains" if calibration.off else ""
    held_up = f", {total.unknown} unknown (prober held up)" if total.unknown else ""
    gapped = f", {total.gapped} begun or ended where the prober was held up" if total.gapped else ""
    slow = f", {some(calibration.slow, 'banner')} slow (sshd)" if calibration.slow else ""
    vague = f"; {total.vague} known too badly for an error (machine busy)" if total.vague else ""
    over = f" ({flapped.over} of {flapped.seen} that flapped claimed too much)" if flapped.over else ""
    return (
        f"on this machine: {errors}{off}; "
        f"bounds held the truth in {steady.held} of {steady.seen}{over}; "
        f"missed {total.missed}, false {calibration.false}"
        f"{held_up}{gapped}{slow} (truth known to ± {calibration.worst_uncertainty_s * 1000:.1f} ms{vague})"
    )


def _clean(calibration: Calibration) -> str:
    return f"{sum(k.clean_s for k in calibration.kinds) / 3600:.1f} stream hours"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for column in columns:
        table.add_column(column, justify="left" if column in ("stream", "fault") else "right", no_wrap=True)
    return table


def _kinds(calibration: Calibration) -> Table:
    columns = (
        "stream",
        "every\nms",
        "outages",
        "seen",
        "held %",
        "bias\nms",
        "worst\nms",
        "missed",
        "false",
        "clean\ns",
    )
    table = _table("Known outages and what was measured of them", *columns)
    for k in calibration.kinds:
        cells = (f"{k.interval_s * 1000:g}", *_cells(k.figures)) if k.figures.outages else ("–",) * 7
        table.add_row(k.kind, *cells, str(k.false), f"{k.clean_s:.0f}")
    return table


def _faults(calibration: Calibration) -> Table:
    """Show the same by fault, banners apart; flapping is only here, as its parts are shorter than the interval."""
    columns = ("fault", "outages", "seen", "held %", "bias\nms", "worst\nms", "missed", "over")
    table = _table("By fault (over: at_least claims more than was down)", *columns)
    for f in calibration.faults:
        table.add_row(f"{f.fault}{', banner' if f.banner else ''}", *_cells(f.figures), str(f.figures.over))
    return table


def _cells(f: Figures) -> tuple[str, ...]:
    bias, worst = (f"{f.bias_s * 1000:+.1f}", f"{f.worst_s * 1000:.1f}") if f.judged else ("–", "–")
    return str(f.outages), str(f.seen), _share(f.held, f.seen), bias, worst, str(f.missed)


def _share(part: int, whole: int) -> str:
    """Word a share in percent, rounded down: 100 means all."""
    return f"{math.floor(part / whole * 1000) / 10:g}" if whole else "–"


def _wrong(calibration: Calibration) -> Iterator[str]:
    lines = [_words(c) for c in calibration.comparisons if c.wrong]
    lines += [_false_words(f) for f in calibration.false_windows if f.judgement is Judgement.FALSE]
    yield from lines[:MAX_WRONG]
    if len(lines) > MAX_WRONG:
        yield f"… and {len(lines) - MAX_WRONG} more: see the CSV"


def _words(c: OutageMeasurement) -> str:
    o, m = c.outage, c.measured
    which = ", ".join(filter(None, (o.fault, o.direction, o.guest)))
    what = f"outage {o.number} ({which}) of {o.duration_s * 1000:.1f} ms"
    unsent = f", {c.unsent} slots unsent" if c.unsent else ""
    if not c.windows:
        return f"! {c.stream.name} missed {what}{unsent}"
    bounds = f"{m.estimate_s * 1000:.1f} ms ({m.at_least_s * 1000:.1f}–{m.at_most_s * 1000:.1f})"
    return f"! {c.stream.name} measured {bounds} in {c.windows} windows for {what}{unsent}"


def _false_words(f: FalseWindow) -> str:
    w = f.window
    return f"! {f.stream.name}: a false window at {w.start_s:.3f} s, {w.lost + w.refused} probes, {w.gaps} gaps"


def write_comparisons(calibration: Calibration, path: Path, run_id: str, method: str, seed: int) -> None:
    """Write every comparison and every false window, one a row; each says which calibration it is of."""
    of = {"run_id": run_id, "method": method, "seed": seed}
    with path.open("w", encoding="utf-8", newline="") as file:
        cells = ((*(row[name] for name in COLUMNS), *of.values()) for row in comparison_rows(calibration))
        write_csv((*COLUMNS, *of), cells, file)


def comparison_rows(calibration: Calibration) -> Iterator[Row]:
    """Yield one row per comparison, then one per false window, whose outage is empty."""
    for c in calibration.comparisons:
        o, m = c.outage, c.measured
        yield {
            "outage": o.number,
            "fault": o.fault.value,
            "direction": o.direction,
            "guest": o.guest,
            **_stream_cells(c),
            "true_start_s": o.start_s,
            "true_s": o.duration_s,
            "span_s": o.span_s,
            "uncertainty_s": o.uncertainty_s,
            "pieces": len(o.pieces),
            "windows": c.windows,
            "blind": c.blind,
            "start_s": c.start_s,
            "at_least_s": m.at_least_s,
            "estimate_s": m.estimate_s,
            "at_most_s": None if math.isinf(m.at_most_s) else m.at_most_s,
            "error_s": c.error_s,
            "fine": c.fine,
            "unsent": c.unsent,
            "result": c.judgement.value,
        }
    for f in calibration.false_windows:
        w = f.window
        yield {
            **dict.fromkeys(COLUMNS),
            **_stream_cells(f),
            "windows": 1,
            "start_s": w.start_s,
            "at_least_s": w.at_least_s,
            "estimate_s": w.estimate_s,
            "at_most_s": None if math.isinf(w.at_most_s) else w.at_most_s,
            "result": f.judgement.value,
        }


def _stream_cells(of: OutageMeasurement | FalseWindow) -> Row:
    return {"stream": of.stream.name, "kind": of.kind, "interval_s": of.stream.interval_s}


def as_object(calibration: Calibration) -> dict[str, object]:
    """Return all figures and comparisons as plain values for JSON."""
    return {
        "good": calibration.good,
        "verdict": summary_line(calibration),
        "interval_s": calibration.interval_s,
        "bias_s": calibration.bias_s,
        "worst_s": calibration.worst_s,
        "uncertainty_s": calibration.worst_uncertainty_s,
        "kinds": [_flat(k) for k in calibration.kinds],
        "faults": [_flat(f) for f in calibration.faults],
        "comparisons": list(comparison_rows(calibration)),
    }


def _flat(row: KindFigures | FaultFigures) -> dict[str, object]:
    """Return a row of figures as one object."""
    cells = asdict(row)
    return {**cells, **cells.pop("figures")}
