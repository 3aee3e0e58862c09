"""Which cloud is meant, and by whose keys: settings, files and places as other tools know them."""

from __future__ import annotations

import pytest

from tests.field.case import Case
from tests.field.conftest import Hold

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "no cloud is named",
        "no `cloudstack.ini` anywhere, no variable",
        code=64,
        said=("no CloudStack",),
        files={"cloudstack.ini": None},
    ),
    Case(
        "a secret that is not the key's",
        "`secret` in `cloudstack.ini` is another one",
        code=3,
        said=("unable to verify user credentials",),
        files={"cloudstack.ini": "[cloudstack]\nendpoint = {FRONT}\nkey = {KEY}\nsecret = another\n"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
