"""How a table becomes CSV: RFC 4180 with plain line feeds, six decimals, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import IO

from vrbench.core.text import visible

_FORMULA = re.compile("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]")  # full-width too, and behind spaces: so do spreadsheets
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[object]], out: IO[str]) -> None:
    """Write a header and rows, each with one cell per column; None is an empty cell."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(cell) for cell in row] for row in rows)


def csv_line(cells: Iterable[object]) -> str:
    """Return one row's text, without its line feed."""
    out = StringIO()
    csv.writer(out, lineterminator="").writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def defuse(text: str) -> str:
    """Return a cell's text; one that a spreadsheet would run as a formula gets an apostrophe before it (CSV injection).

    Numbers stay numbers.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _cell(cell: object) -> object:
    if isinstance(cell, float):
        return f"{cell:.6f}"
    return defuse(visible(cell)) if isinstance(cell, str) else cell
