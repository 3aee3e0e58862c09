"""Which error ends in which exit code."""

import pytest

from vrbench.cli.error_codes import FAMILIES, code_and_text


@pytest.mark.parametrize("path", FAMILIES)
def test_error_families_exist(path: str) -> None:
    """Every error that the exit codes are decided by is a class of that name."""
    module, _, name = path.rpartition(".")
    kind = getattr(__import__(module, fromlist=[name]), name)
    assert issubclass(kind, Exception)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "/nowhere/x.csv"),
            "/nowhere/x.csv: No such file or directory",
        ),
        (OSError(28, "No space left on device"), "No space left on device"),
        (MemoryError(), "not enough memory here: what was read is too large for this machine"),
    ],
)
def test_what_the_system_says_is_in_words(error: Exception, words: str) -> None:
    """With the file, and without Python's way of writing errors: this machine failed, and nothing is a bug."""
    assert code_and_text(error) == (2, words)
