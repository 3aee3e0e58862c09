"""A calibration as a picture: the error of every outage against its true length. The only importer of matplotlib."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrbench.core.calibrate.calibration import Calibration
from vrbench.core.calibrate.measurement import Judgement, OutageMeasurement
from vrbench.core.kinds import KINDS
from vrbench.report.calibration_table import summary_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {kind.labels.name: kind.labels.colour for kind in KINDS if kind.labels.colour}
WRONG, FAINT, INK = "#d3202a", "#e9eef2", "#27323a"
TICKS_S = {0.02: "20 ms", 0.05: "50 ms", 0.1: "100 ms", 0.2: "200 ms", 0.5: "0.5 s", 1: "1 s", 2: "2 s", 5: "5 s"}
TICKS_S |= {10: "10 s", 20: "20 s", 30: "30 s"}
_STYLE: Any = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "vrbench", "axes.edgecolor": "#9aa6ae"}
_STYLE |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
SHIFT = 0.012  # between kinds, so that bars of one outage don't hide each other
REACH = 2.4  # intervals shown above and below; more where something wrong lies further out
CANNOT_DRAW = "no picture was drawn, since matplotlib is not installed: pip install 'vrbench[plot]'"


def can_draw() -> bool:
    """Return whether matplotlib is there; it takes 90 MB, and nothing else needs it."""
    return importlib.util.find_spec("matplotlib") is not None


def write_plot(calibration: Calibration, path: Path) -> None:
    """Draw it to ``path``, in the format of its ending (svg, png).

    One panel per layer. Flapping and what a stream could not resolve have no error of their own and are left out;
    hollow marks are outages that a stream was too coarse to see (measured as 0).
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    layers = [panel for panel in _panels(calibration) if panel]
    with rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 1.3 + 3.1 * max(1, len(layers))), layout="constrained", facecolor="white")
        axes = figure.subplots(max(1, len(layers)), 1, squeeze=False, sharex=True)[:, 0]
        for ax, comparisons in zip(axes, layers, strict=False):
            _panel(ax, comparisons)
        axes[-1].set_xlabel(
            "true length of the outage\n(bars: from at_least to at_most; hollow: not seen, measured as 0)"
        )
        figure.suptitle(_title(calibration), x=0.01, ha="left", fontsize=9.5, wrap=True)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _title(calibration: Calibration) -> str:
    first, _, rest = summary_line(calibration).partition("; ")
    return f"{first[0].upper()}{first[1:]}\n{rest}"


def _panels(calibration: Calibration) -> tuple[list[OutageMeasurement], list[OutageMeasurement]]:
    """Return what probes the network itself, and the banners."""
    shown = [
        c
        for c in calibration.comparisons
        if c.of_its_own and c.resolved and not c.only_blind and c.judgement is not Judgement.SLOW
    ]
    network = [c for c in shown if not c.stream.kind.is_service]
    return network, [c for c in shown if c.stream.kind.is_service]


def _panel(ax: Axes, comparisons: Sequence[OutageMeasurement]) -> None:
    interval_ms = max(c.stream.interval_s for c in comparisons) * 1000
    ax.axhspan(-interval_ms, interval_ms, color=FAINT, zorder=0, lw=0)
    for limit in (-interval_ms, interval_ms):
        ax.axhline(limit, color="#8fa0ac", lw=0.8, ls=(0, (4, 3)), zorder=1)
    ax.axhline(0, color="#8fa0ac", lw=0.8, zorder=1)
    kinds = [k for k in COLOURS if any(c.kind == k for c in comparisons)]
    for number, kind in enumerate(kinds):
        shift = 1 + SHIFT * (number - (len(kinds) - 1) / 2)
        _draw(ax, [c for c in comparisons if c.kind == kind and not c.wrong], COLOURS[kind], shift, kind)
    wrong = [c for c in comparisons if c.wrong]
    _draw(ax, wrong, WRONG, 1.0, "bounds don't hold the truth, or missed")
    _dress(ax, interval_ms, max((abs(c.error_s) * 1000 for c in wrong), default=0.0))


def _draw(ax: Axes, comparisons: Sequence[OutageMeasurement], colour: str, shift: float, label: str) -> None:
    """Draw marks at the errors, and bars from the lower bound to the upper one, both less the truth."""
    if not comparisons:
        return
    at = [c.outage.duration_s * shift for c in comparisons]
    seen = [n for n, c in enumerate(comparisons) if c.windows]
    bounded = [n for n in seen if math.isfinite(comparisons[n].measured.at_most_s)]
    low, high = (
        [1000 * (bound - comparisons[n].outage.duration_s) for n, bound in bounds]
        for bounds in (
            [(n, comparisons[n].measured.at_least_s) for n in bounded],
            [(n, comparisons[n].measured.at_most_s) for n in bounded],
        )
    )
    ax.vlines([at[n] for n in bounded], low, high, color=colour, lw=0.9, alpha=0.35, zorder=2)
    errors = [1000 * c.error_s for c in comparisons]
    ax.scatter([at[n] for n in seen], [errors[n] for n in seen], s=13, color=colour, lw=0, zorder=3, label=label)
    unseen = [n for n in range(len(comparisons)) if n not in set(seen)]
    ax.scatter([at[n] for n in unseen], [errors[n] for n in unseen], s=15, fc="white", ec=colour, lw=0.9, zorder=3)


def _dress(ax: Axes, interval_ms: float, worst_ms: float) -> None:
    """Add scales, words and the legend."""
    from matplotlib.ticker import FixedLocator, NullLocator

    reach = max(REACH * interval_ms, 1.1 * worst_ms)
    ax.set_ylim(-reach, reach)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [t for t in TICKS_S if low <= t <= high]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([TICKS_S[t] for t in ticks])
    ax.set_ylabel("error: measured less true (ms)")
    ax.set_title(f"probed every {interval_ms:g} ms", loc="left", fontsize=9, fontweight="bold")
    ax.annotate("± 1 interval", (1, interval_ms), (-3, 2), xycoords=("axes fraction", "data"), ha="right",
                textcoords="offset points", fontsize=7.5, color="#647682")  # fmt: skip
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=3, color="#9aa6ae")
    ax.legend(loc="lower right", bbox_to_anchor=(1.01, 0.99), ncols=4, frameon=False, fontsize=8, handletextpad=0.1)
