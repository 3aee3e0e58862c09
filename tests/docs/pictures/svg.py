"""The little of SVG that the pictures need."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

SANS = "ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
INK, PAPER, EDGE = "#1f2937", "#ffffff", "#d0d7de"


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


def card(width: float, height: float, title: str, font_size: int, parts: Iterable[str]) -> str:
    """Return a picture on white paper with an edge, in dark ink."""
    ground = tag("rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=8, fill=PAPER, stroke=EDGE)
    words = f'<g font-family="{SANS}" font-size="{font_size}" fill="{INK}">'
    return picture(width, height, title, (ground, words, *parts, "</g>"))
