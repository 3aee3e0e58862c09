"""How tables and lines are laid out on a terminal: they fit 80 columns, and read the same without colour."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NEVER_BROKEN = ("stream", "surely", "average", "down for", "lowest", "median", "highest", "trial", "from")


def table(title: str, *columns: str, left: int = 1) -> Table:
    """Make a plain table, ``left`` columns left, the others right; words that don't fit are broken, never left out."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for i, column in enumerate(columns):
        made.add_column(
            column, justify="left" if i < left else "right", overflow="fold", no_wrap=column in NEVER_BROKEN
        )
    return made


def with_notes(what: RenderableType, lines: Iterable[str]) -> RenderableType:
    """Show something with notes below it, each in lines of its own."""
    return Group(what, *(Padding(Text(line, style="dim"), (0, 0, 0, 2)) for line in lines))


class Broken:
    """One long word after its name, broken behind a "/" or "+" where the line is too short for it."""

    def __init__(self, name: str, word: str) -> None:
        self._name = name
        self._parts = re.findall(r"[^/+]+[/+]?", word)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines."""
        line, indent = f"{self._name} ", " " * (len(self._name) + 1)
        for part in self._parts:
            if len(line) + len(part) > options.max_width and line.strip() not in ("", self._name):
                yield Text(line, style="dim", no_wrap=True)
                line = indent
            line += part
        yield Text(line, style="dim", no_wrap=True)
