"""What the baseline shows before a router is restarted."""

from __future__ import annotations

import pytest

from tests.field.case import DOCTOR, Case
from tests.field.conftest import Hold

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "a control target that never answers",
        "`probes.control_target` is an address where nobody is",
        code=0,
        said=("198.51.100.250",),
        argv=(*DOCTOR, "--set", "probes.control_target=198.51.100.250"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
