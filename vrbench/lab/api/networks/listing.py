"""listNetworks: whose networks, which of them, and the zone's own."""

from __future__ import annotations

from collections.abc import Callable
from uuid import NAMESPACE_DNS, uuid5

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.networks.view import network_view
from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.request.selection import wanted_services
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Json, Network
from vrbench.lab.api.state.fixtures import load, router_constants

SYSTEM = {"Public": "Vlan", "Management": "Native", "Control": "LinkLocal", "Storage": "Native"}
FILTERS = {"all": True, "account": True, "accountdomain": True, "domain": False, "shared": False}


def list_networks(call: Call) -> Json:
    """Answer listNetworks: newest first."""
    wanted = call.text("networkfilter") or "all"
    if wanted.lower() not in FILTERS:
        raise errors.invalid(f"Invalid value of networkfilter: {wanted}")
    if call.flag("issystem") and call.caller.is_root:
        return call.listing("network", _system_networks(call))
    mine = _scope(call)
    chosen = [n for n in reversed(call.zone.networks) if mine(n.account) and _matches(call, n)]
    rows = [network_view(call.zone, network, call.caller.is_root) for network in chosen if FILTERS[wanted.lower()]]
    return call.listing("network", rows)


def _scope(call: Call) -> Callable[[Account], bool]:
    """Return whose networks are shown: an administrator sees its domain, with ``listall`` all that is below it.

    Unlike other lists, this one takes no notice of an account without its domain, or of being asked by id.
    """
    domain, name = call.domain(), call.text("account")
    if call.text("projectid"):
        shared = call.project_scope()
        return lambda account: account.project is not None and shared(account)
    if domain is not None and name:
        owner = call.owner()
        return lambda account: account is owner
    if call.caller.role == "user":
        return lambda account: account is call.caller
    top = domain or call.caller.domain
    deep = call.flag("isrecursive") or (call.flag("listall") and domain is None)
    with_projects = bool(call.text("id"))
    return lambda account: (
        (account.domain is top or (deep and top.holds(account.domain))) and (with_projects or account.project is None)
    )


def _matches(call: Call, network: Network) -> bool:
    exactly = {
        "id": network.uuid,
        "type": "Isolated",
        "acltype": "Account",
        "traffictype": "Guest",
        "networkofferingid": network.offering.uuid,
        "zoneid": call.zone.built_ins["zone"][0].uuid,
        "vpcid": network.vpc.uuid if network.vpc else None,
        "physicalnetworkid": load("zone.json")["physicalnetworkid"],
        "associatednetworkid": None,
        **({"vlan": str(network.vlan) if network.state != "Allocated" else None} if call.caller.is_root else {}),
    }
    flags = {
        "restartrequired": network.restart_required,
        "forvpc": network.vpc is not None,
        "displaynetwork": network.displayed,
        "canusefordeploy": True,
        "specifyipranges": network.offering.body["specifyipranges"],
    }
    return (
        fits(call, exactly, {"keyword": network.name}, flags)
        and wanted_services(call) <= {service["name"].lower() for service in network.offering.body["service"]}
        and tags.carries(call, network.uuid)
    )


def _system_networks(call: Call) -> list[Json]:
    """Return the zone's own networks, one for each kind of traffic."""
    if call.text("account") or call.text("domainid"):
        raise errors.invalid("System network belongs to system, account and domainId parameters can't be specified")
    wanted = call.text("traffictype") or ""
    chosen = [_system_network(call, traffic) for traffic in SYSTEM if wanted.lower() in ("", traffic.lower())]
    return [row for row in chosen if call.text("id") in (None, "", row["id"])]


def _system_network(call: Call, traffic: str) -> Json:
    site, ids = call.zone.built_ins["zone"][0].body, {"Public": "publicnetworkid", "Control": "linklocalnetworkid"}
    made_up = str(uuid5(NAMESPACE_DNS, f"system-network-{traffic.lower()}"))
    uuid = router_constants()[ids[traffic]] if traffic in ids else made_up
    return {
        "id": uuid,
        "broadcastdomaintype": SYSTEM[traffic],
        "traffictype": traffic,
        "zoneid": site["id"],
        "zonename": site["name"],
        "networkofferingid": str(uuid5(NAMESPACE_DNS, f"system-offering-{traffic.lower()}")),
        "networkofferingname": f"System-{traffic}-Network",
        "networkofferingdisplaytext": f"System Offering for System-{traffic}-Network",
        "networkofferingconservemode": True,
        "networkofferingavailability": "Required",
        "issystem": True,
        "state": "Setup",
        "related": uuid,
        "dns1": router_constants()["dns1"],
        "acltype": "Domain",
        "service": [],
        "physicalnetworkid": load("zone.json")["physicalnetworkid"],
        "restartrequired": False,
        "specifyvlan": False,
        "specifyipranges": traffic in ("Public", "Storage"),
        "canusefordeploy": False,
        "ispersistent": False,
        "tags": [],
        "displaynetwork": True,
        "details": {},
        "strechedl2subnet": False,
        "redundantrouter": False,
        "supportsvmautoscaling": False,
        "hasannotations": False,
    }
