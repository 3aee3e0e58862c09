"""On other systems stored runs are analysed and exported; what needs Linux says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packed import unpack

TESTS = Path(__file__).parents[1]
HERE = {"darwin": (("init", 3), ("cleanup", 0)), "win32": (("init", 64), ("cleanup", 64))}


@pytest.mark.parametrize("system", HERE)
def test_stored_runs_are_read_and_what_needs_linux_says_so(system: str, tmp_path: Path) -> None:
    """One process for all, as pandas takes its time."""
    run = unpack(TESTS / "stored/parallel/run.tar.xz", tmp_path / "run")
    codes = {"run": 64, "doctor": 64, **dict(HERE[system]), "profiles": 0, "analyze": 0, "export": 0}
    more = {"run": "isolated", "cleanup": "--all", "analyze": f"{run}", "export": f"{run} --table trials"}
    lines = [word for name in codes for word in ("--", name, *more.get(name, "").split())]
    cloud = {"CLOUDSTACK_ENDPOINT": "http://127.0.0.1:9/client/api", "CLOUDSTACK_KEY": "k", "CLOUDSTACK_SECRET": "s"}
    done = subprocess.run(
        [sys.executable, str(TESTS / "field/other_system.py"), system, *lines],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent), **cloud},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ends = [line for line in done.stderr.splitlines() if ": exit " in line]
    assert ends == [f"{name}: exit {code}" for name, code in codes.items()], done.stderr
    assert done.stderr.count(f"needs Linux, and this is {system}") == sum(code == 64 for code in codes.values())
    assert "a bug in vrbench" not in done.stderr
    assert "Restarting the router" in done.stdout
    assert "run_id,trial," in done.stdout
