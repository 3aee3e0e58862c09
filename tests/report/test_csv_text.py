"""Cells that others filled: a spreadsheet runs none of them, and hides nothing of them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from vrbench.report.csv_text import csv_line, write_csv
from vrbench.report.export_files import write_table
from vrbench.report.export_rows import Row

HOSTILE = "=cmd|' /C calc'!A0\n\x1b[2J\u202e"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+49 30", "'+49 30"),
        ("-2+3", "'-2+3"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff0b1+1", "'\uff0b1+1"),
        ("\uff0d1+1", "'\uff0d1+1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\u3000=1+1", "'\u3000=1+1"),
        ("\n=1+1", r"\n=1+1"),
        ("\t=1+1", r"\t=1+1"),
        ("\r=1+1", r"\r=1+1"),
        ("-2.81", "-2.81"),
        ("+1e-3", "+1e-3"),
        ("vm-1", "vm-1"),
        (-2.81, "-2.810000"),
        (-3, "-3"),
        (None, ""),
    ],
)
def test_a_cell_is_no_formula(cell: object, text: str) -> None:
    """Whatever stands before the sign; and a number is one still."""
    out = io.StringIO()
    write_csv(["x", "y"], [[cell, "end"]], out)
    line = out.getvalue().splitlines()[1]
    assert next(csv.reader([line])) == [text, "end"]
    assert csv_line([cell, "end"]) == line


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_tables_hold_no_character_that_acts(format_: str, tmp_path: Path) -> None:
    """In every format: what a reader of the file prints is as harmless as what vrbench prints."""
    row: Row = {"run_id": HOSTILE, "environment": HOSTILE, "average_s": 1.5}
    path = tmp_path / "table"
    write_table("summary", [row], format_, path)
    content = path.read_bytes()
    assert not [c for c in (b"\x1b", "\u202e".encode()) if c in content]
    if format_ == "json":
        assert json.loads(content)[0]["average_s"] == 1.5
    assert rb"\x1b[2J" in content or rb"\\x1b[2J" in content
