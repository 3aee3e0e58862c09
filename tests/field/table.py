"""The table of all cases, as ``README.md`` beside this shows it: one part for each kind, made from its rows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.docs.markdown import ROOT, Document
from tests.field.case import Case

README = "tests/field/README.md"
NEW, NONE = "not tried yet", "none"
HEADS = ("case", "what is done", "what it says", "exit code", "calls that change something")


def kinds() -> dict[str, Sequence[Case]]:
    """Return the cases of every kind, which is the middle of the name of its file: ``test_KIND_field.py``."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("test_*_field.py"))
    modules = {name: importlib.import_module(f"tests.field.{name}") for name in files}
    return {name.removeprefix("test_").removesuffix("_field"): module.CASES for name, module in modules.items()}


def part(kind: str, made: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the table of a kind; ``made`` has the calls of cases that were just played, others keep what stands."""
    known, played = shown(kind), made or {}
    rows = [_row(c, _calls(played[c.name]) if c.name in played else known.get(c.name, NEW)) for c in kinds()[kind]]
    return "\n".join(_line(cells) for cells in (HEADS, ["---"] * len(HEADS), *rows))


def shown(kind: str) -> dict[str, str]:
    """Return what the document says of the calls of each case."""
    text = Document(ROOT / README).section(kind)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()[2:]]
    return {cells[0]: cells[-1] for cells in rows}


def write(kind: str, made: Mapping[str, Sequence[str]]) -> None:
    """Write the table of a kind anew."""
    body, found = part(kind, made), Document(ROOT / README)
    found.path.write_text(found.with_section(kind, body), encoding="utf-8")


def parts() -> dict[tuple[str, str], partial[str]]:
    """Return every table as a generated part of the document."""
    return {(README, kind): partial(part, kind) for kind in kinds()}


def _row(case: Case, calls: str) -> Sequence[str]:
    said = "; ".join(f"`{words}`" for words in case.said)
    return case.name, case.done, said, str(case.code), calls


def _calls(commands: Sequence[str]) -> str:
    """Return the names alone: how often each is made depends on what the cloud answers, and when."""
    return ", ".join(f"`{command}`" for command in sorted(set(commands))) or NONE


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
