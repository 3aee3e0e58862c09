"""Projects, domains and accounts that administrators make; what of them whom lists show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.replay.serving import Body, Client, Lab, Refused, served
from vrbench.lab.api.server.server import Caller


@dataclass(frozen=True)
class Places:
    """A lab with a domain below ops and one beside it, an administrator and a user there, and two projects."""

    lab: Lab
    domains: Body  # ids by path
    subadmin: Client
    subuser: Client
    alpha: str  # in ops, the tenant's
    beta: str  # in ops/a, subuser's


def client(lab: Lab, account: Body) -> Client:
    """Return a client with new keys of an account's user."""
    keys = lab.root("registerUserKeys", id=account["user"][0]["id"])["userkeys"]
    return Client(lab.port, Caller(account["name"], keys["apikey"], keys["secretkey"]))


def account(lab: Lab, name: str, domain: str, kind: int) -> Body:
    told = {"username": name, "firstname": name, "lastname": "T", "email": f"{name}@example.org", "password": "p"}
    made: Body = lab.root("createAccount", accounttype=kind, domainid=domain, **told)["account"]
    return made


def project(lab: Lab, name: str, owner: str, domain: str) -> str:
    return str(lab.root.result("createProject", name=name, account=owner, domainid=domain)["project"]["id"])


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    with served() as lab:
        ops = next(row["id"] for row in lab.root.listed("listDomains", "domain") if row["name"] == "ops")
        for parent, name in ((ops, "a"), ("", "b")):
            lab.root("createDomain", name=name, **({"parentdomainid": parent} if parent else {}))
        paths = {row["path"]: row["id"] for row in lab.root.listed("listDomains", "domain")}
        below = paths["ROOT/ops/a"]
        subadmin, subuser = (account(lab, name, below, kind) for name, kind in (("subadmin", 2), ("subuser", 0)))
        alpha, beta = project(lab, "alpha", "tenant", ops), project(lab, "beta", "subuser", below)
        yield Places(lab, paths, client(lab, subadmin), client(lab, subuser), alpha, beta)


def projects(who: Client, **params: object) -> list[str]:
    return [row["name"] for row in who.listed("listProjects", "project", **params)]


def test_projects_are_shown_as_a_real_server_shows_them(places: Places) -> None:
    """To whoever is in them; to administrators those of their own domain with listall, to root alone those below."""
    lab = places.lab
    assert projects(lab.root) == []
    assert sorted(projects(lab.root, listall="true")) == ["alpha", "beta"]
    assert projects(lab.root, id=places.beta) == []
    assert projects(lab.root, id=places.beta, listall="true") == ["beta"]
    assert projects(lab.domadmin, listall="true", isrecursive="true") == ["alpha"]
    assert projects(lab.domadmin) == []
    assert projects(lab.user) == ["alpha"]
    assert projects(places.subadmin, listall="true") == ["beta"]
    assert projects(places.subuser) == ["beta"]


def test_what_is_in_a_project_shows_only_where_it_is_asked_for(places: Places) -> None:
    """Not to root, not with listall; only by the project itself, to those in it and to administrators."""
    lab, ids = places.lab, {key: places.lab.built_in()[key] for key in ("networkofferingid", "zoneid")}
    made = lab.user("createNetwork", name="shared", displaytext="s", projectid=places.alpha, **ids)["network"]
    assert (made["project"], made["projectid"], made["domain"]) == ("alpha", places.alpha, "ops")
    assert "account" not in made

    def shown(who: Client, **params: object) -> list[str]:
        return [row["name"] for row in who.listed("listNetworks", "network", **params)]

    for who in (lab.root, lab.domadmin, lab.user):
        assert "shared" not in shown(who, listall="true")
        assert shown(who, projectid=places.alpha) == ["shared"]
    assert shown(lab.user, projectid="-1") == ["shared"]
    lab.user.result("deleteNetwork", id=made["id"])


def test_who_is_not_in_a_project_is_told_so_before_anything(places: Places) -> None:
    """432 for a user since 4.15; an administrator of the domain above may."""
    for command, more in (("listNetworks", {}), ("registerSSHKeyPair", {"name": "k", "publickey": "ssh-rsa AAAA"})):
        assert places.subuser.refused(command, projectid=places.alpha, **more) == (432, 9999)
    assert places.lab.domadmin.listed("listNetworks", "network", projectid=places.beta) == []
    assert places.subadmin.refused("listNetworks", projectid=places.alpha) == (531, 4365)


def test_nothing_is_made_in_a_project_that_is_suspended(places: Places) -> None:
    """531 with the state; what is there may still be looked at, and removed."""
    lab = places.lab
    lab.user("registerSSHKeyPair", name="k", publickey="ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAA", projectid=places.alpha)
    lab.root.result("suspendProject", id=places.alpha)
    ids = {key: lab.built_in()[key] for key in ("networkofferingid", "zoneid")}
    with pytest.raises(Refused, match="in state=Suspended"):
        lab.user("createNetwork", name="n", displaytext="n", projectid=places.alpha, **ids)
    assert lab.user("deleteSSHKeyPair", name="k", projectid=places.alpha) == {"success": True}
    lab.root.result("activateProject", id=places.alpha)


def test_keys_of_a_locked_account_are_no_keys(places: Places) -> None:
    """401 for itself, 531 for whoever would build for it."""
    lab, where = places.lab, {"account": "subuser", "domainid": places.domains["ROOT/ops/a"]}
    for lock, state in (("true", "locked"), ("false", "disabled")):
        assert lab.root.result("disableAccount", lock=lock, **where)["account"]["state"] == state
        assert places.subuser.raw("listZones", {})[0] == 401
        with pytest.raises(Refused, match=f"in state={state}"):
            lab.root("registerSSHKeyPair", name="k", publickey="ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAA", **where)
        assert lab.root("enableAccount", **where)["account"]["state"] == "enabled"
    assert places.subuser.raw("listZones", {})[0] == 200


def test_a_vm_goes_into_networks_of_its_owner_only(places: Places) -> None:
    """Even of a project that the caller is in: the VM must be the project's, too."""
    lab, built = places.lab, places.lab.built_in()
    ids = {key: built[key] for key in ("networkofferingid", "zoneid")}
    network = lab.user("createNetwork", name="shared", displaytext="s", projectid=places.alpha, **ids)["network"]["id"]
    with pytest.raises(Refused, match="Unable to use network"):
        lab.deploy(lab.user, network, "stranger")
    lab.user.result("deleteNetwork", id=network)


def test_a_project_is_deleted_once_it_is_empty(places: Places) -> None:
    """With its things in it, the job fails."""
    lab = places.lab
    gamma = project(lab, "gamma", "tenant", places.domains["ROOT/ops"])
    lab.root.result("addAccountToProject", projectid=gamma, account="domadmin")
    assert "gamma" in projects(lab.domadmin)
    lab.root.result("deleteProject", id=gamma)
    assert lab.root.refused("listNetworks", projectid=gamma)[0] == 431
