"""Which error ends in which exit code."""

import pytest

from vrbench.cli.error_codes import FAMILIES, code_and_text
from vrbench.cloud.errors import PreflightError
from vrbench.core.findings import Blame, Finding, FindingState, Foreseen


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


def test_what_was_foreseen_ends_as_its_first_reason_says() -> None:
    """Each reason is a line with its cure; the profile's or this machine's fault is 64, the cloud's 3."""
    here = Finding("source", FindingState.BAD, "seen as another", "say as whom", Blame.OURS)
    there = Finding("zone", FindingState.BAD, "it is closed", "", Blame.CLOUD)
    words = "2 problems, nothing was built:\n  - seen as another: say as whom\n  - it is closed"
    assert code_and_text(Foreseen([here, there])) == (64, words)
    assert code_and_text(PreflightError.because("it is closed"))[0] == 3
