"""Accounts, users and domains."""

from __future__ import annotations

from vrbench.lab.api.accounts.limits import used
from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.selection import select
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Domain, Json
from vrbench.lab.api.state.fixtures import UNLIMITED

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
        **amounts_view(amounts, account.limits),
        "vmstopped": states.count("Stopped"),
        "vmrunning": states.count("Running"),
        "state": account.state,
        "user": [_user_fields(account)],
        "isdefault": account.body["isdefault"],
        "groups": [],
    }
    if "created" in account.body:
        body["created"] = account.body["created"]
    return body | _api_key_access(call)


def amounts_view(amounts: dict[str, int], limits: dict[str, int]) -> Json:
    """Return limit, total and what is left of each resource, as the server words them."""
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
        **({"apikey": account.apikey} if account.apikey else {}),
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
    """Answer listDomains: a domain's administrator sees what is below its own only with listall, or by its id."""
    every = call.caller.is_root or call.flag("listall") or bool(call.text("id"))
    shown = [d for d in call.zone.domains if _sees(call, d) and (every or d is call.caller.domain)]
    rows = [domain_view(call, domain) for domain in shown]
    return call.listing("domain", select(call, rows, level="level", path="path"))


def list_domain_children(call: Call) -> Json:
    """Answer listDomainChildren: of the domain named, else of the caller's."""
    above = call.entity("id", Domain) or call.caller.domain
    found = [domain for domain in call.zone.domains if domain is not above and above.holds(domain)]
    near = [domain for domain in found if call.flag("isrecursive") or domain.body.get("parentdomainid") == above.uuid]
    rows = [domain_view(call, domain) for domain in near if _sees(call, domain)]
    wanted = (call.text("name") or "").lower()
    return call.listing("domain", [row for row in rows if wanted in ("", str(row["name"]).lower())])


def _sees(call: Call, domain: Domain) -> bool:
    return call.caller.domain.holds(domain)


def domain_view(call: Call, domain: Domain) -> Json:
    members = [account for account in call.zone.owners() if account.domain is domain]
    totals: dict[str, int] = {}
    for account in members:
        for name, amount in used(call.zone, account).items():
            totals[name] = totals.get(name, 0) + amount
    body = {name: value for name, value in domain.body.items() if name != "number"}
    return body | amounts_view(totals, domain.limits) | {"hasannotations": False}


COMMANDS = {
    "listAccounts": list_accounts,
    "listUsers": list_users,
    "getUser": get_user,
    "listDomains": list_domains,
    "listDomainChildren": list_domain_children,
}
