"""Lists on a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap


def entry(name: str, text: str, width: int, err: bool = False) -> str:
    """Word one of a list: the name, ``width`` columns wide, and what it is, wrapped where a terminal shows it."""
    line = f"{name:{width}} {text}"
    if not (sys.stderr if err else sys.stdout).isatty():
        return line
    columns = max(shutil.get_terminal_size().columns, width + 20)
    return textwrap.fill(line, columns, subsequent_indent=" " * (width + 1), break_on_hyphens=False)
