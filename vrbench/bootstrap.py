"""Set up from a bare checkout, then run: ``python3 -m vrbench.bootstrap [--install-missing] demo|test|check [ARGS]``.

Needs nothing but a Python and this checkout: finds the system packages that are missing, makes .venv, installs vrbench
with its libraries there, and runs the demo, the tests, or every check. ``check`` is format, lint, types, spelling, the
tests, the slow tests and what measures; ``check --but-test`` leaves out what ``test`` runs.
Kept to old syntax down to the version test.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from vrbench.lab import requirements
from vrbench.private import child_environment

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TEST_PACKAGES = {
    "arping": "iputils-arping",
    "busybox": "busybox",
    "conntrack": "conntrack",
    "fping": "fping",
    "gcc": "gcc",
    "tcpdump": "tcpdump",
}
WORKERS_PER_CORE = 3  # most tests wait for packets, timers and daemons: processors are idle for most of their time
UNMEASURED = ["tests/lab", "tests/probes", "tests/clients"]
BUT_TEST = "--but-test"
PYTHON = str(VENV / "bin" / "python")
USAGE = 64


def main() -> int:
    """Parse, set up and run; return the exit code of what was run."""
    if sys.version_info < (3, 11):
        print("vrbench needs Python 3.11 or later; this is " + sys.version.split()[0], file=sys.stderr)
        return USAGE
    parser = argparse.ArgumentParser(prog="python3 -m vrbench.bootstrap", description=__doc__.splitlines()[0])
    parser.add_argument("--install-missing", action="store_true", help="install system packages (root or sudo)")
    parser.add_argument("what", choices=["demo", "test", "check", "setup"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on")
    asked = parser.parse_args()
    problem = system_packages(asked.install_missing, tests=asked.what in ("test", "check"))
    if problem:
        print(problem, file=sys.stderr)
        return USAGE
    make_venv("" if asked.what == "demo" else "[test,clients]")
    return run_all(commands(asked.what, asked.arguments))


def system_packages(install_missing: bool, tests: bool) -> str:
    """Find what the system lacks, install it if asked to; returns what is still wrong, in words, or nothing."""
    lacking = find_missing(tests)
    if lacking and install_missing:
        print("installing: " + " ".join(lacking.packages), file=sys.stderr)
        try:
            requirements.install(lacking)
        except RuntimeError as error:
            return str(error)
        lacking = find_missing(tests)
    if lacking:
        return lacking.message() + "Or run the same command with --install-missing."
    return "\n".join(requirements.check_machine())


def find_missing(tests: bool) -> requirements.Missing:
    """Find what the lab lacks, what Debian splits off from Python, and what only tests need."""
    lab = requirements.find_missing()
    more = {"python3 -m venv": "python3-venv"} if importlib.util.find_spec("ensurepip") is None else {}
    if tests:
        path = requirements.SEARCH_PATH
        found = {command for command in TEST_PACKAGES if shutil.which(command, path=path) is not None}
        more.update({command: package for command, package in TEST_PACKAGES.items() if command not in found})
    return requirements.Missing((*lab.commands, *more), (*lab.packages, *more.values()))


def make_venv(extras: str) -> None:
    """Make a virtual environment with vrbench and its ``extras``, anew when what it depends on has changed."""
    stamp = VENV / "installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()
    have = stamp.read_text().splitlines() if stamp.is_file() else []
    if have[:1] == [wanted] and extras in ("", *have[1:]):
        return
    print("setting up " + str(VENV), file=sys.stderr)
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True, env=child_environment())
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", str(ROOT) + extras], check=True, env=child_environment())
    stamp.write_text(wanted + "\n" + extras)


def commands(what: str, arguments: list[str]) -> list[list[str]]:
    """List the command lines for one word."""
    if what == "demo":
        return [[str(VENV / "bin" / "vrbench"), "demo", *arguments]]
    if what == "test":
        return test_commands(arguments)
    if what == "check":
        left = [argument for argument in arguments if argument != BUT_TEST]
        return static_commands() + ([] if BUT_TEST in arguments else test_commands(left)) + slow_commands(left)
    return []


def run_all(lines: list[list[str]]) -> int:
    """Run all of them, so that one failure hides no other; return the code of the first that failed."""
    codes = [subprocess.call(line, cwd=ROOT) for line in lines]
    return next((code for code in codes if code), 0)


def static_commands() -> list[list[str]]:
    """List what reads the code and runs none of it: format, lint, types, spelling."""
    checks = [["ruff", "format", "--check"], ["ruff", "check"], ["mypy"], ["codespell_lib"]]
    return [[PYTHON, "-m", *check] for check in checks]


def test_commands(arguments: list[str]) -> list[list[str]]:
    """List the tests but for the slow ones; without arguments, coverage is measured and held as well.

    No tracer runs beside tests of times: the rooms of ``UNMEASURED`` come after the others, without one.
    """
    quick = [*pytest_command(arguments), "-m", "not slow"]
    if arguments:
        return [quick]
    others = ["--ignore=" + path for path in UNMEASURED]
    report = [PYTHON, "-m", "coverage", "report", "--fail-under=95"]
    held = [[*report, "--include=vrbench/" + room + "/*"] for room in ("core", "cloud", "store", "run")]
    return [[*quick, "--cov", "--cov-report=", *others, "tests"], [*quick, *UNMEASURED], *held]


def slow_commands(arguments: list[str]) -> list[list[str]]:
    """List the slow tests, and after them those that hold times, such as benches: one at a time, beside nothing."""
    slow = [*pytest_command(arguments), "-m", "slow and not alone"]
    return [slow, [PYTHON, "-m", "pytest", *arguments, "-m", "alone"]]


def pytest_command(arguments: list[str]) -> list[str]:
    """Build the start of a command for many tests: each file on one worker, begun in the order of tests/conftest.py."""
    workers = str(WORKERS_PER_CORE * (os.cpu_count() or 1))
    shared_out = ["--numprocesses", workers, "--dist", "loadfile", "--no-loadscope-reorder"]
    return [PYTHON, "-m", "pytest", *shared_out, *arguments]


if __name__ == "__main__":
    sys.exit(main())
