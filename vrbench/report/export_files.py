"""Tables as CSV, Parquet or JSON: the only importer of pandas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import IO

import pandas as pd

from vrbench.report.csv_text import write_csv
from vrbench.report.export_rows import COLUMNS, Row

FORMATS = ("csv", "parquet", "json")
AT_ONCE = 50_000  # rows in memory; only of tables whose types are known beforehand
TYPES = {
    "samples": {
        **dict.fromkeys(COLUMNS["samples"], "string"),
        **dict.fromkeys(("trial", "slot"), "Int64"),
        **dict.fromkeys(("due_s", "sent_s", "rtt_ms"), "Float64"),
    }
}


class ExportError(RuntimeError):
    """The table can't be written in that format here; says what to install or do."""


def write_table(table: str, rows: Iterable[Row], format_: str, target: Path | IO[str]) -> None:
    """Write one of the export tables, header first, UTF-8. Raises ExportError; parquet needs a file as target.

    Samples, of which there may be millions, are written as they come.
    """
    frames = _frames(table, rows)
    if format_ == "parquet":
        _write_parquet(pd.concat(frames), target)
        return
    with nullcontext(target) if not isinstance(target, Path) else target.open("w", encoding="utf-8", newline="") as out:
        if format_ == "csv":
            for number, frame in enumerate(frames):
                cells = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
                write_csv(COLUMNS[table], cells, out, header=not number)
        else:
            _write_json(frames, out)


def _frames(table: str, rows: Iterable[Row]) -> Iterator[pd.DataFrame]:
    """Return the rows by parts, at least one; the types of columns depend on no part alone."""
    columns, types = list(COLUMNS[table]), TYPES.get(table)
    coming = iter(rows)
    part = list(islice(coming, AT_ONCE if types else None))
    while True:
        frame = pd.DataFrame(part, columns=columns)
        yield frame.astype(types) if types else frame.convert_dtypes()
        part = list(islice(coming, AT_ONCE))
        if not part:
            return


def _write_json(frames: Iterator[pd.DataFrame], out: IO[str]) -> None:
    """Write one array of records, though it comes in parts."""
    before = "["
    for frame in frames:
        text = frame.to_json(orient="records", indent=1, double_precision=6, force_ascii=False)
        out.write(before + text.removeprefix("[").removesuffix("]").removesuffix("\n"))
        before = ","
    out.write("\n]")


def _write_parquet(frame: pd.DataFrame, target: Path | IO[str]) -> None:
    if not isinstance(target, Path):
        raise ExportError("parquet is not text: give it a file with --output FILE")
    try:
        frame.to_parquet(target, index=False)
    except ImportError as error:
        raise ExportError("parquet needs pyarrow: pip install 'vrbench[parquet]'") from error
