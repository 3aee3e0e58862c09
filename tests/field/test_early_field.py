"""What a look at this machine and its network tells before anything is built."""

from __future__ import annotations

import pytest

from tests.field.case import DOCTOR, Case
from tests.field.conftest import Hold

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "a target that does not answer",
        "`probes.egress_target` is an address where nobody is",
        code=0,
        said=("203.0.113.99",),
        argv=(*DOCTOR, "--set", "probes.egress_target=203.0.113.99"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
