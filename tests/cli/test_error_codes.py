"""Which error ends in which exit code."""

import pytest

from vrbench.cli.error_codes import FAMILIES


@pytest.mark.parametrize("path", FAMILIES)
def test_error_families_exist(path: str) -> None:
    """Every error that the exit codes are decided by is a class of that name."""
    module, _, name = path.rpartition(".")
    kind = getattr(__import__(module, fromlist=[name]), name)
    assert issubclass(kind, Exception)
