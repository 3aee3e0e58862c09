"""Everything that can be known before anything is built; all problems in one list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from vrbench.cloud import offerings
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError, CloudRefused, CloudUnreachable, NotPermitted, PreflightError
from vrbench.cloud.facade import Answer, Cloud, Param
from vrbench.cloud.limits import shortages
from vrbench.cloud.operation_needs import unmet_needs
from vrbench.core.suggest import nearest

_OLDEST, _NEWEST = (4, 9), (4, 22)
_MANY = 256  # addresses that may be let in without a word
EXPUNGE_WAIT = "24 h, and up to 24 h more (its settings expunge.delay and expunge.interval)"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The plan's names as this cloud's ids, and what the caller may do here."""

    zone_id: str
    zone: str
    network_offering_id: str
    network_offering: str
    egress_allowed: bool  # by default, without a rule
    service_offering_id: str
    service_offering: str
    template_id: str
    template: str
    hypervisor: str
    version: str
    account: str
    domain_id: str
    role: str
    may_expunge: bool


@dataclass
class _Findings:
    """What the checks turn up as they go."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def preflight(
    cloud: Cloud, plan: EnvironmentPlan, *, accept_unexpunged: bool = False
) -> tuple[Resolved, tuple[str, ...]]:
    """Resolve the plan's names here and check that it can be carried out; also returns notes for the operator.

    ``accept_unexpunged``: the operator agrees that destroyed VMs and the network stay until the server expunges them.
    Raises PreflightError with every problem found; builds nothing.
    """
    found = _Findings()
    capability = _capabilities(cloud)
    version = str(capability.get("cloudstackversion", "unknown"))
    _check_version(version, found)
    may_expunge = bool(capability.get("allowuserexpungerecovervm"))
    _check_expunge(may_expunge, accept_unexpunged, found)
    account = _account(cloud, found)
    zone = _zone(cloud, plan, found)
    zone_id = str(zone.get("id", ""))
    network = _network_offering(cloud, plan, zone_id, found)
    service = _service_offering(cloud, plan, zone_id, found)
    template = _template(cloud, plan, zone_id, found) if zone_id else {}
    _check_shape(plan, found)
    _check_source(plan, found)
    found.problems += shortages(plan, account, service, template)
    _check_pool(cloud, plan, zone_id, found)
    hypervisor = _hypervisor(cloud, zone_id, template)
    _check_routers(cloud, found)
    problems, notes = unmet_needs(cloud, plan.operation)
    found.problems += problems
    found.notes += notes
    if found.problems:
        raise PreflightError(found.problems)
    resolved = Resolved(
        zone_id=zone_id,
        zone=str(zone["name"]),
        network_offering_id=str(network["id"]),
        network_offering=str(network["name"]),
        egress_allowed=offerings.allows_egress(network),
        service_offering_id=str(service["id"]),
        service_offering=str(service["name"]),
        template_id=str(template["id"]),
        template=str(template["name"]),
        hypervisor=hypervisor,
        version=version,
        account=str(account.get("name", "")),
        domain_id=str(account.get("domainid", "")),
        role=str(account.get("roletype", "")),
        may_expunge=may_expunge,
    )
    return resolved, tuple(found.notes)


def choose(rows: Sequence[Answer], wanted: str, what: str) -> tuple[Answer, str]:
    """Find the row whose id or name is ``wanted``; return it and no problem, or no row and the problem.

    An empty ``wanted`` means the only one there is.
    """
    if not wanted:
        return (rows[0], "") if len(rows) == 1 else ({}, _not_the_only(rows, what))
    by_id = [row for row in rows if row.get("id") == wanted]
    hits = by_id or [row for row in rows if row.get("name") == wanted]
    if len(hits) == 1:
        return hits[0], ""
    if hits:
        ids = ", ".join(str(row.get("id")) for row in hits)
        return {}, f"{what} {wanted!r} is the name of {len(hits)} things; give one of their ids: {ids}"
    names = [str(row.get("name")) for row in rows]
    near = nearest(wanted, names, most=3) or sorted(names)[:5]
    there = f"nearest: {', '.join(near)}" if near else "there is none this account may use"
    return {}, f"{what} {wanted!r} not found; {there}"


def _not_the_only(rows: Sequence[Answer], what: str) -> str:
    names = sorted(str(row.get("name")) for row in rows)
    there = f"there are {len(rows)}: {', '.join(names[:8])}" if rows else "there is none this account may use"
    return f"no {what} is named in the profile, and {there}"


def _capabilities(cloud: Cloud) -> Answer:
    """Ask what the server can do; that is also the proof that endpoint, key and secret work."""
    try:
        capability: Answer = cloud.call("listCapabilities")["capability"]
    except (CloudUnreachable, CloudRefused) as error:
        raise PreflightError([str(error)]) from None
    return capability


def _check_version(version: str, found: _Findings) -> None:
    found_numbers = re.match(r"([0-9]{1,4})\.([0-9]{1,4})(\.|$)", version)
    if not found_numbers or not _OLDEST <= (int(found_numbers[1]), int(found_numbers[2])) <= _NEWEST:
        found.notes.append(f"CloudStack {version} is outside the versions this was made for (4.9 to 4.22)")


def _check_expunge(may_expunge: bool, accepted: bool, found: _Findings) -> None:
    if may_expunge:
        return
    stays = (
        "this account may not expunge VMs: after the run its destroyed VMs, the network and its router would stay "
        f"until the server expunges them (by default {EXPUNGE_WAIT}), and count against the account's limits"
    )
    if accepted:
        found.notes.append(f"{stays}; run vrbench cleanup RUN then")
    else:
        found.problems.append(
            f"{stays}. Use an account that may (administrators may; for users, the setting "
            "allow.user.expunge.recover.vm), or accept it with environment.accept_slow_removal = true in the profile"
        )


def own_account(cloud: Cloud) -> Answer | None:
    """Find the account that the caller's keys belong to; None when it can't be told."""
    rows = cloud.list("listAccounts", "account")
    if len(rows) > 1:
        rows = [row for row in rows if any(cloud.owns_key(user.get("apikey")) for user in row.get("user", []))]
    return rows[0] if len(rows) == 1 else None


def _account(cloud: Cloud, found: _Findings) -> Answer:
    try:
        account = own_account(cloud)
    except CloudError as error:
        found.problems.append(str(error))
        return {}
    if account is None:
        found.problems.append(
            "can't tell which account these keys belong to: listAccounts names no single one. Use the keys of one user"
        )
    return account or {}


def _zone(cloud: Cloud, plan: EnvironmentPlan, found: _Findings) -> Answer:
    zones = _list(cloud, found, "listZones", "zone", available=True)
    zone, problem = choose(zones, plan.zone, "zone")
    if problem:
        found.problems.append(problem)
    elif zone.get("networktype") == "Basic" or zone.get("securitygroupsenabled"):
        found.problems.append(
            f"zone {zone.get('name')!r} is a basic zone or uses security groups: it has no isolated networks with "
            "a router of their own. Choose an advanced zone"
        )
        return {}
    return zone


def _network_offering(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, found: _Findings) -> Answer:
    rows = _list(
        cloud,
        found,
        "listNetworkOfferings",
        "networkoffering",
        guestiptype="Isolated",
        state="Enabled",
        zoneid=zone_id or None,
    )
    if plan.network_offering == "auto":
        chosen = offerings.best(rows, plan.access)
        if chosen is None:
            found.problems.append(
                "no network offering gives isolated networks with SourceNat, Firewall and "
                f"{plan.access} by a VirtualRouter: name one in the profile, or ask the administrator for one"
            )
        return chosen or {}
    offering, problem = choose(rows, plan.network_offering, "network offering")
    if not problem and (reason := offerings.unfitness(offering, plan.access)):
        problem = f"network offering {plan.network_offering!r} {reason}; 'auto' chooses one that fits"
    if problem:
        found.problems.append(problem)
        return {}
    return offering


def _service_offering(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, found: _Findings) -> Answer:
    rows = _list(cloud, found, "listServiceOfferings", "serviceoffering")
    here = offerings.in_zone(rows, zone_id)
    smallest = min(filter(offerings.is_fixed, here), key=offerings.size_of, default={})
    wanted = plan.service_offering or str(smallest.get("id", ""))
    offering, problem = choose(here, wanted, "service offering")
    if not problem and not offerings.is_fixed(offering):
        problem = f"service offering {plan.service_offering!r} leaves CPU and memory open; choose one of a fixed size"
    if problem:
        found.problems.append(problem)
        return {}
    return offering


def _template(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, found: _Findings) -> Answer:
    rows = _list(cloud, found, "listTemplates", "template", templatefilter="executable", zoneid=zone_id)
    here = [row for row in rows if row.get("zoneid", zone_id) == zone_id]
    if not plan.template:
        here = [row for row in here if row.get("isfeatured")]
    template, problem = choose(here, plan.template, "template")
    if not problem and not template.get("isready"):
        status = template.get("status") or "not downloaded"
        problem = f"template {plan.template!r} is not ready in this zone ({status}); wait for it or choose another"
    if problem:
        found.problems.append(problem)
        return {}
    return template


def _check_shape(plan: EnvironmentPlan, found: _Findings) -> None:
    if plan.access == offerings.STATIC_NAT and plan.vms != plan.public_ips:
        found.problems.append(
            f"static NAT gives each VM one address of its own: {plan.vms} VMs don't go with {plan.public_ips} public "
            "IPs; make them equal, or use port forwarding"
        )


def _check_source(plan: EnvironmentPlan, found: _Findings) -> None:
    """Tell whoever opens the network to the world, or to a good part of it, that this is so."""
    if plan.source_cidr != "auto" and (size := ip_network(plan.source_cidr, strict=False).num_addresses) > _MANY:
        found.notes.append(
            f"environment.source_cidr {plan.source_cidr} lets {size} addresses in, to SSH and ICMP of every VM, while "
            "the run lasts: 'auto' lets in this machine only"
        )


def _check_pool(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, found: _Findings) -> None:
    """Count the zone's free public addresses; who is shown none may just not be shown them."""
    if not zone_id:
        return
    which: dict[str, Param] = {"zoneid": zone_id, "state": "Free", "allocatedonly": False, "forvirtualnetwork": True}
    try:
        free = cloud.count("listPublicIpAddresses", "publicipaddress", **which)
    except CloudError as error:
        found.notes.append(f"free public addresses can't be counted here ({error.command} refused or unanswered)")
        return
    if not free:
        found.notes.append("this account is shown no free public addresses; whether there are enough is not known")
    elif free < plan.public_ips + 1:
        found.problems.append(
            f"the zone has {free} free public addresses, the plan needs {plan.public_ips + 1} "
            f"({plan.public_ips} and one for source NAT): plan fewer, or ask the administrator for a larger range"
        )


def _hypervisor(cloud: Cloud, zone_id: str, template: Answer) -> str:
    """Return the template's hypervisor: in a zone of several, that is where the VMs will run."""
    if template.get("hypervisor"):
        return str(template["hypervisor"])
    try:
        rows = cloud.list("listHypervisors", "hypervisor", zoneid=zone_id or None)
    except CloudError:
        return "unknown"
    return "/".join(str(row.get("name")) for row in rows) or "unknown"


def _check_routers(cloud: Cloud, found: _Findings) -> None:
    try:
        cloud.count("listRouters", "router")
    except NotPermitted:
        found.notes.append("this account may not list routers: reports won't name them, their versions and states")
    except CloudError as error:
        found.notes.append(f"routers can't be listed: {error}")


def _list(cloud: Cloud, found: _Findings, command: str, name: str, **params: str | bool | None) -> list[Answer]:
    try:
        return cloud.list(command, name, **params)
    except CloudError as error:
        found.problems.append(str(error))
        return []
