"""The house's walls: which room may import which (design, section 2), and what start-up may load."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vrbench"
MAY_IMPORT = {
    "core": {"core"},
    "parallel": {"parallel"},
    "plain_files": {"plain_files"},
    "private": {"private"},
    "route": {"route"},
    "remote": {"core", "remote"},
    "cloud": {"core", "cloud", "remote", "parallel", "plain_files", "route"},
    "probes": {"core", "probes", "remote", "parallel", "private", "route"},
    "lab": {"lab", "private"},
    "store": {"core", "store", "plain_files", "private", ""},
    "report": {"core", "report"},
    # A run knows the cloud and its guests, and neither the command line nor the lab.
    "run": {"core", "remote", "cloud", "probes", "store", "run", "private", ""},
    "embedded": {"core", "lab", "store", "run", "embedded", "private"},
    "cli": {
        *("core", "remote", "cloud", "probes", "lab", "store", "report", "run", "embedded", "cli"),
        *("plain_files", "private", ""),
    },
    "bootstrap": {"lab", "bootstrap", "private"},
    "__main__": {"cli"},
    "": {""},
}
# The shelves of a room, from the ground up: files by name, folders whole. Each imports only what stands before it.
SHELVES = {
    "core": (
        *("text", "suggest", "values", "findings", "kinds", "model", "caveats", "facts", "machine_calibration"),
        *("log", "plan", "ports", "figures", "causes", "judge", "analysis", "calibrate"),
    ),
    "cloud": (
        *("errors", "tally", "credentials", "api", "environment_plan", "journal", "check", "operate", "build"),
        "remove",
    ),
}
PLACES = [(room, place) for room, places in SHELVES.items() for place in places]
LAB_IN_CLI = ["cleanup.py", "doctor_machine.py", "lab.py", "lab_ready.py"]
ONE_IMPORTER = {
    "cs": "cloud/api/channel.py",
    "icmplib": "probes/ping_check.py",
    "pandas": "report/export_files.py",
    "matplotlib": "report/plot.py",
}
PARAMIKO = ["remote/connection.py", "remote/login.py"]
NUMPY = ["core/log/answers.py", "core/log/columns.py", "core/log/samples.py"]
HEAVY = ("pandas", "matplotlib", "numpy", "paramiko", "cs", "requests", "icmplib", "rich", "yaml", "asyncio")


def room(module: str) -> str:
    """Name the room of a module of ours: vrbench.core.model -> core; vrbench itself is ''."""
    return module.partition(".")[2].partition(".")[0]


@functools.cache
def tree(path: Path) -> ast.Module:
    """Parse a file, once for all tests."""
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path) -> set[str]:
    """Every module that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    """A room imports only the rooms that the design gives it."""
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")
    ours = {room(m) for m in imports(path) if m == "vrbench" or m.startswith("vrbench.")}
    assert ours <= MAY_IMPORT[here], f"{here} must not import {sorted(ours - MAY_IMPORT[here])}"


def test_no_import_goes_in_a_circle() -> None:
    """Whatever a module imports, at any depth, never leads back to it: each can be read without the next."""
    modules = {module_name(path): path for path in FILES}
    graph = {name: imported_modules(path, set(modules)) for name, path in modules.items()}
    assert sum(map(len, graph.values())) > len(FILES)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]), pytrace=False)


def module_name(path: Path) -> str:
    """Name the module of a file: core/model.py -> vrbench.core.model."""
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def imported_modules(path: Path, ours: set[str]) -> set[str]:
    """Find which of our modules a file imports; ``from package import module`` is the module."""
    found = imports(path) & ours
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & ours
            found = found - {str(node.module)} | inner if inner else found
    return found


def test_few_commands_know_the_lab() -> None:
    """Those that look after one; whatever measures has it started by ``embedded``."""
    knowing = [p.name for p in sorted((PACKAGE / "cli").glob("*.py")) if any(room(m) == "lab" for m in imports(p))]
    assert knowing == LAB_IN_CLI


def shelf(module: str) -> str:
    """Name the shelf of a module: vrbench.core.log.samples -> log."""
    return module.split(".")[2]


@pytest.mark.parametrize("name", SHELVES)
def test_every_part_of_a_room_has_its_shelf(name: str) -> None:
    """A new file or folder is given its place."""
    parts = {p.relative_to(PACKAGE / name).parts[0].removesuffix(".py") for p in (PACKAGE / name).rglob("*.py")}
    assert parts - {"__init__"} == set(SHELVES[name])


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_nothing_is_imported_from_a_shelf_above(name: str, place: str) -> None:
    """So there is no circle between shelves either."""
    at = PACKAGE / name / place
    files = at.rglob("*.py") if at.is_dir() else [at.with_suffix(".py")]
    used = {shelf(m) for path in files for m in imports(path) if m.startswith(f"vrbench.{name}.")}
    below = SHELVES[name][: SHELVES[name].index(place) + 1]
    assert used <= set(below), f"{name}/{place} must not import {sorted(used - set(below))}"


@pytest.mark.parametrize(("library", "place"), ONE_IMPORTER.items())
def test_each_adapter_library_has_one_importer(library: str, place: str) -> None:
    """cs, icmplib, matplotlib and pandas are each imported in one file."""
    importers = [str(p.relative_to(PACKAGE)) for p in FILES if any(m.partition(".")[0] == library for m in imports(p))]
    assert importers == [place]


def test_core_uses_the_standard_library_numpy_and_msgspec_only() -> None:
    """Nothing else of core comes from outside the interpreter."""
    outside = {
        m.partition(".")[0]
        for p in (PACKAGE / "core").rglob("*.py")
        for m in imports(p)
        if m.partition(".")[0] not in {*sys.stdlib_module_names, "vrbench"}
    }
    assert outside == {"numpy", "msgspec"}


def test_paramiko_stays_in_its_room() -> None:
    """To log in, and to use a connection; nobody else sees its types."""
    importers = [str(p.relative_to(PACKAGE)) for p in FILES if any("paramiko" in m for m in imports(p))]
    assert importers == PARAMIKO


def test_numpy_stays_where_columns_are() -> None:
    """Whatever else needs samples asks for them: guests have no numpy, and it takes its time to load."""
    importers = [str(p.relative_to(PACKAGE)) for p in FILES if any(m.partition(".")[0] == "numpy" for m in imports(p))]
    assert importers == NUMPY


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["demo", "--help"], ["lab", "--help"], ["profiles"]], ids=" ".join
)
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    """Start-up stays light: no library that only a run needs is loaded for help, or to list profiles."""
    code = (
        "import sys\nfrom vrbench.cli.main import cli\n"
        f"try: cli.main({arguments!r}, standalone_mode=False)\nexcept SystemExit: pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
