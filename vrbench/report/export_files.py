"""Tables as CSV, Parquet or JSON: the only importer of pandas."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO

import pandas as pd
from msgspec.structs import replace

from vrbench.core.log.samples import Seconds
from vrbench.core.text import visible
from vrbench.report.csv_text import csv_line, write_csv
from vrbench.report.export_rows import COLUMNS, Row
from vrbench.report.sample_blocks import WORDS, SampleBlock

FORMATS = ("csv", "parquet", "json")
TIMES = ("due_s", "sent_s", "rtt_ms")
TYPES = {**dict.fromkeys(("trial", "slot"), "int64"), **dict.fromkeys(TIMES, "float64")}


class ExportError(RuntimeError):
    """The table can't be written in that format here; says what to install or do."""


def write_table(table: str, rows: Iterable[Row], format_: str, target: Path | IO[str]) -> None:
    """Write one of the export tables, header first, UTF-8. Raises ExportError; parquet needs a file as target."""
    frame = pd.DataFrame([_visible(row) for row in rows], columns=list(COLUMNS[table])).convert_dtypes()
    if format_ == "parquet":
        arrow, parquet = _arrow(target)
        parquet.write_table(arrow.Table.from_pandas(frame, preserve_index=False), target)
        return
    with _opened(target) as out:
        if format_ == "csv":
            cells = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
            write_csv(COLUMNS[table], cells, out)
        else:
            _write_json([frame], out)


def write_samples(blocks: Iterable[SampleBlock], format_: str, target: Path | IO[str]) -> None:
    """Write the table of samples as ``write_table`` does any other, block by block, in little memory."""
    blocks = (replace(block, head=_visible(block.head), method=visible(block.method)) for block in blocks)
    if format_ == "parquet":
        _write_parquet(blocks, target)
        return
    with _opened(target) as out:
        if format_ == "csv":
            write_csv(COLUMNS["samples"], (), out)
            for block in blocks:
                out.write("".join(_lines(block)))
        else:
            _write_json(map(_frame, blocks), out)


def _visible(row: Row) -> Row:
    """Return a row whose text shows all that it holds: others put it there, and readers paste it into terminals."""
    return {name: visible(cell) if isinstance(cell, str) else cell for name, cell in row.items()}


def _frame(block: SampleBlock) -> pd.DataFrame:
    """Return a block as a table with the columns of the export."""
    differing = {"slot": block.slot, **{name: getattr(block, name) for name in TIMES}, "outcome": _words(block)}
    return pd.DataFrame({**block.head, **differing, "method": block.method}, columns=list(COLUMNS["samples"]))


def _words(block: SampleBlock) -> list[str]:
    return [WORDS[code] for code in block.outcomes]


def _opened(target: Path | IO[str]) -> AbstractContextManager[IO[str]]:
    """Open a file to write text; a stream is one already, and stays open."""
    return target.open("w", encoding="utf-8", newline="") if isinstance(target, Path) else nullcontext(target)


def _lines(block: SampleBlock) -> Iterator[str]:
    """Return a block as lines of CSV: what all have in common is made text once."""
    before, after = (csv_line(cells).replace("%", "%%") for cells in (block.head.values(), (block.method,)))
    line = f"{before},%d,%s,%s,%s,%s,{after}\n"
    times = (_six(block.due_s), _six(block.sent_s), _words(block), _six(block.rtt_ms))
    return (line % cells for cells in zip(block.slot, *times, strict=True))


def _six(numbers: Seconds) -> Iterator[str]:
    """Return numbers with six decimals, as all of CSV has them; nothing for NaN."""
    return ("" if math.isnan(number) else f"{number:.6f}" for number in numbers.tolist())


def _write_json(frames: Iterable[pd.DataFrame], out: IO[str]) -> None:
    """Write one array of records, though it comes in parts."""
    before = "["
    for frame in frames:
        text = frame.to_json(orient="records", indent=1, double_precision=6, force_ascii=False)
        records = text.removeprefix("[").removesuffix("]").removesuffix("\n")
        if records:
            out.write(before + records)
            before = ","
    out.write("[\n]" if before == "[" else "\n]")


def _write_parquet(blocks: Iterable[SampleBlock], target: Path | IO[str]) -> None:
    """Write blocks as they come; text that stands in many rows is written once, and read as any other text."""
    arrow, parquet = _arrow(target)
    text = arrow.dictionary(arrow.int8(), arrow.string())
    kinds = {name: getattr(arrow, TYPES[name])() if name in TYPES else text for name in COLUMNS["samples"]}
    schema = arrow.schema(list(kinds.items()))
    repeated = [name for name, kind in kinds.items() if kind == text]
    with parquet.ParquetWriter(target, schema, use_dictionary=repeated, store_schema=False) as writer:
        for block in blocks:
            rows = len(block.slot)
            differing = {name: arrow.array(getattr(block, name), from_pandas=True) for name in TIMES}
            differing["slot"] = arrow.array(block.slot, arrow.int64())
            codes = arrow.array(memoryview(block.outcomes), arrow.int8())
            differing["outcome"] = arrow.DictionaryArray.from_arrays(codes, arrow.array(WORDS))
            alike = {**block.head, "method": block.method}
            columns = [
                differing[name] if name in differing else arrow.repeat(arrow.scalar(alike[name], kind), rows)
                for name, kind in kinds.items()
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


def _arrow(target: Path | IO[str]) -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its Parquet. Raises ExportError where it is not installed, and for what is no file."""
    if not isinstance(target, Path):
        raise ExportError("parquet is not text: give it a file with --output FILE")
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExportError("parquet needs pyarrow: pip install 'vrbench[parquet]'") from error
