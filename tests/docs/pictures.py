"""The pictures of the documents, as SVG: drawn from what the program computes and prints, never by hand.

They stand on a ground of their own, so that they read alike on a light page and on a dark one, and name no font that a
reader would have to fetch. Text in columns is stretched to its place, so that tables stay straight in any font.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from rich.console import Console, RenderableType
from rich.segment import Segment

from tests.docs.stored import demo_run
from vrbench.core.figures.windows import find_windows
from vrbench.core.model import OutageWindow, Outcome, Sample
from vrbench.report.tables import reduction_table

SANS = "ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
CELL_W, CELL_H, MARGIN = 8.4, 19, 20
GROUND, INK, DIM = "#1c2128", "#e6edf3", "#8b96a3"
COLOURS = {"green": "#56d364", "red": "#ff7b72", "yellow": "#e3b341", "cyan": "#76e3ea"}


def tag(name: str, text: str | None = None, /, **attributes: object) -> str:
    """Return one element; ``_`` in names of attributes stands for a dash, numbers have at most one decimal."""
    given = "".join(f" {key.rstrip('_').replace('_', '-')}={quoteattr(_number(v))}" for key, v in attributes.items())
    return f"<{name}{given}/>" if text is None else f"<{name}{given}>{escape(text)}</{name}>"


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """Return a whole SVG file; ``title`` is what is read aloud to whoever can't see it."""
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join((head, tag("title", title), *parts, "</svg>", ""))


def terminal(command: str, shown: RenderableType, columns: int, title: str) -> str:
    """Draw a terminal in which ``command`` has printed ``shown``."""
    console = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system="standard")
    lines = [[Segment(f"$ {command}")], [], *console.render_lines(shown, pad=False)]
    while lines and not "".join(s.text for s in lines[-1]).strip():
        lines.pop()
    width, height = columns * CELL_W + 2 * MARGIN, len(lines) * CELL_H + 2 * MARGIN + 18
    parts = [tag("rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=8, fill=GROUND, stroke="#444c56")]
    parts += [tag("circle", cx=MARGIN + 18 * i, cy=18, r=5.5, fill="#444c56") for i in range(3)]
    parts.append(f'<g font-family="{MONO}" font-size="14" fill="{INK}" xml:space="preserve">')
    for number, line in enumerate(lines):
        parts += _line(line, MARGIN + 18 + (number + 1) * CELL_H - 4)
    return picture(width, height, title, (*parts, "</g>"))


def demo_picture() -> str:
    """Draw the table that a demo ended with."""
    before, after = "serial", "parallel"
    table = reduction_table(demo_run(before), demo_run(after), (before, after))
    return terminal("vrbench demo", table, 76, "The demo's result: down times before and after")


def _line(segments: Sequence[Segment], y: float) -> Iterable[str]:
    """Yield each word group of a line at its column; a space of two or more ends a group."""
    column = 0
    for segment in segments:
        for text, at in _groups(segment.text):
            looks = _looks(segment)
            yield tag("text", text, x=MARGIN + (column + at) * CELL_W, y=y, textLength=len(text) * CELL_W, **looks)
        column += segment.cell_length


def _groups(text: str) -> Iterable[tuple[str, int]]:
    """Yield what is written in a text, without the space around it, and where it begins."""
    stripped = text.strip()
    if stripped:
        yield stripped, len(text) - len(text.lstrip())


def _looks(segment: Segment) -> dict[str, str]:
    style = segment.style
    if style is None:
        return {}
    colour = COLOURS.get(style.color.name) if style.color else DIM if style.dim else None
    return {**({"font_weight": "bold"} if style.bold else {}), **({"fill": colour} if colour else {})}


# How a window's bounds come about ------------------------------------------------------------------------------------

EVERY_S, RTT_S, THRESHOLD_S = 0.1, 0.004, 0.8
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
    (window,) = find_windows(samples, rtt_s=RTT_S)
    return samples, window


def window_picture() -> str:
    """Draw one outage, the probes that met it, and the window with its bounds."""
    samples, window = example()
    down = [s.due_s for s in samples if s.outcome is Outcome.LOST]
    at = {"u": down[0] - EVERY_S, "f": down[0], "l": down[-1], "v": down[-1] + EVERY_S}
    bars = (
        Bar(at["f"], at["l"], "#b42318", f"at least {window.at_least_s:.2f} s", "from f to l"),
        Bar(at["f"], at["v"], "#1f2937", f"about {window.estimate_s:.2f} s", "from f to v"),
        Bar(at["u"], at["v"], "#b7791f", f"at most {window.at_most_s:.2f} s", "from u to v"),
    )
    lines = (_dashed(_x(t)) for t in at.values())
    shown = (part for number, bar in enumerate(bars) for part in _bar(bar, 158 + 34 * number))
    ground = tag("rect", x=0.5, y=0.5, width=859, height=301, rx=8, fill="#ffffff", stroke="#d0d7de")
    words = f'<g font-family="{SANS}" font-size="14" fill="#1f2937">'
    parts = (ground, *lines, words, *_truth(), *_probes(samples, at), *shown, *_legend(), "</g>")
    return picture(860, 302, "How the bounds of an outage window come about", parts)


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
