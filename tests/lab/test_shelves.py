"""The shelves of the lab: a stranger finds a thing by its noun, and imports point one way."""

import ast
import re
from pathlib import Path

import pytest

import vrbench.lab
from vrbench.lab import api
from vrbench.lab.api.server.commands import FAMILIES, handlers
from vrbench.lab.api.state.fixtures import base_shapes

LAB = Path(vrbench.lab.__file__).parent
API = LAB / "api"
SHELVES = re.findall(r"^(\w+) +\w", (api.__doc__ or "").split("==\n")[1], re.MULTILINE)
ROOMS = {  # of the lab: what each may import beside itself
    "system": {"ground"},
    "ground": set[str](),
    "strategies": {"ground", "timing"},
    "presets": {"timing"},
    "api": {"ground", "strategies", "timing", "faults", "limits"},
    "packets": {"ground", "system", "faults", "router_history", "status"},
}


def imported(path: Path, prefix: str) -> set[str]:
    """Return the first names after ``prefix`` in a file's imports."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix(prefix).partition(".")[0] for name in names if name.startswith(prefix)}


def test_every_shelf_has_its_place() -> None:
    """The folders of the API are the shelves in its docstring's table, whose order the next test goes by."""
    assert sorted(SHELVES) == sorted(p.name for p in API.iterdir() if (p / "__init__.py").exists())


@pytest.mark.parametrize("shelf", SHELVES)
def test_shelves_import_only_those_above(shelf: str) -> None:
    """No command reaches for a noun further down, so that there is no circle."""
    allowed = set(SHELVES[: SHELVES.index(shelf) + 1])
    for path in (API / shelf).glob("*.py"):
        assert imported(path, "vrbench.lab.api.") <= allowed, path.name


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_of_the_lab_import_one_way(name: str) -> None:
    """The API knows the ground's interface and no packets; packets know nothing of the API."""
    for path in (LAB / name).rglob("*.py"):
        assert imported(path, "vrbench.lab.") <= ROOMS[name] | {name}, path.name


def test_each_command_stands_once() -> None:
    """No two families answer the same command, and all that answers is in the list of commands."""
    answered = [name.lower() for family in FAMILIES for name in family.COMMANDS]
    assert len(answered) == len(handlers())
    assert set(answered) <= set(base_shapes())


def test_the_docstring_counts_the_commands() -> None:
    """The API is complete: whoever adds a command says so where its number stands."""
    assert f"It answers {len(handlers())} commands" in (api.__doc__ or "")
