"""What real servers of five releases list of their commands, and what a recorded one always answered: a compact copy.

``reference.json`` holds per command: ``params``, each with one type letter per release ("!" behind it when required,
"-" where the release lacks it); ``response``, each field with the releases that have it; ``async``; and ``always``, by
role of the caller, the fields that no recorded row of a 4.20.2 server was without.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

RELEASES = ("4.9.3", "4.11.2", "4.15.1", "4.18.0", "4.20.2")
COPY = Path(__file__).with_name("reference.json")


@cache
def reference() -> dict[str, Any]:
    """By command."""
    copy: dict[str, Any] = json.loads(COPY.read_text())
    return copy


def params(command: str, release: str) -> dict[str, str] | None:
    """Type and necessity of each parameter ("uuid!"); None when the release does not list the command."""
    row, place = reference()[command], RELEASES.index(release)
    if release not in row["releases"]:
        return None
    types = {name: kinds.split()[place] for name, kinds in row["params"].items()}
    return {name: kind for name, kind in types.items() if kind != "-"}


def fields(command: str, release: str) -> frozenset[str]:
    """The fields that the release lists."""
    place = str(RELEASES.index(release))
    return frozenset(name for name, where in reference()[command]["response"].items() if place in where)


def condense(api: Path) -> dict[str, Any]:
    """The copy, made from the lists and recordings in ``api``."""
    lists = {release: json.loads((api / f"{release}.json").read_text()) for release in RELEASES}
    always = _always(api / f"recorded-{RELEASES[-1]}")
    commands = sorted({name for listed in lists.values() for name in listed})
    return {name: _condensed(name, lists) | {"always": always.get(name, {})} for name in commands}


def _condensed(command: str, lists: dict[str, Any]) -> dict[str, Any]:
    rows = {release: listed[command] for release, listed in lists.items() if command in listed}
    names = sorted({name for row in rows.values() for name in row["params"]})
    shown = sorted({name for row in rows.values() for name in row["response"]})
    return {
        "releases": list(rows),
        "async": [release for release, row in rows.items() if row["isasync"]],
        "params": {name: " ".join(_kind(rows.get(release), name) for release in RELEASES) for name in names},
        "response": {
            name: "".join(str(n) for n, r in enumerate(RELEASES) if r in rows and name in rows[r]["response"])
            for name in shown
        },
    }


def _kind(row: Any, name: str) -> str:
    param = row["params"].get(name) if row else None
    return "-" if param is None else param["type"] + ("!" if param.get("required") else "")


def _always(recorded: Path) -> dict[str, dict[str, list[str]]]:
    """Per command and role, the fields of every recorded row of its answers."""
    common: dict[str, dict[str, set[str]]] = {}
    for path in sorted(recorded.glob("*.json")):
        for exchange in json.loads(path.read_text()):
            for row in rows_of(exchange["body"]):
                seen = common.setdefault(exchange["command"], {}).setdefault(exchange["role"], set(row))
                seen &= set(row)
    return {name: {role: sorted(seen) for role, seen in roles.items()} for name, roles in common.items()}


def rows_of(body: Any) -> list[dict[str, Any]]:
    """The objects inside an answer: of a list its rows, else the one object; none of an error, a job or a success."""
    inner: Any = next(iter(body.values()), {}) if isinstance(body, dict) else {}
    if not isinstance(inner, dict) or "errorcode" in inner:
        return []
    found = [value for value in inner.values() if isinstance(value, dict)]
    for value in inner.values():
        if isinstance(value, list):
            found += [item for item in value if isinstance(item, dict)]
    return found
