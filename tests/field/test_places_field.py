"""Projects, domains, accounts and zones."""

from __future__ import annotations

import pytest

from tests.field.case import Case
from tests.field.conftest import Hold

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "a domain's administrator",
        "the keys are a domain administrator's",
        code=0,
        said=("nothing bad",),
        role="domadmin",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
