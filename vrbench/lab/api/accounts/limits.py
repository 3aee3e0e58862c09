"""Resource limits of accounts and domains: how much is used, what would be too much, and the commands on them."""

from __future__ import annotations

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.responses import owner_fields
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, BuiltIn, Domain, Json
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.fixtures import UNLIMITED
from vrbench.lab.api.state.zone import Zone

ROOT_DISK_GIB = 2


def used(zone: Zone, account: Account) -> dict[str, int]:
    """Return how much of each limited resource an account uses; call with the lock held."""
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
    """Refuse what would go over an account's limit, or its domain's (535); call with the lock held."""
    cs_code = errors.ALLOCATION if resource in ("network", "vpc") else errors.UNCLASSIFIED
    _check_domain(zone, account.domain, resource, wanted, cs_code)
    limit, now = account.limits[resource], used(zone, account)[resource]
    if limit != UNLIMITED and now + wanted > limit:
        raise errors.ApiError(
            535,
            f"Maximum amount of resources of Type = '{resource}', tag = 'null' for Account Name = {account.name} in "
            f"Domain Id = {account.domain.number} is exceeded: Account Resource Limit = {limit}, Current Account "
            f"Resource Amount = {now}, Current Account Resource Reservation = 0, Requested Resource Amount = {wanted}.",
            cs_code,
        )


def _check_domain(zone: Zone, domain: Domain, resource: str, wanted: int, cs_code: int) -> None:
    """Refuse what all accounts of a domain together would have too much of."""
    limit = domain.limits.get(resource, UNLIMITED)
    if limit == UNLIMITED:
        return
    now = sum(used(zone, account)[resource] for account in zone.owners() if domain.holds(account.domain))
    if now + wanted > limit:
        raise errors.ApiError(
            535,
            f"Maximum amount of resources of Type = '{resource}', tag = 'null' for Domain Id = {domain.number} is "
            f"exceeded: Domain Resource Limit = {limit}, Current Domain Resource Amount = {now}, Current Domain "
            f"Resource Reservation = 0, Requested Resource Amount = {wanted}.",
            cs_code,
        )


def check_limits(zone: Zone, account: Account, offering: BuiltIn) -> None:
    """Refuse a VM of this size that would go over a limit (535); call with the lock held."""
    check_limit(zone, account, "user_vm", 1)
    check_limit(zone, account, "cpu", offering.body["cpunumber"])
    check_limit(zone, account, "memory", offering.body["memory"])


def check_address_limit(zone: Zone, account: Account) -> None:
    try:
        check_limit(zone, account, "public_ip", 1)
    except errors.ApiError as error:
        raise errors.too_many_addresses(account.name) from error


def list_resource_limits(call: Call) -> Json:
    """Answer listResourceLimits: of the account named, else of the domain named, else the caller's own."""
    domain = call.domain()
    whole = domain if domain is not None and not call.text("account") and call.caller.role != "user" else None
    account = call.owner()
    names = list(account.limits)
    kind = _kind(call, names) if call.text("resourcetype") else None
    shown = names if whole else _order(account)
    wanted = [name for name in shown if kind in (None, name) and call.text("resourcetypename") in (None, "", name)]
    return call.listing("resourcelimit", [_view(whole or account, names, name) for name in wanted])


def _kind(call: Call, names: list[str]) -> str:
    """Return the resource type asked for; types are numbered in the order of ``names``."""
    kind = call.number("resourcetype")
    if kind is None or not 0 <= kind < len(names):
        raise errors.invalid("Please specify a valid resource type.")
    return names[kind]


def _order(account: Account) -> list[str]:
    """Put limits of the account's own first, then the defaults, as the server lists them."""
    return [*account.limit_changes, *(name for name in account.limits if name not in account.limit_changes)]


def _view(owner: Account | Domain, names: list[str], name: str) -> Json:
    whose: Json = (
        owner_fields(owner)
        if isinstance(owner, Account)
        else {"domainid": owner.uuid, "domain": owner.name, "domainpath": owner.path}
    )
    return {
        **whose,
        "resourcetype": str(names.index(name)),
        "resourcetypename": name,
        "max": owner.limits.get(name, UNLIMITED),
    }


def update_resource_limit(call: Call) -> Json:
    domain, account = call.entity("domainid", Domain), call.owner()
    names, limit = list(account.limits), call.number("max")
    kind = _kind(call, names)
    limit = UNLIMITED if limit is None else limit
    if limit < UNLIMITED:
        raise errors.invalid("Please specify either '-1' for an infinite limit, or a limit that is at least '0'.")
    if domain is not None and not call.text("account"):
        return _limit_domain(call, domain, names, kind, limit)
    if account.is_root and limit != UNLIMITED:
        raise errors.invalid("Only '-1' limit is supported for Root Admin accounts")
    with call.zone.lock:
        account.limits[kind] = limit
        if kind not in account.limit_changes:
            account.limit_changes.append(kind)
    return {"resourcelimit": _view(account, names, kind)}


def _limit_domain(call: Call, domain: Domain, names: list[str], kind: str, limit: int) -> Json:
    """Limit all accounts of a domain together. Nobody limits the whole zone, or the domain that it is in itself."""
    call.domain()
    if domain is call.caller.domain:
        raise ApiError(531, f"Cannot update resource limit for domain {domain.name}, permission denied", errors.DENIED)
    with call.zone.lock:
        domain.limits[kind] = limit
    return {"resourcelimit": _view(domain, names, kind)}


COMMANDS = {"listResourceLimits": list_resource_limits, "updateResourceLimit": update_resource_limit}
