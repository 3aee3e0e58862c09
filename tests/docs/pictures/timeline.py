"""What happened in the first trial of each half of the demo: every stream a strip, up or down over time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from tests.docs.pictures.svg import INK, card, tag
from tests.docs.stored import demo_run
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.model import Outcome

SHOWN_S = (-2.0, 10.0)
UP, DOWN, GAP = "#97cfab", "#b42318", "#8b96a3"
STRIP_H, PANEL_H = 6, 172


def timeline_picture() -> str:
    """Draw both halves, one below the other."""
    panels = (
        part
        for number, (way, about) in enumerate((("serial", "up to 4.10"), ("parallel", "since 4.11.1")))
        for part in _panel(demo_run(way).trials[0], f"{way} (CloudStack {about})", 14 + number * PANEL_H)
    )
    parts = (*panels, *_seconds_axis(14 + 2 * PANEL_H))
    return card(860, 2 * PANEL_H + 54, "Every stream of one trial, up or down over time", 13, parts)


def _panel(trial: TrialResult, title: str, top: float) -> Iterable[str]:
    """Yield the strips of one trial, egress above ingress."""
    yield tag("text", title, x=20, y=top + 16, font_weight="bold")
    for row, (words, flow) in enumerate((("egress, new flows", "fresh"), ("ingress, TCP", "syn"))):
        y = top + 28 + row * 68
        yield tag("text", words, x=20, y=y + 34)
        for number, result in enumerate(s for s in trial.streams if s.stream.kind.headline and s.stream.flow == flow):
            yield from _strip(result, y + number * STRIP_H)
    yield tag("line", x1=_at(0), x2=_at(0), y1=top + 24, y2=top + 162, stroke=INK, stroke_dasharray="3 3")


def _strip(result: StreamResult, y: float) -> Iterable[str]:
    """Yield the stretches of one stream in which its probes fared alike."""
    colours = {Outcome.REPLIED: UP, Outcome.LOST: DOWN, Outcome.REFUSED: DOWN}
    shown = (s for s in result.samples if SHOWN_S[0] <= s.due_s < SHOWN_S[1])
    for colour, alike in groupby(shown, key=lambda s: colours.get(s.outcome, GAP)):
        samples = list(alike)
        width = _at(samples[-1].due_s + result.stream.interval_s) - _at(samples[0].due_s)
        yield tag("rect", x=_at(samples[0].due_s), y=y, width=width, height=STRIP_H - 1, fill=colour)


def _seconds_axis(y: float) -> Iterable[str]:
    """Yield the seconds from the request, and what the colours mean."""
    for second in range(2, int(SHOWN_S[1]), 2):
        yield tag("text", f"{second} s", x=_at(second), y=y + 4, text_anchor="middle")
    yield tag("text", "restart requested", x=_at(0), y=y + 4, text_anchor="middle")
    for x, colour, words in ((20.0, UP, "up"), (62.0, DOWN, "down"), (116.0, GAP, "not seen")):
        yield tag("rect", x=x, y=y + 14, width=10, height=10, fill=colour)
        yield tag("text", words, x=x + 14, y=y + 23)


def _at(t_s: float) -> float:
    """Return where a moment of a trial lies from left to right."""
    return 155 + (t_s - SHOWN_S[0]) * 685 / (SHOWN_S[1] - SHOWN_S[0])
