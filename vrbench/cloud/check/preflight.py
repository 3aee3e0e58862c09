"""Everything that can be known before anything is built; all problems in one list."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.check import offerings
from vrbench.cloud.check.capacity import check_capacity
from vrbench.cloud.check.choosing import choose, unfit_zone
from vrbench.cloud.check.key_kinds import check_key
from vrbench.cloud.check.limits import check_limits
from vrbench.cloud.check.operation_needs import lacking, unmet_needs
from vrbench.cloud.check.own_address import check_source
from vrbench.cloud.check.owners import NOBODY_ELSE, Whose, find_owner, is_root
from vrbench.cloud.check.public_pool import free_addresses
from vrbench.cloud.environment_plan import NAMES, EnvironmentPlan, is_our_name
from vrbench.cloud.errors import CloudError, CloudRefused, CloudUnreachable, NotPermitted, PreflightError
from vrbench.cloud.journal.replay import Head
from vrbench.core.findings import Blame, Finding, Findings
from vrbench.core.model import CALLER, Owner
from vrbench.core.plan.networks import ISOLATED, REDUNDANT
from vrbench.core.plan.operations import Need
from vrbench.core.text import few, some

TO_BE_MADE: Answer = {"egressdefaultpolicy": True}  # an offering that the build makes
MAKES_OFFERINGS = (Need("createNetworkOffering"), Need("updateNetworkOffering"), Need("deleteNetworkOffering"))
_ROUTERS = {ISOLATED: "one router", REDUNDANT: "two routers"}
_OLDEST, _NEWEST = (4, 9), (4, 22)
EXPUNGE_WAIT = "24 h, and up to 24 h more (its settings expunge.delay and expunge.interval)"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The plan's names as this cloud's ids, and what the caller may do here."""

    zone_id: str
    zone: str
    network_offering_id: str
    network_offering: str  # empty, with its id: the build makes one
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
    free_address: str = ""  # a public one that nobody has; "" where none is shown
    owner: Owner = CALLER  # in whose name it is built, if not the caller's own
    owner_named: str = ""  # the same in words

    def head(self, run_id: str, endpoint: str) -> Head:
        """Return what the journal of what is built begins with."""
        account, domain_id = self.account, self.domain_id
        if self.owner.account:
            account, domain_id = self.owner.account, self.owner.domain_id
        return Head(run_id, endpoint, account, domain_id, self.owner.project_id)


def preflight(
    cloud: Cloud, plan: EnvironmentPlan, *, accept_unexpunged: bool = False
) -> tuple[Resolved, tuple[Finding, ...]]:
    """Resolve the plan's names here and check that it can be carried out; also returns what else was found.

    ``accept_unexpunged``: the operator agrees that destroyed VMs and the network stay until the server expunges them.
    Raises PreflightError with every problem found; builds nothing.
    """
    found = Findings()
    capability = _capabilities(cloud)
    version = str(capability.get("cloudstackversion", "unknown"))
    _check_version(version, found)
    check_key(plan.ssh_key, version, found)
    may_expunge = bool(capability.get("allowuserexpungerecovervm"))
    _check_expunge(may_expunge, accept_unexpunged, found)
    account = _account(cloud, found)
    whose = _owner(cloud, plan, account, found)
    cloud = cloud.acting_for(whose.owner)
    zone = _zone(cloud, plan, found)
    zone_id = str(zone.get("id", ""))
    _check_enabled(zone, account, found)
    network = _network_offering(cloud, plan, zone_id, whose, found)
    service = _service_offering(cloud, plan, zone, whose, found)
    template = _template(cloud, plan, zone_id, found) if zone_id else {}
    _check_shape(plan, found)
    check_limits(plan, whose, (service, template), found)
    if is_root(account) and zone_id:
        check_capacity(cloud, plan, zone_id, service, found)
    free = free_addresses(cloud, plan, zone_id, found) if zone_id else ()
    check_source(plan.source_cidr, free, cloud, found)
    _check_others(cloud, found)
    hypervisor = _hypervisor(cloud, zone_id, template, found)
    _check_routers(cloud, found)
    _check_operation(cloud, plan, found)
    if found.problems:
        raise PreflightError(found.problems)
    resolved = Resolved(
        **_named(zone, network, service, template),
        egress_allowed=offerings.allows_egress(network),
        hypervisor=hypervisor,
        version=version,
        account=str(account.get("name", "")),
        domain_id=str(account.get("domainid", "")),
        role=str(account.get("roletype", "")),
        may_expunge=may_expunge,
        free_address=next(iter(free), ""),
        owner=whose.owner,
        owner_named="" if whose.owner == CALLER else whose.named,
    )
    return resolved, tuple(found.all)


def _named(zone: Answer, network: Answer, service: Answer, template: Answer) -> dict[str, str]:
    """Return ids and names of what was found, as ``Resolved`` has them."""
    rows = {"zone": zone, "network_offering": network, "service_offering": service, "template": template}
    return {name: str(row.get("name", "")) for name, row in rows.items()} | {
        f"{n}_id": str(row.get("id", "")) for n, row in rows.items()
    }


def _capabilities(cloud: Cloud) -> Answer:
    """Ask what the server can do; that is also the proof that endpoint, key and secret work."""
    try:
        capability: Answer = cloud.call("listCapabilities")["capability"]
    except (CloudUnreachable, CloudRefused) as error:
        raise PreflightError.because(str(error)) from None
    return capability


def _check_version(version: str, found: Findings) -> None:
    found_numbers = re.match(r"([0-9]{1,4})\.([0-9]{1,4})(\.|$)", version)
    if not found_numbers or not _OLDEST <= (int(found_numbers[1]), int(found_numbers[2])) <= _NEWEST:
        found.warn("endpoint", f"CloudStack {version} is outside the versions this was made for (4.9 to 4.22)")


def _check_expunge(may_expunge: bool, accepted: bool, found: Findings) -> None:
    if may_expunge:
        return
    stays = (
        "this account may not expunge VMs: after the run its destroyed VMs, the network and its router would stay "
        f"until the server expunges them (by default {EXPUNGE_WAIT}), and count against the account's limits"
    )
    if accepted:
        found.warn("removal", f"{stays}; run vrbench cleanup RUN then")
    else:
        cure = (
            "use an account that may (administrators may; for users, the setting allow.user.expunge.recover.vm), or "
            "accept it with environment.accept_slow_removal = true in the profile"
        )
        found.bad("removal", stays, cure)


def own_account(cloud: Cloud) -> Answer | None:
    """Find the account that the caller's keys belong to; None when it can't be told."""
    rows = cloud.list("listAccounts", "account")
    if len(rows) > 1:
        rows = [row for row in rows if any(cloud.owns_key(user.get("apikey")) for user in row.get("user", []))]
    return rows[0] if len(rows) == 1 else None


def _account(cloud: Cloud, found: Findings) -> Answer:
    try:
        account = own_account(cloud)
    except CloudError as error:
        found.bad("account", str(error))
        return {}
    if account is None:
        seen = "can't tell which account these keys belong to, listAccounts names no single one"
        found.bad("account", seen, "use the keys of one user")
    return account or {}


def _owner(cloud: Cloud, plan: EnvironmentPlan, account: Answer, found: Findings) -> Whose:
    try:
        return find_owner(cloud, plan, account)
    except PreflightError as error:
        found.all += error.findings
    except CloudError as error:
        found.bad("owner", str(error))
    return NOBODY_ELSE


def _zone(cloud: Cloud, plan: EnvironmentPlan, found: Findings) -> Answer:
    zones = _list(cloud, found, "listZones", "zone", available=True)
    zone, problem = choose(zones, plan.zone, "zone")
    if problem:
        found.bad("zone", problem, "only root administrators are shown a zone that is disabled")
        return {}
    if reason := unfit_zone(zone):
        found.bad("zone", reason, "choose an advanced zone")
        return {}
    return zone


def _check_enabled(zone: Answer, account: Answer, found: Findings) -> None:
    """Look whether the zone takes new networks and VMs: while it is disabled, those of the root administrator only."""
    if zone.get("allocationstate", "Enabled") == "Enabled":
        return
    disabled = f"zone {zone.get('name')!r} is disabled: only the root administrator may build there"
    if is_root(account):
        found.warn("zone", disabled)
    else:
        found.bad("zone", disabled, "choose another zone, or ask the administrator to enable it")


def _network_offering(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, whose: Whose, found: Findings) -> Answer:
    rows = _list(
        cloud,
        found,
        "listNetworkOfferings",
        "networkoffering",
        guestiptype="Isolated",
        state="Enabled",
        zoneid=zone_id or None,
    )
    rows = offerings.for_owner(rows, whose)
    if plan.network_offering == "auto":
        fit = offerings.of_kind(offerings.ranked(rows, plan.access), plan.network)
        if fit or _can_be_made(cloud, plan, found):
            return fit[0] if fit else TO_BE_MADE
        needed = f"{_ROUTERS[plan.network]} and SourceNat, Firewall and {plan.access} by a VirtualRouter"
        found.bad(
            "network",
            f"no network offering gives networks with {needed}",
            "name one in the profile, or ask the administrator for one",
        )
        return {}
    offering, problem = choose(rows, plan.network_offering, "network offering")
    if not problem and (reason := offerings.unfitness(offering, plan.access)):
        problem = f"network offering {plan.network_offering!r} {reason}; 'auto' chooses one that fits"
    if not problem and not offerings.of_kind([offering], plan.network):
        problem = (
            f"network offering {plan.network_offering!r} does not give {_ROUTERS[plan.network]}, which the profile's "
            f"environment.network = {plan.network!r} asks for; change one of the two"
        )
    if problem:
        found.bad("network", problem)
        return {}
    return offering


def _can_be_made(cloud: Cloud, plan: EnvironmentPlan, found: Findings) -> bool:
    """Return whether the build may make an offering with two routers; it is told that it does."""
    if plan.network != REDUNDANT or lacking(cloud, MAKES_OFFERINGS):
        return False
    found.warn("network", "no network offering here has two routers: one is made for this run, and removed with it")
    return True


def _service_offering(cloud: Cloud, plan: EnvironmentPlan, zone: Answer, whose: Whose, found: Findings) -> Answer:
    rows = _list(cloud, found, "listServiceOfferings", "serviceoffering")
    here = offerings.in_zone(offerings.for_owner(rows, whose), zone)
    smallest = min(filter(offerings.is_fixed, here), key=offerings.size_of, default={})
    wanted = plan.service_offering or str(smallest.get("id", ""))
    offering, problem = choose(here, wanted, "service offering")
    if not problem and not offerings.is_fixed(offering):
        problem = f"service offering {plan.service_offering!r} leaves CPU and memory open; choose one of a fixed size"
    if problem:
        found.bad("VMs", problem)
        return {}
    return offering


def _template(cloud: Cloud, plan: EnvironmentPlan, zone_id: str, found: Findings) -> Answer:
    rows = _list(cloud, found, "listTemplates", "template", templatefilter="executable", zoneid=zone_id)
    here = [row for row in rows if row.get("zoneid", zone_id) == zone_id]
    if not plan.template:
        here = [row for row in here if row.get("isfeatured")]
    template, problem = choose(here, plan.template, "template")
    if not problem and not template.get("isready"):
        status = template.get("status") or "not downloaded"
        problem = f"template {plan.template!r} is not ready in this zone ({status}); wait for it or choose another"
    if problem:
        found.bad("template", problem)
        return {}
    return template


def _check_shape(plan: EnvironmentPlan, found: Findings) -> None:
    if plan.access == offerings.STATIC_NAT and plan.vms != plan.public_ips:
        seen = "static NAT gives each VM one address of its own"
        seen += f", and {plan.vms} VMs don't go with {plan.public_ips} public IPs"
        found.bad("addresses", seen, "make them equal, or use port forwarding", Blame.OURS)


def _hypervisor(cloud: Cloud, zone_id: str, template: Answer, found: Findings) -> str:
    """Return what the VMs will run on: the template's hypervisor, which the zone must have."""
    wanted = str(template.get("hypervisor") or "")
    try:
        rows = cloud.list("listHypervisors", "hypervisor", zoneid=zone_id or None)
    except NotPermitted:
        return wanted or "unknown"
    except CloudError as error:
        found.warn("zone", f"the hypervisors of the zone can't be listed: {error}")
        return wanted or "unknown"
    there = [str(row.get("name")) for row in rows]
    if wanted and there and wanted.lower() not in (name.lower() for name in there):
        seen = f"template {template.get('name')!r} is for {wanted}, and the zone's hosts run {' and '.join(there)}"
        found.bad("template", seen, "choose a template for these")
    return wanted or "/".join(there) or "unknown"


def _check_routers(cloud: Cloud, found: Findings) -> None:
    try:
        cloud.count("listRouters", "router")
    except NotPermitted:
        seen = "this account may not list routers: reports won't name them, their versions and states"
        found.warn("routers", seen)
    except CloudError as error:
        found.warn("routers", f"routers can't be listed: {error}")


def _check_operation(cloud: Cloud, plan: EnvironmentPlan, found: Findings) -> None:
    problems, notes = unmet_needs(cloud, plan.operation, plan.network)

    for problem in problems:
        found.bad("operation", problem)
    for note in notes:
        found.warn("operation", note)


def _check_others(cloud: Cloud, found: Findings) -> None:
    """Look for networks of other runs: what a run left counts against limits, and two at once disturb each other."""
    try:
        names = [str(row.get("name")) for row in cloud.list("listNetworks", "network", keyword=NAMES)]
    except CloudError as error:
        found.warn("other runs", f"other runs can't be looked for: {error}")
        return
    if ours := sorted(name for name in names if is_our_name(name)):
        seen = f"this account has {some(len(ours), 'network')} of other runs: {few(ours)}"
        found.warn("other runs", seen, "wait until they are over, or remove what they left: vrbench cleanup --all")


def _list(cloud: Cloud, found: Findings, command: str, name: str, **params: str | bool | None) -> list[Answer]:
    try:
        return cloud.list(command, name, **params)
    except CloudError as error:
        found.bad("cloud", str(error))
        return []
