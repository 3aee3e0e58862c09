"""Domains and accounts that administrators make, and their keys."""

from __future__ import annotations

import secrets

from vrbench.lab.api.accounts.commands import account_view
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.responses import stamp
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, BuiltIn, Domain, Json
from vrbench.lab.api.state.zone import new_id

ROLES = {0: "user", 1: "root", 2: "domadmin"}  # by account type


def create_domain(call: Call) -> Json:
    """Answer createDomain: below the one named, else below the caller's."""
    above, name = call.entity("parentdomainid", Domain) or call.caller.domain, call.required("name")
    if not call.caller.domain.holds(above):
        raise errors.no_permission()
    path = f"{above.body['path']}/{name}"
    with call.zone.lock:
        if any(domain.body["path"] == path for domain in call.zone.domains):
            raise errors.invalid(f"Domain with name [{name}] already exists for the parent with ID [{above.number}].")
        domain = call.zone.add(Domain(uuid=new_id(), body={}))
        domain.body = {
            "id": domain.uuid,
            "name": name,
            "level": above.body["level"] + 1,
            "parentdomainid": above.uuid,
            "parentdomainname": above.name,
            "haschild": False,
            "path": path,
            "state": "Active",
            "created": stamp(domain.created),
        }
        above.body = {**above.body, "haschild": True}
        shown = {key: value for key, value in domain.body.items() if key not in ("state", "created")}
        return {"domain": {**shown, "secondarystoragetotal": 0.0}}


def create_account(call: Call) -> Json:
    """Answer createAccount: with one user, who has no keys yet."""
    domain, kind = call.domain() or call.caller.domain, call.number("accounttype") or 0
    name = call.text("account") or call.required("username")
    like = next((a for a in call.zone.accounts if a.body["accounttype"] == kind and "caller" in a.body), None)
    if like is None:
        raise errors.invalid(f"Account type {kind} is none that the lab knows")
    with call.zone.lock:
        if call.zone.account_named(name, domain) is not None:
            raise errors.invalid(f"The specified account: {name} already exists")
        account = call.zone.add(_account(call, like, name, domain))
        account.body["created"] = stamp(account.created)
        call.zone.remember(BuiltIn(uuid=account.user["id"], kind="user", body={}))
        return {"account": account_view(call, account)}


def _account(call: Call, like: Account, name: str, domain: Domain) -> Account:
    told = {key: call.required(key) for key in ("username", "firstname", "lastname", "email")}
    user = {**like.user, **told, "id": new_id()}
    body = {key: value for key, value in like.body.items() if key != "caller"} | {"user": user, "isdefault": False}
    account = Account(
        uuid=new_id(),
        name=name,
        role=ROLES[like.body["accounttype"]],
        domain=domain,
        body=body,
        apikey="",
        secretkey="",
        limits=call.zone.new_limits(),
    )
    body["id"] = account.uuid
    return account


def register_keys(call: Call) -> Json:
    """Answer registerUserKeys: new keys for a user whose account the caller may touch."""
    account = next((a for a in call.zone.accounts if a.user["id"] == call.required("id")), None)
    if account is None or not call.may_touch(account):
        raise errors.invalid("unable to find user by id")
    with call.zone.lock:
        account.apikey, account.secretkey = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
    return {"userkeys": {"apikey": account.apikey, "secretkey": account.secretkey}}


def disable_account(call: Call) -> Task:
    """Answer disableAccount: locked or disabled, its keys are known no more."""
    account, state = _account_of(call), "locked" if call.flag("lock") else "disabled"
    return Task(lambda: _put(call, account, state))


def enable_account(call: Call) -> Json:
    return _put(call, _account_of(call), "enabled")


def _account_of(call: Call) -> Account:
    domain, name = call.domain() or call.caller.domain, call.text("account") or ""
    account = call.entity("id", Account) or call.zone.account_named(name, domain)
    if account is None or not call.may_touch(account):
        raise errors.invalid(f"Unable to find active account by name {name} in domain {domain.uuid}")
    return account


def _put(call: Call, account: Account, state: str) -> Json:
    with call.zone.lock:
        account.state = state
        return {"account": account_view(call, account)}


COMMANDS = {
    "createDomain": create_domain,
    "createAccount": create_account,
    "registerUserKeys": register_keys,
    "disableAccount": disable_account,
    "enableAccount": enable_account,
}
