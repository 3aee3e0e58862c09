"""Projects, and accounts of other domains: built, found and removed there, or refused in words before anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.lab import DEADLINES, QUICK, is_clean, planned, silent
from tests.cloud.places import Places, places
from vrbench.cloud.api.facade import Answer
from vrbench.cloud.build.environment import build
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError, PreflightError
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.journal.replay import Head
from vrbench.cloud.operate.operations import list_routers, preparation
from vrbench.cloud.remove.looks import ours
from vrbench.cloud.remove.removal import Removal, RemovalReport
from vrbench.cloud.remove.steps import remove_journaled
from vrbench.core.model import Environment

Who = str | tuple[str, str]
SUBADMIN, SUBUSER = ("subadmin", "ROOT/ops/a"), ("subuser", "ROOT/ops/a")


@pytest.fixture(scope="module")
def here() -> Iterator[Places]:
    with places(QUICK) as made:
        yield made


def built(here: Places, who: Who, path: Path, plan: EnvironmentPlan) -> Environment:
    """Build as a run does, and leave the journal at ``path``."""
    cloud = here.cloud(who)
    resolved, _ = preflight(cloud, plan, accept_unexpunged=True)
    with Journal.create(path, resolved.head(plan.run_id, cloud.endpoint)) as journal:
        return build(cloud, plan, resolved, journal, silent)


def removed(here: Places, who: Who, path: Path) -> RemovalReport:
    with Journal.open(path) as journal:
        return remove_journaled(here.cloud(who), journal, silent, DEADLINES)


def refused(here: Places, who: Who, **where: str) -> str:
    """Return the one problem that preflight finds."""
    with pytest.raises(PreflightError) as caught:
        preflight(here.cloud(who), planned(**where), accept_unexpunged=True)
    (finding,) = caught.value.findings
    return finding.sentence


def whose(here: Places, environment: Environment) -> Answer:
    """Return the network's row, as root finds it among all there are, projects included."""
    rows = here.root.list("listNetworks", "network", listall=True) + here.of_projects()
    return next(row for row in rows if row["id"] == environment.network_id)


@pytest.mark.parametrize(
    ("who", "remover", "where"),
    [
        ("root", "user", {"project": "alpha"}),
        ("user", "domadmin", {"project": "alpha"}),
        ("domadmin", "root", {"project": "alpha", "domain": "ROOT/ops"}),
        (SUBUSER, SUBADMIN, {"project": "twin"}),
        ("root", "root", {"project": "twin", "domain": "ROOT/b/a"}),
    ],
)
def test_a_project_holds_all_that_is_built_in_it(
    here: Places, tmp_path: Path, who: Who, remover: Who, where: dict[str, str]
) -> None:
    """Whoever may use it; and any key that may can restart what is there, and remove it."""
    environment = built(here, who, tmp_path / "j", planned(vms=1, public_ips=1, **where))
    row = whose(here, environment)
    assert row["project"] == where["project"]
    assert environment.owner.project_id == row["projectid"]
    if who == "root":
        shown = list_routers(here.root.acting_for(environment.owner), environment.network_id)
        assert environment.routers == tuple(router.name for router in shown) != ()
    restarted(here, who, environment)
    report = removed(here, remover, tmp_path / "j")
    assert is_clean(report) or report.awaited
    assert is_clean(removed(here, who, tmp_path / "j")) or report.awaited


def restarted(here: Places, who: Who, environment: Environment) -> None:
    """Reboot the router, or restart the network for who is shown none, as a trial does."""
    cloud, kind = here.cloud(who), "reboot-router" if environment.routers else "restart-network-cleanup"
    for ask in preparation(kind)(cloud.acting_for(environment.owner), environment).sends:
        cloud.wait(ask(), 20, 0.02)


@pytest.mark.parametrize(
    ("who", "remover", "where"),
    [
        ("root", "domadmin", {"account": "subuser", "domain": "ROOT/ops/a"}),
        ("domadmin", SUBADMIN, {"account": "subuser"}),  # the only one that it is shown
        ("root", SUBUSER, {"account": "subuser", "domain": "/ops/a/"}),
        (SUBADMIN, "root", {"account": "subadmin", "domain": "a"}),  # itself
    ],
)
def test_an_account_has_all_that_is_built_for_it(
    here: Places, tmp_path: Path, who: Who, remover: Who, where: dict[str, str]
) -> None:
    """By whom it is administered; the account's own keys and its administrators' can remove it."""
    environment = built(here, who, tmp_path / "j", planned(vms=1, public_ips=1, **where))
    row = whose(here, environment)
    assert (row["account"], row["domainid"]) == (where["account"], here.domains["ROOT/ops/a"])
    restarted(here, who, environment)
    report = removed(here, remover, tmp_path / "j")
    assert is_clean(report) or report.awaited
    assert is_clean(removed(here, who, tmp_path / "j")) or report.awaited


@pytest.mark.parametrize(
    ("who", "where", "words"),
    [
        ("user", {"account": "domadmin"}, "these are a user's keys, of account 'tenant'"),
        ("user", {"account": "subuser", "domain": "ROOT/ops/a"}, "these are a user's keys"),
        ("root", {"account": "subuser"}, "is the name of 2 accounts, in ROOT/b/a, ROOT/ops/a"),
        (
            "root",
            {"account": "subuser", "domain": "a"},
            "'a' is the name of 2 domains, ROOT/b/a, ROOT/ops/a: give the path",
        ),
        ("root", {"account": "subuser", "domain": "ROOT/opps"}, "domain 'ROOT/opps' not found; nearest: ROOT/ops"),
        ("root", {"account": "tenant", "domain": "ROOT/b"}, "is not in the domain 'ROOT/b'"),
        (SUBADMIN, {"account": "tenant"}, "is not in a domain of these keys"),
        (SUBADMIN, {"account": "tenant", "domain": "ROOT/ops"}, "domain 'ROOT/ops' not found"),
        ("root", {"project": "alfa"}, "project 'alfa' is none that this account may build in (nearest: alpha)"),
        ("root", {"project": "twin"}, "is the name of 2 projects, in ROOT/b/a, ROOT/ops/a"),
        ("root", {"project": "alpha", "domain": "ROOT/b"}, "is not in the domain 'ROOT/b', ROOT/ops has one"),
        ("user", {"project": "beta"}, "nearest: alpha"),
        ("domadmin", {"project": "beta"}, "name the id of a project in a domain below"),
        (("subuser", "ROOT/b/a"), {"project": "alpha"}, "none that this account may build in"),
    ],
)
def test_who_may_not_build_there_is_told_so_before_anything(
    here: Places, who: Who, where: dict[str, str], words: str
) -> None:
    """In one problem, with what there is instead."""
    assert words in refused(here, who, **where)


def test_a_user_may_name_itself_and_a_domain_admin_a_project_below_by_its_id(here: Places) -> None:
    """The server lists such a project to nobody but root, and lets its administrators use it all the same."""
    assert preflight(here.cloud("user"), planned(account="tenant", domain="ROOT/ops"), accept_unexpunged=True)
    beta = here.projects["beta in ROOT/ops/a"]
    resolved, _ = preflight(here.cloud("domadmin"), planned(project=beta))
    assert resolved.owner.project_id == beta
    others: tuple[Who, ...] = ("user", ("subuser", "ROOT/b/a"))
    for stranger in others:
        assert "none that this account may build in" in refused(here, stranger, project=beta)


def test_a_project_that_is_suspended_is_told_before_anything(here: Places) -> None:
    """Nothing could be made in it."""
    here.put("alpha in ROOT/ops", "Suspended")
    try:
        for who in ("root", "domadmin", "user"):
            assert "project 'alpha' is Suspended" in refused(here, who, project="alpha")
    finally:
        here.put("alpha in ROOT/ops", "Active")


@pytest.mark.parametrize(("lock", "state"), [(True, "locked"), (False, "disabled")])
def test_an_account_that_may_have_nothing_new_is_told_before_anything(here: Places, lock: bool, state: str) -> None:
    """Locked or disabled; to its own keys the server says only that it does not know them."""
    domain = here.domains["ROOT/ops/a"]
    here.root.run("disableAccount", lock=lock, account="subuser", domainid=domain)
    try:
        assert f"account 'subuser' is {state}" in refused(here, "root", account="subuser", domain="ROOT/ops/a")
        assert "the user is enabled" in refused(here, SUBUSER)
    finally:
        here.root.call("enableAccount", account="subuser", domainid=domain)


def test_the_limits_that_count_are_those_of_the_project_and_of_its_domain(here: Places) -> None:
    """The caller's own are no matter there. A domain's count for everything below it."""
    beta = here.projects["beta in ROOT/ops/a"]
    here.limit(0, 0, projectid=beta)
    try:
        assert "the project's limit leaves 0 VMs, the plan needs 2" in refused(here, "root", project="beta")
        assert preflight(here.cloud("root"), planned(project="alpha"))
    finally:
        here.limit(0, -1, projectid=beta)
    here.limit(6, 0, domainid=here.domains["ROOT/ops"])
    try:
        for who, where in (("root", {"project": "beta"}), ("domadmin", {}), ("domadmin", {"project": "alpha"})):
            assert "the domain ROOT/ops's limit leaves 0 networks" in refused(here, who, **where)
    finally:
        here.limit(6, -1, domainid=here.domains["ROOT/ops"])


def test_others_may_not_use_the_journal_and_call_nothing_gone(here: Places, tmp_path: Path) -> None:
    """A user that asks for another account's things may be shown its own: it would take ours for gone."""
    built(here, "domadmin", tmp_path / "p", planned(vms=1, public_ips=1, project="alpha"))
    for outsider in (SUBUSER, SUBADMIN):
        with pytest.raises(CloudError, match=r"about the project .* into which these keys may not look"):
            removed(here, outsider, tmp_path / "p")
    assert is_clean(removed(here, "root", tmp_path / "p"))
    built(here, "root", tmp_path / "a", planned(vms=1, public_ips=1, account="subuser", domain="ROOT/ops/a"))
    others: tuple[Who, ...] = ("user", ("subuser", "ROOT/b/a"))
    for stranger in others:
        with pytest.raises(CloudError, match="belongs to account 'subuser'"):
            removed(here, stranger, tmp_path / "a")
    assert is_clean(removed(here, "domadmin", tmp_path / "a"))


def test_a_project_that_was_deleted_is_told_as_that(here: Places, tmp_path: Path) -> None:
    """What was in it went with it: nothing is taken for removed that nobody could look at."""
    made = here.root.run("createProject", name="brief", account="tenant", domainid=here.domains["ROOT/ops"])["project"]
    plan = planned(project="brief")
    resolved, _ = preflight(here.root, plan)
    Journal.create(tmp_path / "j", resolved.head(plan.run_id, here.lab.endpoint)).close()
    with Journal.open(tmp_path / "j") as journal:
        journal.intend("network", "vrb-1a2b3c4d-net", {"name": "vrb-1a2b3c4d-net"})
    here.root.run("deleteProject", id=made["id"])
    with pytest.raises(CloudError, match="was deleted"):
        removed(here, "root", tmp_path / "j")


@pytest.mark.parametrize("where", [{"project": "alpha"}, {"account": "subuser", "domain": "ROOT/ops/a"}])
def test_a_journal_without_its_head_still_says_whose_all_is(
    here: Places, tmp_path: Path, where: dict[str, str]
) -> None:
    """Each line of an object that has a name notes it: else a clean-up would look among the caller's own."""
    plan = planned(vms=1, public_ips=1, **where)
    environment = built(here, "domadmin", tmp_path / "j", plan)
    lines = (tmp_path / "j").read_bytes().split(b"\n")
    (tmp_path / "j").write_bytes(b"\n".join([b"{damaged", *lines[1:]]))
    with Journal.salvage(tmp_path / "j", plan.run_id) as journal:
        remove_journaled(here.cloud("domadmin"), journal, silent, DEADLINES)
        assert not [entry for entry in journal.pending() if entry.kind in ("network", "vm", "keypair")]
    assert environment.network_id not in {row["id"] for row in here.root.list("listNetworks", "network", listall=True)}
    assert not here.of_projects()


def test_what_another_project_has_is_not_ours(here: Places, tmp_path: Path) -> None:
    """Whatever a list may show; before 4.18 key pairs show a project's own account, and no project."""
    alpha = here.projects["alpha in ROOT/ops"]
    head = Head("run", here.lab.endpoint, "tenant", here.domains["ROOT/ops"], alpha)
    with Journal.create(tmp_path / "j", head) as journal:
        removal = Removal(here.root, journal, silent, DEADLINES, may_expunge=True)
        rows = ({"projectid": alpha}, {"projectid": "other"}, {"account": "PrjAcct-alpha-1"}, {"account": "tenant"})
        assert [ours(removal, row) for row in rows] == [True, False, True, False]
