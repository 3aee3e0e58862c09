"""The way to the API: proxies, TLS, gateways, rate limits, clocks."""

from __future__ import annotations

import pytest

from tests.field.case import Case
from tests.field.conftest import Hold
from tests.field.fronts import Front

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "an authority of one's own",
        "the API speaks TLS with a certificate of an own authority, and `CLOUDSTACK_VERIFY` names it",
        code=0,
        said=("nothing bad",),
        front=Front(tls=True),
        environ={"CLOUDSTACK_VERIFY": "{CERTS}/ca.pem"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
