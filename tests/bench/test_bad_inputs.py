"""The short form of the bench of bad inputs, and that the bench itself can find what it looks for."""

from __future__ import annotations

import pytest

from tests.bench.input_case import Answer, Case, problems
from tests.bench.test_short import run_bench

CASE = Case("a case", ("run",), ("bad.toml",), codes=(0, 64), secrets=("sEcReT",))


def test_bad_inputs_end_in_words() -> None:
    """Some of each kind, always the same."""
    run_bench("bad_inputs", "--count", "20", "--seed", "5", within_s=220)


@pytest.mark.parametrize(
    ("code", "said", "found"),
    [
        (64, "bad.toml: not TOML", []),
        (0, "", []),
        (None, "", ["hangs: not over after 1 s"]),
        (70, "a bug in vrbench, bad.toml", ["exit code 70, allowed: (0, 64)", "a traceback, or called a bug"]),
        (64, "bad.toml: \x1b[31m", ["raw characters: '\\x1b'"]),
        (64, "bad.toml: sEcReT", ["a secret is shown"]),
        (64, "wrong", ["not named: ('bad.toml',)"]),
        (64, "bad.toml" * 9000, ["says 72000 characters"]),
    ],
)
def test_what_is_wrong_is_found(code: int | None, said: str, found: list[str]) -> None:
    """Each thing that the bench looks for."""
    assert problems(CASE, Answer(code, "", said, 1.0)) == found
