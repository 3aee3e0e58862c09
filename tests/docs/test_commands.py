"""Every command that a document shows runs: the ones that need no cloud here, the others on a lab as their cloud."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import pytest

from tests.cli.zone import MEASURED, PROFILE, running_zone
from tests.docs.markdown import ROOT, Document, document, documents
from tests.packed import unpack
from tests.test_stored import STORED
from vrbench import bootstrap
from vrbench.cli.exits import Exit
from vrbench.cli.profiles import shipped
from vrbench.lab import lifecycle


class Kind(Enum):
    """What a command of a document needs, by how it begins; the first that fits counts."""

    SET_UP = r"python3 -m (vrbench\.bootstrap|venv) |\.venv/bin/pip install |\. \.venv/bin/activate|pip install "
    LAB = r"vrbench lab |CLOUDSTACK_CONFIG=/tmp/zone/"
    OFFLINE = r"vrbench (profiles|analyze|export)\b|vrbench run .*--plan"
    CALIBRATE = r"vrbench calibrate"
    CLOUD = r"vrbench (init|doctor|run|cleanup) "
    TESTS = r"python -m tests\.bench\.|pytest|pre-commit|python3? -m pytest"


AS_ROOT = "sudo .venv/bin/"  # how an operator begins what needs root; the tests run without it
SMALL = "".join(
    f" --set {table}.{key}={value}"
    for table, keys in tomllib.loads(PROFILE).items()
    if isinstance(keys, dict)
    for key, value in keys.items()
)
LINES = [(d, line) for d in documents() for line in d.shell_lines]


def kind_of(line: str) -> Kind | None:
    """Return what a line needs; None where nobody knows."""
    return next((kind for kind in Kind if re.match(kind.value, line.removeprefix(AS_ROOT))), None)


def lines(found: Document, *kinds: Kind) -> list[str]:
    """Return the lines of these kinds, in their order, as one types them who is root."""
    return [line.removeprefix(AS_ROOT) for line in found.shell_lines if kind_of(line) in kinds]


@pytest.mark.parametrize(("found", "line"), LINES, ids=[line for _, line in LINES])
def test_every_line_is_of_a_kind_that_is_run(found: Document, line: str) -> None:
    """A command that no test knows how to run must not stand in a document."""
    assert kind_of(line) is not None, found.path


def test_the_two_commands_stand_word_for_word() -> None:
    """The README's two commands, and what the bootstrap knows besides."""
    shown = lines(document("README.md"), Kind.SET_UP)
    assert [f"python3 -m vrbench.bootstrap --install-missing {what}" in shown for what in ("demo", "test")] == [
        True
    ] * 2
    asked = {line.split()[-1] for found in documents() for line in lines(found, Kind.SET_UP) if "bootstrap" in line}
    assert all(what == "setup" or bootstrap.commands(what, []) for what in asked)


@pytest.mark.slow
def test_the_set_up_lines_work_word_for_word_with_the_systems_python(tmp_path: Path) -> None:
    """Also where pip is told to leave the system alone. Libraries are taken from here: what is tried are the lines."""
    for name in ("vrbench", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    libraries = sysconfig.get_path("purelib")
    environ = {"PATH": f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    environ |= {"PYTHONPATH": libraries, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    first = next(block for block in document("README.md").blocks if block.under[-1] == "Measure your own cloud")
    for line in first.text.splitlines():
        done = run(line, tmp_path, environ, timeout_s=120)
        assert done.returncode == 0, f"{line}: {done.stderr}{done.stdout}"
    told = run(".venv/bin/vrbench --version", tmp_path, environ)
    assert told.stdout.startswith("vrbench, version"), told.stderr


@contextmanager
def shell(here: Path) -> Iterator[dict[str, str]]:
    """Provide the environment of a shell in which ``vrbench`` is this checkout's, and no cloud is known."""
    programs = here / "bin"
    programs.mkdir()
    (programs / "vrbench").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m vrbench "$@"\n')
    (programs / "vrbench").chmod(0o755)
    path = ":".join((str(programs), str(Path(sys.executable).parent), os.environ["PATH"]))
    ours = {k: v for k, v in os.environ.items() if not k.startswith("CLOUDSTACK_")}
    yield {**ours, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(here), "COLUMNS": "100"}


def run(line: str, here: Path, environ: dict[str, str], timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one line as a person's shell would."""
    return subprocess.run(
        ["bash", "-c", line], cwd=here, env=environ, capture_output=True, text=True, timeout=timeout_s, check=False
    )


OFFLINE = [d for d in documents() if lines(d, Kind.OFFLINE)]


@pytest.mark.parametrize("found", OFFLINE, ids=lambda d: str(d.path.relative_to(ROOT)))
def test_commands_that_need_no_cloud(found: Document, tmp_path: Path) -> None:
    """They end well, in the order in which they stand, with one stored run under reports."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "mine.toml").write_text(shipped()["isolated"])  # what init would write
    stored = unpack(STORED / "parallel" / "run.tar.xz", tmp_path / "reports")
    with shell(tmp_path) as environ:
        for line in lines(found, Kind.OFFLINE):
            done = run(line.replace("RUN", stored.name), tmp_path, environ)
            assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.lab
@pytest.mark.slow
def test_the_demo_ends_with_the_table_of_its_picture(tmp_path: Path) -> None:
    """The README's first command, with one trial of each instead of three; other work may make a trial unknown."""
    with shell(tmp_path) as environ:
        done = run("vrbench demo --trials 1 --plain", tmp_path, environ, timeout_s=240)
    assert done.returncode in (Exit.OK, Exit.NOT_VALID), done.stderr
    table = done.stdout.partition("How long the network is down")[2].partition("Caveats")[0].splitlines()
    averages = [line.partition(" average ")[0].rstrip() for line in table if " average " in line]
    assert averages == ["egress, ongoing ping", "ingress, SSH service"]
    (csv,) = (tmp_path / "reports").glob("demo-*.csv")
    assert len(csv.read_text().splitlines()) == 3


def codes(line: str) -> tuple[int, ...]:
    """Return how a line may end where nothing is wrong; figures of a machine that stood still are not valid."""
    return MEASURED if re.search(r"vrbench (run|analyze) ", line) else (Exit.OK,)


@pytest.mark.lab
@pytest.mark.slow
def test_the_quick_start_on_a_lab_as_the_cloud(tmp_path: Path) -> None:
    """Its steps one after the other, as an operator takes them; only the profile is made small where it is written."""
    with running_zone(tmp_path) as zone, shell(tmp_path) as environ:
        environ["CLOUDSTACK_CONFIG"] = str(zone.state / "cloudstack.ini")
        for line in lines(document("README.md"), Kind.OFFLINE, Kind.CLOUD):
            command = line.replace("doctor ", "doctor --no-calibrate ") + (SMALL if "vrbench init" in line else "")
            inside = lifecycle.enter(zone.state, "upstream", ["bash", "-c", command])
            done = run(shlex.join(inside), tmp_path, environ, timeout_s=120)
            assert done.returncode in codes(line), f"{line}: {done.stderr}{done.stdout}"
        assert zone.left() == []


@pytest.mark.lab
@pytest.mark.slow
def test_the_lab_by_hand(tmp_path: Path) -> None:
    """All lines of its document, with a network that stays, so that there is something to break; down comes last."""
    (tmp_path / "mine.toml").write_text(PROFILE)
    state, here = str(tmp_path / "zone"), document("vrbench/lab/README.md")
    shown = [
        line.replace("/tmp/zone", state).replace("run mine.toml", "run mine.toml --keep") for line in here.shell_lines
    ]
    shown.sort(key=lambda line: "lab down" in line)
    with shell(tmp_path) as environ:
        try:
            for line in shown:
                done = run(line, tmp_path, environ, timeout_s=120)
                assert done.returncode in codes(line), f"{line}: {done.stderr}{done.stdout}"
        finally:
            lifecycle.down(Path(state))
