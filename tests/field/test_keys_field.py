"""Keys and guests as they are."""

from __future__ import annotations

import pytest

from tests.field.case import Case
from tests.field.conftest import Hold

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "a server that is new enough",
        "the API takes any key",
        code=0,
        said=("nothing bad",),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
