"""A lab with domains, accounts and projects of the kinds that real clouds have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.cloud.lab import FAST, Lab, running_lab
from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.lab.api.state.settings import ZoneSettings

BELOW = "ROOT/ops/a"


@dataclass(frozen=True)
class Made:
    """Domains ROOT/ops/a and ROOT/b/a beside those of every lab, accounts in them, and projects.

    Project alpha is in ROOT/ops and the tenant's, beta is in ROOT/ops/a and subuser's; twin is the name of two.
    """

    domains: dict[str, str] = field(default_factory=dict)  # ids by path
    projects: dict[str, str] = field(default_factory=dict)  # ids by "name in path"
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # by account and path


def make(root: Cloud) -> Made:
    """Make them all, as the root administrator."""
    made = Made()
    made.domains.update({row["path"]: row["id"] for row in root.list("listDomains", "domain", listall=True)})
    for above, name in (("ROOT/ops", "a"), ("ROOT", "b"), ("ROOT/b", "a")):
        row = root.call("createDomain", name=name, parentdomainid=made.domains[above])["domain"]
        made.domains[row["path"]] = row["id"]
    for name, path, kind in (("subadmin", BELOW, 2), ("subuser", BELOW, 0), ("subuser", "ROOT/b/a", 0)):
        made.keys[name, path] = _account(root, name, made.domains[path], kind)
    owners = {"ROOT/ops": "tenant", BELOW: "subuser", "ROOT/b/a": "subuser"}
    for name, path in (("alpha", "ROOT/ops"), ("beta", BELOW), ("twin", BELOW), ("twin", "ROOT/b/a")):
        project = root.run("createProject", name=name, account=owners[path], domainid=made.domains[path])["project"]
        made.projects[f"{name} in {path}"] = project["id"]
    return made


def _account(root: Cloud, name: str, domain: str, kind: int) -> tuple[str, str]:
    told = {"username": name, "firstname": name, "lastname": "T", "email": f"{name}@example.org", "password": "p"}
    account = root.call("createAccount", accounttype=kind, domainid=domain, **told)["account"]
    keys = root.call("registerUserKeys", id=account["user"][0]["id"])["userkeys"]
    return keys["apikey"], keys["secretkey"]


@dataclass(frozen=True)
class Places(Made):
    """The same in a lab without packets."""

    lab: Lab = field(kw_only=True)

    def cloud(self, who: str | tuple[str, str]) -> Cloud:
        """Return the cloud with the keys of a role of every lab, or of an account and its domain's path."""
        return self.lab.cloud(who) if isinstance(who, str) else Cloud(Credentials(self.lab.endpoint, *self.keys[who]))

    @property
    def root(self) -> Cloud:
        return self.lab.cloud("root")

    def put(self, project: str, state: str) -> None:
        """Suspend a project, or activate it."""
        self.root.run({"Suspended": "suspendProject", "Active": "activateProject"}[state], id=self.projects[project])

    def limit(self, name: int, most: int, **whose: str) -> None:
        """Give an account, a project or a domain a limit; by number: 0 VMs, 1 addresses, 6 networks."""
        self.root.call("updateResourceLimit", resourcetype=name, max=most, **whose)

    def of_projects(self) -> list[Answer]:
        """Return what stands in any project."""
        kinds = {"listNetworks": "network", "listVirtualMachines": "virtualmachine", "listSSHKeyPairs": "sshkeypair"}
        return [row for command, name in kinds.items() for row in self.root.list(command, name, projectid="-1")]


@contextmanager
def places(settings: ZoneSettings = FAST) -> Iterator[Places]:
    with running_lab(settings) as lab:
        made = make(lab.cloud("root"))
        yield Places(made.domains, made.projects, made.keys, lab=lab)
