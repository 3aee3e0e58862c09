"""Accounts, users, domains and their resource limits."""

from __future__ import annotations

from vrbench.lab.api import errors
from vrbench.lab.api.call import Call
from vrbench.lab.api.catalog import select
from vrbench.lab.api.fixtures import UNLIMITED
from vrbench.lab.api.records import Account, BuiltIn, Domain, Json
from vrbench.lab.api.responses import owner_fields
from vrbench.lab.api.zone import Zone

SHOWN_LIMITS = {
    "vm": "user_vm",
    "ip": "public_ip",
    "volume": "volume",
    "snapshot": "snapshot",
    "template": "template",
    "project": "project",
    "network": "network",
    "vpc": "vpc",
    "cpu": "cpu",
    "memory": "memory",
    "primarystorage": "primary_storage",
    "secondarystorage": "secondary_storage",
}
ROOT_DISK_GIB = 2


def used(zone: Zone, account: Account) -> dict[str, int]:
    """How much of each limited resource an account uses; call with the lock held."""
    machines = [machine for machine in zone.machines if machine.account is account]
    counted = [machine for machine in machines if machine.state not in ("Destroyed", "Expunging", "Error")]
    return {
        "user_vm": len(counted),
        "public_ip": sum(address.account is account for address in zone.addresses),
        "volume": len(machines),
        "template": sum(template.account is account for template in zone.built_ins["template"]),
        "network": sum(network.account is account for network in zone.networks),
        "vpc": sum(vpc.account is account for vpc in zone.vpcs),
        "cpu": sum(machine.offering.body["cpunumber"] for machine in counted),
        "memory": sum(machine.offering.body["memory"] for machine in counted),
        "primary_storage": len(machines) * ROOT_DISK_GIB,
    }


def check_limit(zone: Zone, account: Account, resource: str, wanted: int) -> None:
    """Refuse what would go over an account's limit (535); call with the lock held."""
    limit, now = account.limits[resource], used(zone, account)[resource]
    if limit != UNLIMITED and now + wanted > limit:
        raise errors.ApiError(
            535,
            f"Maximum amount of resources of Type = '{resource}', tag = 'null' for Account Name = {account.name} in "
            f"Domain Id = {account.domain.number} is exceeded: Account Resource Limit = {limit}, Current Account "
            f"Resource Amount = {now}, Current Account Resource Reservation = 0, Requested Resource Amount = {wanted}.",
            errors.ALLOCATION if resource in ("network", "vpc") else errors.UNCLASSIFIED,
        )


def check_limits(zone: Zone, account: Account, offering: BuiltIn) -> None:
    """Refuse a VM of this size that would go over a limit (535); call with the lock held."""
    check_limit(zone, account, "user_vm", 1)
    check_limit(zone, account, "cpu", offering.body["cpunumber"])
    check_limit(zone, account, "memory", offering.body["memory"])


def check_address_limit(zone: Zone, account: Account) -> None:
    limit = account.limits["public_ip"]
    if limit != UNLIMITED and used(zone, account)["public_ip"] >= limit:
        raise errors.too_many_addresses(account.name)


def list_accounts(call: Call) -> Json:
    mine = call.scope()
    rows = [account_view(call, account) for account in call.zone.accounts if mine(account)]
    return call.listing("account", select(call, rows, domainid="domainid", state="state"))


def account_view(call: Call, account: Account) -> Json:
    amounts = used(call.zone, account)
    states = [machine.state for machine in call.zone.machines if machine.account is account]
    body: Json = {name: account.body[name] for name in ("id", "accounttype", "roleid", "roletype", "rolename")}
    body |= {
        "name": account.name,
        "domainid": account.domain.uuid,
        "domain": account.domain.name,
        "domainpath": account.domain.body["path"],
        **_amounts(amounts, account.limits),
        "vmstopped": states.count("Stopped"),
        "vmrunning": states.count("Running"),
        "state": "enabled",
        "user": [_user_fields(account)],
        "isdefault": account.body["isdefault"],
        "groups": [],
    }
    if "created" in account.body:
        body["created"] = account.body["created"]
    return body | _api_key_access(call)


def _amounts(amounts: dict[str, int], limits: dict[str, int]) -> Json:
    """Limit, total and what is left of each resource, as the server words them."""
    body: Json = {}
    for shown, name in SHOWN_LIMITS.items():
        total, limit = amounts.get(name, 0), limits.get(name, UNLIMITED)
        left = limit - total
        secondary = name == "secondary_storage"
        body[f"{shown}limit"] = "Unlimited" if limit == UNLIMITED else str(limit)
        body[f"{shown}total"] = float(total) if secondary else total
        body[f"{shown}available"] = "Unlimited" if limit == UNLIMITED else str(float(left) if secondary else left)
    return body


def _user_fields(account: Account) -> Json:
    body = account.body
    return {
        **body["user"],
        "state": "enabled",
        "account": account.name,
        "accounttype": body["accounttype"],
        "usersource": "native",
        "roleid": body["roleid"],
        "roletype": body["roletype"],
        "rolename": body["rolename"],
        "domainid": account.domain.uuid,
        "domain": account.domain.name,
        "apikey": account.apikey,
        "accountid": account.uuid,
        "iscallerchilddomain": False,
        "isdefault": body["isdefault"],
        "is2faenabled": False,
        "is2famandated": False,
    }


def _api_key_access(call: Call) -> Json:
    return {"apikeyaccess": "INHERIT"} if call.caller.is_root else {}


def list_users(call: Call) -> Json:
    mine = call.scope()
    rows = [_user_fields(account) | _api_key_access(call) for account in call.zone.accounts if mine(account)]
    return call.listing("user", select(call, rows, username="username", accounttype="accounttype"))


def get_user(call: Call) -> Json:
    key = call.required("userapikey")
    account = next((a for a in call.zone.accounts if a.apikey == key and call.may_touch(a)), None)
    if account is None:
        raise errors.invalid("User can not be found")
    return {"user": _user_fields(account)}


def list_domains(call: Call) -> Json:
    rows = [_domain_view(call, domain) for domain in call.zone.domains if _sees(call, domain)]
    return call.listing("domain", select(call, rows, level="level", path="path"))


def list_domain_children(call: Call) -> Json:
    """listDomainChildren: of the domain named, else of the caller's."""
    above = call.entity("id", Domain) or call.caller.domain
    found = [domain for domain in call.zone.domains if domain is not above and above.holds(domain)]
    near = [domain for domain in found if call.flag("isrecursive") or domain.body.get("parentdomainid") == above.uuid]
    rows = [_domain_view(call, domain) for domain in near if _sees(call, domain)]
    wanted = (call.text("name") or "").lower()
    return call.listing("domain", [row for row in rows if wanted in ("", str(row["name"]).lower())])


def _sees(call: Call, domain: Domain) -> bool:
    return call.caller.is_root or domain is call.caller.domain


def _domain_view(call: Call, domain: Domain) -> Json:
    members = [account for account in call.zone.accounts if account.domain is domain]
    totals: dict[str, int] = {}
    for account in members:
        for name, amount in used(call.zone, account).items():
            totals[name] = totals.get(name, 0) + amount
    body = {name: value for name, value in domain.body.items() if name != "number"}
    return body | _amounts(totals, {}) | {"hasannotations": False}


def list_resource_limits(call: Call) -> Json:
    account = call.owner()
    kind = call.number("resourcetype")
    rows = [_limit_view(account, name) for name in _limit_order(account)]
    return call.listing("resourcelimit", [row for row in rows if kind in (None, int(row["resourcetype"]))])


def _limit_order(account: Account) -> list[str]:
    """Limits of the account's own first, then the defaults, as the server lists them."""
    return [*account.limit_changes, *(name for name in account.limits if name not in account.limit_changes)]


def _limit_view(account: Account, name: str) -> Json:
    number = list(account.limits).index(name)
    return {
        **owner_fields(account),
        "resourcetype": str(number),
        "resourcetypename": name,
        "max": account.limits[name],
    }


def update_resource_limit(call: Call) -> Json:
    account, kind, limit = call.owner(), call.number("resourcetype"), call.number("max")
    names = list(account.limits)
    if kind is None or not 0 <= kind < len(names):
        raise errors.invalid("Please specify valid resource type")
    with call.zone.lock:
        account.limits[names[kind]] = UNLIMITED if limit is None else limit
        if names[kind] not in account.limit_changes:
            account.limit_changes.append(names[kind])
    return {"resourcelimit": _limit_view(account, names[kind])}


COMMANDS = {
    "listAccounts": list_accounts,
    "listUsers": list_users,
    "getUser": get_user,
    "listDomains": list_domains,
    "listDomainChildren": list_domain_children,
    "listResourceLimits": list_resource_limits,
    "updateResourceLimit": update_resource_limit,
}
