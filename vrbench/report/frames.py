"""Tables as CSV, Parquet or JSON: the only importer of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import pandas as pd

from vrbench.report.rows import COLUMNS, Row

FORMATS = ("csv", "parquet", "json")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ExportError(RuntimeError):
    """The table can't be written in that format here; says what to install or do."""


def write_table(table: str, rows: Iterable[Row], format_: str, target: Path | IO[str]) -> None:
    """Write one of the export tables, header first, UTF-8. Raises ExportError; parquet needs a file as target."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS[table])).convert_dtypes()
    if format_ == "csv":
        defused = frame.map(defuse)
        defused.to_csv(target, index=False, lineterminator="\n", float_format="%.6f")
    elif format_ == "json":
        frame.to_json(target, orient="records", indent=1, double_precision=6, force_ascii=False)
    else:
        _write_parquet(frame, target)


def defuse(cell: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it (CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _write_parquet(frame: pd.DataFrame, target: Path | IO[str]) -> None:
    if not isinstance(target, Path):
        raise ExportError("parquet is not text: give it a file with --output FILE")
    try:
        frame.to_parquet(target, index=False)
    except ImportError as error:
        raise ExportError("parquet needs pyarrow: pip install 'vrbench[parquet]'") from error
