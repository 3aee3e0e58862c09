"""The console that everything is drawn on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any, Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from vrbench.cli.streams import only_forward
from vrbench.core.text import visible


class TextConsole(Console):
    """Shows text as it is: names and a server's words may look like markup or emoji codes, or move a terminal."""

    def __init__(self, stderr: bool = False, file: IO[str] | None = None, width: int | None = None) -> None:
        colours: Literal["auto"] | None = None if only_forward() else "auto"
        super().__init__(stderr=stderr, file=file, width=width, color_system=colours, markup=False, emoji=False)

    @property
    def can_draw(self) -> bool:
        """Whether what was shown can be drawn anew: not in a file, and not where lines only go forward."""
        return self.is_terminal and not only_forward()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render; every Text of tables, lines and views comes by here, before it is fitted to its place."""
        return super().render(_visible(renderable) if isinstance(renderable, Text) else renderable, options)

    def render_str(self, text: str, **how: Any) -> Text:
        """Make a Text of what is not one yet."""
        return _visible(super().render_str(text, **how))


def _visible(text: Text) -> Text:
    """Return text without what can't be seen; that which had some loses its colours too, as their places moved."""
    shown = visible(text.plain, but="\n")
    if shown == text.plain:
        return text
    made = text.blank_copy(shown)
    made.style = text.style
    return made
