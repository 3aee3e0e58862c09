"""What real servers of five releases list of their commands, and what a recorded one always answered.

``commands.json`` holds per command: ``releases`` that list it; ``params``, each with one type per release ("!" behind
it when required, "-" where the release lacks it); ``response``, each field with the places of the releases that have
it; and ``async``, the releases in which it runs as a job. What a 4.20.2 server always answered is read off the recorded
exchanges (``tests/lab/recorded``).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.replay.recorded import RECORDED

RELEASES = ("4.9.3", "4.11.2", "4.15.1", "4.18.0", "4.20.2")
COMMANDS = Path(__file__).with_name("commands.json")


@cache
def reference() -> dict[str, Any]:
    """Return what is listed of each command, by its name."""
    listed: dict[str, Any] = json.loads(COMMANDS.read_text())
    return listed


def params(command: str, release: str) -> dict[str, str] | None:
    """Return type and necessity of each parameter ("uuid!"); None when the release does not list the command."""
    row, place = reference()[command], RELEASES.index(release)
    if release not in row["releases"]:
        return None
    types = {name: kinds.split()[place] for name, kinds in row["params"].items()}
    return {name: kind for name, kind in types.items() if kind != "-"}


def fields(command: str, release: str) -> frozenset[str]:
    """Return the fields that the release lists."""
    place = str(RELEASES.index(release))
    return frozenset(name for name, where in reference()[command]["response"].items() if place in where)


OF_A_PROJECT = frozenset(("project", "projectid"))  # never always: only what is in one shows them


@cache
def always() -> dict[str, dict[str, set[str]]]:
    """Return, per command and role, the fields that no recorded row of its answers is without."""
    common: dict[str, dict[str, set[str]]] = {}
    for path in RECORDED.glob("*.json"):
        for exchange in json.loads(path.read_text()):
            for row in rows_of(exchange["body"]):
                seen = common.setdefault(exchange["command"], {}).setdefault(exchange["role"], set(row))
                seen &= set(row)
    return {command: {role: seen - OF_A_PROJECT for role, seen in roles.items()} for command, roles in common.items()}


def rows_of(body: Any) -> list[dict[str, Any]]:
    """Return the objects inside an answer: the rows of a list, or the one object; none of an error or a job."""
    inner: Any = next(iter(body.values()), {}) if isinstance(body, dict) else {}
    if not isinstance(inner, dict) or "errorcode" in inner:
        return []
    found = [value for value in inner.values() if isinstance(value, dict)]
    for value in inner.values():
        if isinstance(value, list):
            found += [item for item in value if isinstance(item, dict)]
    return found
