"""Write a profile by filling another in: order and comments stay, values and what is said of them change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vrbench.core.text import visible

_TABLE = re.compile(r"\s*(?:#\s*)?\[(?P<table>\w+)\]")
_LINE = re.compile(r"(?P<off>#\s*)?(?P<key>\w+)\s*=\s*(?P<value>\"[^\"]*\"|[^#\s]+)\s*(?:#\s*(?P<comment>.*))?")
_WIDTH = 28  # where comments begin


@dataclass(frozen=True, slots=True)
class Filled:
    """A value of the profile, and a comment that takes the place of the old one; an empty one leaves it."""

    value: str | int | float | bool
    comment: str = ""

    def line(self, key: str, comment: str = "") -> str:
        """Return the profile's line of this key."""
        said = visible(self.comment or comment)  # it may hold a cloud's words
        line = f"{key} = {_literal(self.value)}"
        return f"{line:{_WIDTH - 2}}  # {said}" if said else line


def fill(text: str, name: str, values: Mapping[str, Filled]) -> str:
    """Return the profile ``text`` under another name with ``values`` ("table.key") in it.

    A key that it only has as a comment is switched on; one that it lacks comes at the end of its table.
    """
    left = {"name": Filled(name), **values}
    lines = [line for table, rows in _tables(text) for line in _filled(table, rows, left)]
    for table in dict.fromkeys(key.partition(".")[0] for key in left):
        lines += ["", f"[{table}]", *_missing(table, left)]
    return "\n".join(lines) + "\n"


def _tables(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the lines of each table with its name, heading included; those above the first under no name."""
    table, rows = "", list[str]()
    for line in text.splitlines():
        if heading := _TABLE.match(line):
            yield table, rows
            table, rows = heading["table"], []
        rows.append(line)
    yield table, rows


def _filled(table: str, rows: list[str], left: dict[str, Filled]) -> Iterator[str]:
    """Yield a table's lines with what is left to be filled in; that is taken out of ``left``."""
    blank = len(rows) - next((n for n, row in enumerate(reversed(rows)) if row.strip()), 0)
    if rows and any(key.startswith(f"{table}.") for key in left):
        rows[0] = rows[0].removeprefix("# ")  # the heading of a table that was switched off
    for row in rows[:blank]:
        found = _LINE.fullmatch(row)
        filled = left.pop(f"{table}.{found['key']}".lstrip("."), None) if found else None
        yield filled.line(found["key"], found["comment"] or "") if found and filled else row
    yield from _missing(table, left)
    yield from rows[blank:]


def _missing(table: str, left: dict[str, Filled]) -> list[str]:
    keys = [key for key in left if key.rpartition(".")[0] == table and table]
    return [left.pop(key).line(key.rpartition(".")[2]) for key in keys]


def _literal(value: str | float | bool) -> str:
    """Return a value as TOML writes it; its plain strings are JSON's, but for a sign that JSON leaves alone."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
