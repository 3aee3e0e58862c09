"""Runs that an earlier version stored give the figures that it gave: every table, byte for byte.

The runs and the tables that vrbench 0.1.0 made of them lie in tests/stored. Columns and keys may be added, at the end.
``pytest --rewrite`` accepts other figures: only with another estimator, whose name then says so.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import lzma
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.packed import unpack
from vrbench.cli.main import cli

STORED = Path(__file__).parent / "stored"
EXIT_CODES = {
    "parallel": 0,
    "serial": 0,
    "redundant": 0,
    "advanced-parallel": 0,
    "negotiated": 0,
    "live-patch": 0,
    "static-nat": 0,
    "one-vm": 1,  # over its limit
    "interrupted": 2,
    "calibrate": 0,
    "real-one-trial": 2,  # what was down came never back
    "real-three-trials": 2,
}
CASES = [
    pytest.param(name, table, marks=[pytest.mark.slow] if name == "real-one-trial" else [])
    for name in EXIT_CODES
    for table in ("samples", "windows", "causes", "sessions", "failures", "trials", "summary")
]
PLAIN_UP_TO = 32_000


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every stored run as the directory that it was."""
    return {name: unpack(STORED / name / "run.tar.xz", tmp_path_factory.mktemp(name)) for name in EXIT_CODES}


def ask(*words: str) -> Result:
    """Run one command, and keep what it prints as bytes."""
    return CliRunner().invoke(cli, words, standalone_mode=False)


def test_every_stored_run_is_listed() -> None:
    """A run that lies there is read."""
    assert {path.name for path in STORED.iterdir()} == set(EXIT_CODES)


@pytest.mark.parametrize(("name", "table"), CASES)
def test_a_stored_run_has_its_tables(name: str, table: str, unpacked: dict[str, Path], rewrite: bool) -> None:
    """Every row of every table, in the columns that it had then."""
    done = ask("export", str(unpacked[name]), "--table", table)
    assert done.exception is None, done.output
    if rewrite:
        keep(STORED / name / f"{table}.csv", done.stdout_bytes, digest=table == "samples")
    columns, wanted = stored_table(STORED / name / f"{table}.csv")
    assert in_columns(done.stdout_bytes, columns, digest=table == "samples") == wanted


@pytest.mark.parametrize("name", EXIT_CODES)
def test_a_stored_run_is_analysed_as_it_was(name: str, unpacked: dict[str, Path], rewrite: bool) -> None:
    """What ``analyze --json`` prints, with the exit code; keys may have been added."""
    done = ask("analyze", str(unpacked[name]), "--json")
    assert (done.return_value, done.exception) == (EXIT_CODES[name], None)
    found = json.loads(done.stdout)
    assert found["runs"][0]["path"] == str(unpacked[name])
    found["runs"][0]["path"] = "RUN"
    path = STORED / name / "analyze.json.xz"
    if rewrite:
        path.write_bytes(lzma.compress(json.dumps(found, indent=1).encode(), preset=9))
    wanted = json.loads(lzma.decompress(path.read_bytes()))
    assert as_wanted(found, wanted) == wanted


def stored_table(path: Path) -> tuple[bytes, bytes]:
    """Read a table as it was: its header, and the whole of it (of samples: the SHA-256 of the whole)."""
    digest, packed = path.with_suffix(".csv.sha256"), path.with_suffix(".csv.xz")
    if digest.is_file():
        columns, wanted = digest.read_bytes().split()
        return columns, wanted
    whole = lzma.decompress(packed.read_bytes()) if packed.is_file() else path.read_bytes()
    return whole.partition(b"\n")[0], whole


def keep(path: Path, whole: bytes, digest: bool) -> None:
    """Store a table as ``stored_table`` reads it."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    if digest:
        columns = whole.partition(b"\n")[0]
        path.with_suffix(".csv.sha256").write_bytes(columns + b"\n" + sha256(whole) + b"\n")
    elif len(whole) > PLAIN_UP_TO:
        path.with_suffix(".csv.xz").write_bytes(lzma.compress(whole, preset=9))
    else:
        path.write_bytes(whole)


def in_columns(whole: bytes, columns: bytes, digest: bool) -> bytes:
    """Cut a table to its first columns, which must be those; a table that gained none stays as it is."""
    if (head := whole.partition(b"\n")[0]) != columns:
        assert head.startswith(columns + b",")
        out, count = io.StringIO(), len(columns.split(b","))
        csv.writer(out, lineterminator="\n").writerows(r[:count] for r in csv.reader(io.StringIO(whole.decode())))
        whole = out.getvalue().encode()
    return sha256(whole) if digest else whole


def sha256(whole: bytes) -> bytes:
    """Return the digest, as text."""
    return hashlib.sha256(whole).hexdigest().encode()


def as_wanted(found: object, wanted: object) -> object:
    """Return what was found without the keys that nobody asked for."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {key: as_wanted(value, wanted[key]) for key, value in found.items() if key in wanted}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [as_wanted(f, w) for f, w in zip(found, wanted, strict=True)]
    return found
