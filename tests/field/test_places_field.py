"""Projects, domains, accounts and zones."""

from __future__ import annotations

import pytest

from tests.cloud.places import BELOW, make
from tests.field.case import DOCTOR, RUN, Case
from tests.field.conftest import Hold
from tests.field.place import Place
from vrbench.cloud.api.facade import Cloud

pytestmark = pytest.mark.lab


def within(*words: str) -> tuple[str, ...]:
    """Return what a command is told of [cloud]."""
    return tuple(part for word in words for part in ("--set", f"cloud.{word}"))


CASES = (
    Case(
        "a domain's administrator",
        "the keys are a domain administrator's",
        code=0,
        said=("nothing bad",),
        role="domadmin",
    ),
    Case(
        "a project",
        "`cloud.project` is one that the user is in",
        code=0,
        said=("project 'alpha' in ops", "nothing bad"),
        role="user",
        argv=(*DOCTOR, *within("project=alpha"), "--set", "environment.accept_slow_removal=true"),
    ),
    Case(
        "a profile for a project",
        "`init` where there are two that may be built in",
        code=0,
        said=("the account's own, in no project, one of", "is written"),
        role="user",
        argv=("init", "--output", "new.toml"),
    ),
    Case(
        "a project that is misspelt",
        "`cloud.project` is `alfa`",
        code=3,
        said=("project 'alfa' is none that this account may build in (nearest: alpha", "correct the name"),
        role="domadmin",
        argv=(*RUN, *within("project=alfa")),
    ),
    Case(
        "another's project",
        "`cloud.project` is one that the user is not in",
        code=3,
        said=("project 'beta' is none that this account may build in", "have the account added to the project"),
        role="user",
        argv=(*RUN, *within("project=beta")),
    ),
    Case(
        "two projects of one name",
        "`cloud.project` is in two domains, and `cloud.domain` is not named",
        code=3,
        said=("'twin' is the name of 2 projects, in ROOT/b/a, ROOT/ops/a: say which one by its domain's path",),
        argv=(*RUN, *within("project=twin")),
    ),
    Case(
        "a project that is suspended",
        "its state is Suspended",
        code=3,
        said=("project 'paused' is Suspended, so nothing can be made in it", "activate it"),
        argv=(*RUN, *within("project=paused")),
    ),
    Case(
        "a project without room",
        "its limit of VMs is 0, and its administrator's is none",
        code=3,
        said=("the project's limit leaves 0 VMs, the plan needs 2",),
        argv=(*RUN, *within("project=full")),
    ),
    Case(
        "a project and an account",
        "`cloud.project` and `cloud.account` are both named",
        code=64,
        said=("cloud.project and cloud.account don't go together",),
        argv=(*RUN, *within("project=alpha", "account=tenant")),
    ),
    Case(
        "a user for another account",
        "`cloud.account` is not the user's own",
        code=3,
        said=("these are a user's keys, of account 'tenant', which may build for that account only",),
        role="user",
        argv=(*RUN, *within("account=domadmin")),
    ),
    Case(
        "an account of a subdomain",
        "`cloud.account` is in a domain below the administrator's",
        code=0,
        said=("account 'subuser' in ROOT/ops/a", "nothing bad"),
        role="domadmin",
        argv=(*DOCTOR, *within("account=subuser")),
    ),
    Case(
        "a domain's name that is two domains'",
        "`cloud.domain` is `a`, and there are ROOT/ops/a and ROOT/b/a",
        code=3,
        said=("domain 'a' is the name of 2 domains, ROOT/b/a, ROOT/ops/a: give the path",),
        argv=(*RUN, *within("account=subuser", "domain=a")),
    ),
    Case(
        "an account that is locked",
        "`cloud.account` is, and the keys are the root administrator's",
        code=3,
        said=("account 'idle' is locked, so nothing can be made for it: enable it",),
        argv=(*RUN, *within("account=idle", f"domain={BELOW}")),
    ),
    Case(
        "a zone of another name",
        "`cloud.zone` differs in one sign",
        code=3,
        said=("zone 'Sandbox-Simulator' not found; nearest: Sandbox-simulator",),
        argv=(*RUN, *within("zone=Sandbox-Simulator")),
    ),
)


@pytest.fixture(scope="module", autouse=True)
def places(place: Place) -> None:
    """Make the domains, accounts and projects that the cases are about, once in a lab."""
    root = place.zone.cloud
    if any(row["path"] == "ROOT/b" for row in root.list("listDomains", "domain", listall=True)):
        return
    make(root)
    owner = {"account": "tenant", "domainid": _domain(root, "ROOT/ops")}
    paused, full = (_project(root, name, owner) for name in ("paused", "full"))
    root.run("suspendProject", id=paused)
    root.call("updateResourceLimit", resourcetype=0, max=0, projectid=full)
    told = {"username": "idle", "firstname": "I", "lastname": "T", "email": "idle@example.org", "password": "p"}
    below = _domain(root, BELOW)
    root.call("createAccount", accounttype=0, domainid=below, **told)
    root.run("disableAccount", lock=True, account="idle", domainid=below)


def _domain(root: Cloud, path: str) -> str:
    return next(str(row["id"]) for row in root.list("listDomains", "domain", listall=True) if row["path"] == path)


def _project(root: Cloud, name: str, owner: dict[str, str]) -> str:
    job = root.submit("createProject", name=name, **owner)
    return str(root.wait(job, 60)["project"]["id"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
