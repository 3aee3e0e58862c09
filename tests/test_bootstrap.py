"""The set-up's commands: what ``check`` and ``test`` run, and what CI asks of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import BEGIN_FIRST
from vrbench import bootstrap

ROOT = Path(__file__).parent.parent


def test_check_leaves_nothing_out() -> None:
    """Check is what reads the code, the tests and the slow tests; CI's two commands together are just that."""
    whole = bootstrap.commands("check", [])
    quick, rest = bootstrap.commands("test", []), bootstrap.commands("check", [bootstrap.BUT_TEST])
    assert sorted(rest + quick) == sorted(whole)
    assert not [command for command in rest if command in quick]
    words = " ".join(word for command in whole for word in command[2:])
    for part in (
        "ruff format --check",
        "ruff check",
        "mypy",
        "codespell_lib",
        "-m not slow",
        "-m slow and not alone",
        "-m alone",
    ):
        assert part in words


def test_every_folder_of_tests_is_in_one_of_the_two_parts() -> None:
    """The first part takes all but the folders of the second; those exist."""
    first, second = [c for c in bootstrap.commands("test", []) if "pytest" in c]
    assert {word.removeprefix("--ignore=") for word in first if word.startswith("--ignore=")} == set(second[-3:])
    assert first[-1] == "tests"
    assert all((ROOT / folder).is_dir() for folder in second[-3:])


def test_chosen_tests_are_run_without_coverage() -> None:
    """What is measured of a few tests says nothing of the whole."""
    (command,) = bootstrap.commands("test", ["tests/core", "-x"])
    assert command[-4:] == ["tests/core", "-x", "-m", "not slow"]
    assert "--cov" not in command


def test_ci_runs_the_check_and_the_command_of_the_readme() -> None:
    """Word for word, and nothing else."""
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    run = [line for line in lines if "bootstrap" in line]
    assert run == [
        "python3 -m vrbench.bootstrap --install-missing check --but-test",
        "python3 -m vrbench.bootstrap --install-missing test",
    ]
    assert f"\n{run[1]}\n" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("begun", BEGIN_FIRST)
def test_what_begins_first_is_there(begun: str) -> None:
    """A file that was moved or renamed is to be looked up."""
    assert list((ROOT / "tests").glob(f"{begun}*")), begun


@pytest.mark.parametrize(("codes", "first"), [((0, 0), 0), ((0, 3, 0, 2), 3)])
def test_the_first_failure_counts_and_hides_no_other(codes: tuple[int, ...], first: int, tmp_path: Path) -> None:
    """Every command runs."""
    marks = [tmp_path / str(number) for number in range(len(codes))]
    lines = [["sh", "-c", f"touch {mark}; exit {code}"] for mark, code in zip(marks, codes, strict=True)]
    assert bootstrap.run_all(lines) == first
    assert [mark for mark in marks if not mark.exists()] == []
