"""The built-in objects of the zone and the shapes of its commands, from the package's data files.

They are those of a 4.20.2.0 server set up for its own simulator, ids and names included, so that whole exchanges
with such a server can be replayed here.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

from vrbench.lab.api.state.entities import Account, AclList, AclRule, BuiltIn, Domain
from vrbench.lab.api.state.settings import ZoneSettings

UNLIMITED = -1


@cache
def load(name: str) -> dict[str, Any]:
    """Return one data file, parsed; callers must not change it."""
    text = resources.files("vrbench.lab.api.state").joinpath("data", name).read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@dataclass(frozen=True, slots=True)
class CommandShape:
    """A command's parameters by lower-case name (type letter, "!" when required) and who may call it."""

    name: str
    is_async: bool
    roles: tuple[str, ...]
    params: dict[str, str]
    response: tuple[str, ...]
    job_classes: tuple[str, ...]  # Java classes: for everybody, and the root administrator's when it differs

    def job_class(self, is_root: bool) -> str:
        """Return the class name that jobs of this command show."""
        chosen = self.job_classes[-1] if is_root else self.job_classes[0]
        return f"org.apache.cloudstack.api.command.{chosen}"


@cache
def base_shapes() -> dict[str, CommandShape]:
    """Return all commands of a 4.20.2 server by lower-case name; ``versions.py`` has those of others."""
    return {name.lower(): _shape(name, row) for name, row in load("commands.json").items()}


def _shape(name: str, row: dict[str, Any]) -> CommandShape:
    return CommandShape(
        name=name,
        is_async=row.get("async", False),
        roles=tuple(row["roles"]),
        params=dict(row["params"]),
        response=tuple(row["response"]),
        job_classes=tuple(row.get("job", ("user." + name[0].upper() + name[1:] + "Cmd",))),
    )


def built_ins(kind: str) -> list[BuiltIn]:
    """Return every built-in object of one kind (zone, host, template, serviceoffering …)."""
    rows = load("zone.json")[kind]
    return [BuiltIn(uuid=row["id"], number=n, kind=kind, body=dict(row)) for n, row in enumerate(rows, 1)]


def router_constants() -> dict[str, Any]:
    """Return what all routers of the zone have in common."""
    common: dict[str, Any] = load("zone.json")["router"]
    return common


def stable_id(kind: str, name: str) -> str:
    """Return an id that is the same in every lab, for what was not recorded."""
    return str(uuid5(NAMESPACE_DNS, f"{kind}-{name}"))


def bystanders() -> list[BuiltIn]:
    """Return what has an id but no list that could change: pods, clusters, system networks and the like."""
    data, hosts = load("zone.json"), load("zone.json")["host"]
    ids = {
        "physicalnetwork": [data["physicalnetworkid"]],
        "network": [data["router"]["publicnetworkid"], data["router"]["linklocalnetworkid"]],
        "pod": sorted({row["podid"] for row in hosts}),
        "cluster": sorted({row["clusterid"] for row in hosts}),
        "systemvm": [row["id"] for row in data["systemvm"]],
        "managementserver": [row["id"] for row in data["managementserver"]],
        "user": [row["user"]["id"] for row in data["account"]],
        "systemtemplate": [data["router"]["templateid"]],
        "storagepool": [stable_id("storage-pool", row["clustername"]) for row in hosts],
        "imagestore": [data["template"][0]["downloaddetails"][0]["datastoreId"]],
        "oscategory": [row["oscategoryid"] for row in data["ostype"]],
        "securitygroup": [stable_id("security-group", row["id"]) for row in data["account"]],
    }
    return [BuiltIn(uuid=uuid, kind=kind, body={"id": uuid}) for kind, rows in ids.items() for uuid in rows]


def domains() -> list[Domain]:
    return [Domain(uuid=row["id"], number=row["number"], body=row) for row in load("zone.json")["domain"]]


def acl_lists() -> list[AclList]:
    """Return the two lists that every VPC may use."""
    return [
        AclList(
            uuid=str(uuid4()), number=1, name="default_deny", description="Default Network ACL Deny All", default=True
        ),
        AclList(
            uuid=str(uuid4()), number=2, name="default_allow", description="Default Network ACL Allow All", default=True
        ),
    ]


def acl_rules(lists: list[AclList]) -> list[AclRule]:
    """Return the rules in them: everything, both ways."""
    return [
        AclRule(
            uuid=str(uuid4()),
            acl=acl,
            place=place,
            protocol="all",
            traffic=traffic,
            action="Deny" if acl.name == "default_deny" else "Allow",
            cidrs=("0.0.0.0/0",),
            state="Active",
        )
        for acl in lists
        for place, traffic in enumerate(("Ingress", "Egress"), 1)
    ]


def accounts(settings: ZoneSettings, known: list[Domain]) -> list[Account]:
    """Return one account per role, with keys of its own."""
    by_id = {domain.uuid: domain for domain in known}
    return [_account(row, by_id[row["domainid"]], settings) for row in load("zone.json")["account"]]


def _account(row: dict[str, Any], domain: Domain, settings: ZoneSettings) -> Account:
    root = row["caller"] == "root"
    return Account(
        uuid=row["id"],
        number=row["number"],
        name=row["name"],
        role=row["caller"],
        domain=domain,
        body=row,
        apikey=secrets.token_urlsafe(64),
        secretkey=secrets.token_urlsafe(64),
        limits={name: UNLIMITED if root else limit for name, limit in settings.account_limits},
    )


def system_account(root: Domain) -> Account:
    """Return whose the system VMs are; nobody calls as this account, and no list of accounts shows it."""
    return Account(
        uuid=str(uuid4()),
        number=1,
        name="system",
        role="system",
        domain=root,
        body={},
        apikey="",
        secretkey="",
        limits={},
    )
