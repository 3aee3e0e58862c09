"""Keys and guests as they are."""

from __future__ import annotations

import pytest

from tests.field.case import RUN, Case
from tests.field.conftest import Hold
from tests.field.fronts import Front, takes_no_ed25519

pytestmark = pytest.mark.lab

CASES = (
    Case(
        "a server that is new enough",
        "the API takes any key",
        code=0,
        said=("nothing bad",),
    ),
    Case(
        "a server and guests that take RSA only, and another user",
        "the API refuses the key as servers before 4.14 do; sshd takes RSA only, and root's logins only name a user",
        code=0,
        said=(
            "this cloud takes no ed25519 key (Public key is invalid): another kind is tried",
            "the template lets root run nothing and names debian: logged in as debian",
        ),
        changes=True,
        argv=RUN,
        front=Front((takes_no_ed25519,)),
        faults={"guests-are": {"like": "cloud-image"}},
    ),
    Case(
        "a template with a forced command",
        "sshd runs something else than what it is asked",
        code=3,
        said=("does not run what it is asked (exit code 0); it said 'restricted'", "forced command in authorized_keys"),
        changes=True,
        argv=RUN,
        faults={"guests-are": {"like": "forced-command"}},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
