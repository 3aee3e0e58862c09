"""What a process inherits: signals, a home, a terminal, streams, another system."""

from __future__ import annotations

import pytest

from tests.field.case import Case
from tests.field.conftest import Hold

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "no home directory",
        "`HOME` names a folder that is not there",
        code=0,
        said=("nothing bad",),
        environ={"HOME": "/nowhere"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
