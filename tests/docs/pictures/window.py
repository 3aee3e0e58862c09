"""How a window's bounds come about: one outage, the probes that met it, and what the estimator makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.docs.pictures.svg import INK, card, tag
from vrbench.core.figures.windows import Allowance, find_windows
from vrbench.core.model import OutageWindow, Outcome, Sample

EVERY_S, RTT_S = 0.1, 0.004
DOWN_S = (0.335, 0.925)
SLOTS = 13


@dataclass(frozen=True)
class Bar:
    """One bar below the probes: from when to when, its colour, how long it is, and between which probes."""

    begin_s: float
    end_s: float
    colour: str
    length: str
    span: str


def example() -> tuple[list[Sample], OutageWindow]:
    """Return probes every 100 ms over an outage of known length, and what the estimator makes of them."""
    sent = [k * EVERY_S for k in range(SLOTS)]
    lost = [DOWN_S[0] <= t < DOWN_S[1] for t in sent]
    samples = [
        Sample(k, t, t, Outcome.LOST if out else Outcome.REPLIED, None if out else RTT_S)
        for k, (t, out) in enumerate(zip(sent, lost, strict=True))
    ]
    (window,) = find_windows(samples, Allowance(rtt_s=RTT_S))
    return samples, window


def window_picture() -> str:
    """Draw one outage, the probes that met it, and the window with its bounds."""
    samples, window = example()
    down = [s.due_s for s in samples if s.outcome is Outcome.LOST]
    at = {"u": down[0] - EVERY_S, "f": down[0], "l": down[-1], "v": down[-1] + EVERY_S}
    bars = (
        Bar(at["f"], at["l"], "#b42318", f"at least {window.at_least_s:.2f} s", "from f to l"),
        Bar(at["f"], at["v"], INK, f"about {window.estimate_s:.2f} s", "from f to v"),
        Bar(at["u"], at["v"], "#b7791f", f"at most {window.at_most_s:.2f} s", "from u to v"),
    )
    lines = (_dashed(_x(t)) for t in at.values())
    shown = (part for number, bar in enumerate(bars) for part in _bar(bar, 158 + 34 * number))
    parts = (*lines, *_truth(), *_probes(samples, at), *shown, *_legend())
    return card(860, 302, "How the bounds of an outage window come about", 14, parts)


def _dashed(x: float) -> str:
    return tag("line", x1=x, x2=x, y1=122, y2=246, stroke="#b3bcc6", stroke_dasharray="3 4")


def _bar(bar: Bar, y: float) -> Iterable[str]:
    """Yield one bar, with its length before it and what it spans behind it."""
    yield tag("text", bar.length, x=20, y=y + 11)
    yield tag("rect", x=_x(bar.begin_s), y=y, width=_x(bar.end_s) - _x(bar.begin_s), height=12, rx=3, fill=bar.colour)
    yield tag("text", bar.span, x=_x(1.0) + 14, y=y + 11, font_style="italic")


def _truth() -> Iterable[str]:
    """Yield the bar of what really happened."""
    begin, end = (_x(t) for t in DOWN_S)
    yield tag("text", "the network", x=20, y=46)
    yield tag("rect", x=_x(-0.05), y=32, width=begin - _x(-0.05), height=20, fill="#7cc596")
    yield tag("rect", x=begin, y=32, width=end - begin, height=20, fill="#e5736b")
    yield tag("rect", x=end, y=32, width=_x(1.25) - end, height=20, fill="#7cc596")
    yield tag("text", "up", x=_x(0.14), y=47, text_anchor="middle", font_size=13)
    yield tag(
        "text", f"down for {DOWN_S[1] - DOWN_S[0]:.2f} s", x=(begin + end) / 2, y=47, text_anchor="middle", font_size=13
    )
    yield tag("text", "up", x=_x(1.1), y=47, text_anchor="middle", font_size=13)


def _probes(samples: Sequence[Sample], named: dict[str, float]) -> Iterable[str]:
    """Yield one mark for each probe, and the names of the four that decide."""
    yield tag("text", "one stream's", x=20, y=98)
    yield tag("text", "probes", x=20, y=115)
    for s in samples:
        x, y = _x(s.due_s), 103
        if s.outcome is Outcome.REPLIED:
            yield tag("circle", cx=x, cy=y, r=6, fill="#2f855a")
        else:
            yield _cross(x, y)
    for name, t in named.items():
        yield tag("text", name, x=_x(t), y=84, text_anchor="middle", font_style="italic", font_size=15)


def _legend() -> Iterable[str]:
    """Yield what the marks mean."""
    yield tag("circle", cx=_x(0.0), cy=275, r=6, fill="#2f855a")
    yield tag("text", "answered in time", x=_x(0.0) + 14, y=280, font_size=13)
    yield _cross(_x(0.4), 275)
    yield tag("text", "lost, or refused", x=_x(0.4) + 14, y=280, font_size=13)
    yield tag("text", "every 100 ms", x=_x(0.8), y=280, font_size=13)


def _cross(x: float, y: float) -> str:
    return tag("path", d=f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10", stroke="#b42318", stroke_width=3, fill="none")


def _x(t_s: float) -> float:
    """Return where a moment lies from left to right."""
    return 155 + 540 * t_s
