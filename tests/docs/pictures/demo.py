"""What the demo prints at its end, as a terminal shows it.

Text is stretched to its columns, so that tables stay straight in any font.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.segment import Segment
from rich.text import Text

from tests.docs.pictures.svg import MONO, picture, tag
from tests.docs.stored import demo_run
from vrbench.report.headline_table import reduction_table
from vrbench.report.tables import answers

CELL_W, CELL_H, MARGIN = 8.4, 19, 20
GROUND, EDGE, INK, DIM = "#1c2128", "#444c56", "#e6edf3", "#8b96a3"
COLOURS = {"green": "#56d364", "red": "#ff7b72", "yellow": "#e3b341", "cyan": "#76e3ea"}


def terminal(command: str, shown: RenderableType, columns: int, title: str) -> str:
    """Draw a terminal in which ``command`` has printed ``shown``."""
    console = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system="standard")
    lines = [[Segment(f"$ {command}")], [], *console.render_lines(shown, pad=False)]
    while lines and not "".join(s.text for s in lines[-1]).strip():
        lines.pop()
    width, height = columns * CELL_W + 2 * MARGIN, len(lines) * CELL_H + 2 * MARGIN + 18
    parts = [tag("rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=8, fill=GROUND, stroke=EDGE)]
    parts += [tag("circle", cx=MARGIN + 18 * i, cy=18, r=5.5, fill=EDGE) for i in range(3)]
    parts.append(f'<g font-family="{MONO}" font-size="14" fill="{INK}" xml:space="preserve">')
    for number, line in enumerate(lines):
        parts += _line(line, MARGIN + 18 + (number + 1) * CELL_H - 4)
    return picture(width, height, title, (*parts, "</g>"))


def demo_picture() -> str:
    """Draw what a demo's result begins with: the answers, and the table that operators know."""
    words = ("serial", "parallel")
    before, after = map(demo_run, words)
    told = Text(answers((before, after), words), style="bold")
    shown = Group(told, Text(), reduction_table(before, after, words))
    return terminal("vrbench demo", shown, 78, "The demo's result: down times before and after")


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
