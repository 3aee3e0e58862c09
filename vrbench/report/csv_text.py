"""How a table becomes CSV: RFC 4180 with plain line feeds, six decimals, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import IO

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[object]], out: IO[str], *, header: bool = True) -> None:
    """Write rows, each with one cell per column; None is an empty cell."""
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(cell) for cell in row] for row in rows)


def defuse(cell: object) -> object:
    """Return a cell; text that a spreadsheet would run as a formula gets an apostrophe before it (CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _cell(cell: object) -> object:
    return f"{cell:.6f}" if isinstance(cell, float) else defuse(cell)
