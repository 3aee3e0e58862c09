"""How a table becomes CSV: RFC 4180 with plain line feeds, six decimals, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import IO

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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


def defuse(cell: object) -> object:
    """Return a cell; text that a spreadsheet would run as a formula gets an apostrophe before it (CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _cell(cell: object) -> object:
    return f"{cell:.6f}" if isinstance(cell, float) else defuse(cell)
