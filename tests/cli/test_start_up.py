"""How light `vrbench analyze` is: what it loads, and what it takes beside the libraries that it can't do without."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packed import unpack

STORED = Path(__file__).parent.parent / "stored" / "serial" / "run.tar.xz"
LIBRARIES = ["click", "msgspec", "numpy", "rich"]
ROOMS = ["cli", "core", "plain_files", "private", "report", "run", "store"]  # of run, the signals that it handles
ROUNDS = 7
AT_MOST = 2.2  # times what loading its libraries takes

LOADED = """
import json, sys
from vrbench.cli.main import cli
cli.main(sys.argv[1:], standalone_mode=False)
own = {m.split(".")[1] for m in sys.modules if m.startswith("vrbench.")}
tables = [m for m in sys.modules if m in ("vrbench.core.plan.tables", "vrbench.core.plan.profile")]
print(json.dumps([sorted(set(%r) & set(sys.modules)), sorted(own), tables]))
"""
# numpy's threads for linear algebra cost as much as all else of it.
LIBRARIES_ALONE = """
import os
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import click, json, msgspec, numpy, rich.console, rich.table
"""
HEAVY = [
    *("asyncio", "cryptography", "cs", "icmplib", "matplotlib", "pandas", "paramiko", "pyarrow", "requests", "yaml"),
    *LIBRARIES,
]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return unpack(STORED, tmp_path / "run")


def test_analyze_loads_only_what_it_needs(stored: Path) -> None:
    """No library and no room that only a run needs, and none of a profile's tables but its limits."""
    argv = [sys.executable, "-c", LOADED % HEAVY, "analyze", str(stored)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [LIBRARIES, ROOMS, []]


@pytest.mark.slow
def test_a_small_run_is_analysed_in_little_more_than_its_libraries_take_to_load(stored: Path, tmp_path: Path) -> None:
    """The quickest of some rounds, in processor time of the same minute; compiled code is kept, as users have it."""
    environ = dict(os.environ, PYTHONPYCACHEPREFIX=str(tmp_path / "compiled"))
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    load = [sys.executable, "-c", LIBRARIES_ALONE]
    analyse = [sys.executable, "-m", "vrbench", "analyze", str(stored)]
    for argv in (load, analyse):
        processor_s(argv, environ)  # compiles
    rounds = [(processor_s(load, environ), processor_s(analyse, environ)) for _ in range(ROUNDS)]
    libraries_s, all_s = (min(each) for each in zip(*rounds, strict=True))
    assert all_s <= AT_MOST * libraries_s, f"{all_s:.3f} s, the libraries alone {libraries_s:.3f} s"


def processor_s(argv: list[str], environ: dict[str, str]) -> float:
    """Run a command to its end, and return the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, env=environ, stdout=subprocess.DEVNULL, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
