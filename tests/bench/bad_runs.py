"""Stored runs of which one file is not what vrbench wrote."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.bad_values import json_value, no_file, spoiled
from tests.bench.input_case import Case
from tests.packed import unpack
from vrbench.core.log.rawlog import RECORD
from vrbench.report.export_rows import COLUMNS

STORED = Path(__file__).parents[1] / "stored"
RUNS = {"one-vm": 1, "interrupted": 2, "serial": 0, "redundant": 0, "static-nat": 0}  # small ones, and how they end
CODES = (0, 1, 2)
KEPT = ("run.lock", "key", "known_hosts")
MARK = "@@here@@"


_PLACE = TemporaryDirectory(prefix="vrbench-bad-runs-")  # lasts as long as this process


@cache
def originals() -> dict[str, Path]:
    """Unpack the stored runs, once for all cases."""
    found = {}
    for name in RUNS:
        place = Path(_PLACE.name) / name
        place.mkdir()
        found[name] = unpack(STORED / name / "run.tar.xz", place)
    return found


def make(rng: random.Random, here: Path) -> Case:
    """Copy a run, spoil one file of it, and return what is asked of it."""
    name = rng.choice(list(RUNS))
    source = originals()[name]
    run = here / "reports" / source.name
    shutil.copytree(source, run)
    file = rng.choice(sorted(p for p in run.rglob("*") if p.is_file() and p.name not in KEPT))
    place = file.relative_to(run)
    what, touched = _spoil(rng, file, run)
    argv = _argv(rng, run, place)
    trials = {path.parent.name for path in source.glob("trial-*/facts.json")}
    spared = len(trials - touched) if touched <= trials and argv[0] == "analyze" and argv[-1] == "--json" else 0
    # A log that is damaged in its middle makes a caveat, which names the trial.
    names = (file.name, place.parts[0], run.name, "a raw log is damaged", "over a limit", "Caveats")
    codes = (0, 2, 3, 64) if argv[0] == "cleanup" else CODES
    environ = {"PATH": os.environ["PATH"], "HOME": str(here), "COLUMNS": "200"}
    said = f"{' '.join(argv[:1] + argv[2:])} {place}: {what}"
    return Case(said, argv, names, environ, codes, good=RUNS[name], trials=spared)


def _argv(rng: random.Random, run: Path, place: Path) -> tuple[str, ...]:
    analyze, export = ("analyze", str(run)), ("export", str(run))
    if place.name == "journal.jsonl":
        return ("cleanup", str(run))
    return rng.choice(
        (
            analyze,
            (*analyze, "--json"),
            (*analyze, "--json"),
            (*export, "--table", rng.choice(list(COLUMNS)), "--format", rng.choice(("csv", "json"))),
            (*export, "--table", rng.choice(list(COLUMNS)), "--format", "parquet", "--output", "table.parquet"),
            (*export, "--table", "failures"),
            ("cleanup", str(run)),
        )
    )


def _spoil(rng: random.Random, file: Path, run: Path) -> tuple[str, set[str]]:
    """Spoil a file, or two that are swapped; return how, and the trials (or files) that are touched."""
    if rng.random() < 0.15:
        other = rng.choice(sorted(p for p in run.rglob("*") if p.is_file()))
        content, others = file.read_bytes(), other.read_bytes()
        file.write_bytes(others)
        other.write_bytes(content)
        return f"swapped with {other.relative_to(run)}", {p.relative_to(run).parts[0] for p in (file, other)}
    return _spoil_one(rng, file), {file.relative_to(run).parts[0]}


def _spoil_one(rng: random.Random, file: Path) -> str:
    """Spoil a file in one way; return which."""
    kind = rng.choice(("bytes", "no file", "value", "value", "value", "value"))
    if kind == "no file":
        return no_file(rng, file, 1 << 40)
    if kind == "bytes":
        file.write_bytes(spoiled(rng, file.read_bytes()))
        return "bytes spoiled"
    if file.suffix == ".raw":
        return _spoil_log(rng, file)
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    at = rng.randrange(len(lines))
    lines[at], what = _changed(rng, lines[at])
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return what


def _changed(rng: random.Random, text: str) -> tuple[str, str]:
    """Return JSON with one value changed, doubled or left out."""
    whole = json.loads(text)
    places = list(_places(whole))
    container, key = rng.choice(places)
    kind = rng.choice(("changed", "changed", "changed", "gone", "added"))
    if kind == "gone":
        del container[key]
        return json.dumps(whole, indent=1), f"without {key}"
    value = json_value(rng)
    if kind == "added" and isinstance(container, dict):
        key = rng.choice(("unknown", "", "\x1b[31m", "=1", "x" * 1000))
    container[key] = MARK
    return json.dumps(whole, indent=1).replace(json.dumps(MARK), value), f"{key} = {value[:60]}"


def _places(value: object) -> list[tuple[Any, Any]]:
    """Return every place of a value at any depth: its container, and the key in it."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        found += [(value, key) for key in value]
    elif isinstance(value, list):
        found += [(value, i) for i in range(len(value))]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found + [place for part in inner for place in _places(part)]


def _spoil_log(rng: random.Random, file: Path) -> str:
    """Spoil a raw log: its header, or some of its records."""
    header, _, records = file.read_bytes().partition(b"\n")
    if rng.random() < 0.5:
        line, what = _changed(rng, header.decode())
        file.write_bytes(re.sub(r"\n\s*", " ", line).encode("utf-8", "surrogatepass") + b"\n" + records)
        return what
    made, count = bytearray(records), len(records) // RECORD.size
    for _ in range(min(count, rng.choice((1, 5, 50)))):
        at = rng.randrange(count) * RECORD.size
        kind, stream, detail, slot, t_ns = RECORD.unpack_from(made, at)
        odd = rng.choice(
            (
                (rng.randrange(256), stream, detail, slot, t_ns),
                (kind, rng.randrange(256), detail, slot, t_ns),
                (kind, stream, rng.randrange(1 << 16), slot, t_ns),
                (kind, stream, detail, slot ^ (1 << rng.randrange(32)), t_ns),
                (kind, stream, detail, (1 << rng.choice((20, 26, 32))) - 1, t_ns),
                (kind, stream, detail, slot, rng.choice((0, -1, 1 << 60, (1 << 63) - 1, -(1 << 63)))),
                (kind, stream, detail, slot, t_ns ^ (1 << rng.randrange(62))),
            )
        )
        RECORD.pack_into(made, at, *odd)
    file.write_bytes(header + b"\n" + made)
    return "records changed"
