"""A network as listNetworks shows it."""

from __future__ import annotations

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.request.responses import owner_fields, stamp
from vrbench.lab.api.state.entities import BuiltIn, Json, Network
from vrbench.lab.api.state.fixtures import load, router_constants
from vrbench.lab.api.state.zone import Zone


def network_view(zone: Zone, network: Network, as_root: bool) -> Json:
    """Return the body of one network; call with the lock held."""
    return _fields(zone, network) | (_root_fields(network) if as_root else {}) | _said(network)


def _root_fields(network: Network) -> Json:
    """Return what only the root administrator sees: the VLAN of a network that has one."""
    body: Json = {"displaynetwork": network.displayed, "details": {}}
    if network.state != "Allocated":
        body |= {"vlan": str(network.vlan), "broadcasturi": f"vlan://{network.vlan}"}
    return body


def _fields(zone: Zone, network: Network) -> Json:
    offering, site, common = network.offering.body, zone.built_ins["zone"][0].body, router_constants()
    return {
        "id": network.uuid,
        "name": network.name,
        "displaytext": network.displaytext,
        "broadcastdomaintype": "Vlan",
        "traffictype": "Guest",
        "gateway": network.gateway,
        "netmask": network.netmask,
        "cidr": network.cidr,
        "zoneid": site["id"],
        "zonename": site["name"],
        "networkofferingid": offering["id"],
        "networkofferingname": offering["name"],
        "networkofferingdisplaytext": offering["displaytext"],
        "networkofferingconservemode": offering["conservemode"],
        "networkofferingavailability": offering["availability"],
        "issystem": False,
        "state": network.state,
        "related": network.uuid,
        "dns1": common["dns1"],
        "type": "Isolated",
        "acltype": "Account",
        **owner_fields(network.account),
        "service": _services(network.offering),
        "networkdomain": network.domain_name,
        "physicalnetworkid": load("zone.json")["physicalnetworkid"],
        "restartrequired": network.restart_required,
        "specifyvlan": offering["specifyvlan"],
        "specifyipranges": offering["specifyipranges"],
        **_vpc(network),
        "canusefordeploy": True,
        "ispersistent": offering["ispersistent"],
        "tags": tags.shown(zone, network.uuid),
        **_acl(network),
        "strechedl2subnet": False,
        "redundantrouter": network.redundant,
        "supportsvmautoscaling": offering["isdefault"],
        "created": stamp(network.created),
        "receivedbytes": 0,
        "sentbytes": 0,
        **({"egressdefaultpolicy": offering["egressdefaultpolicy"]} if network.vpc is None else {}),
        "publicmtu": 1500,
        "privatemtu": 1500,
        "hasannotations": False,
    }


def _said(network: Network) -> Json:
    """Return what only a network has of which it was said."""
    shown = {f"dns{n}": address for n, address in enumerate(network.dns, 1)}
    return shown | ({"externalid": network.external_id} if network.external_id else {})


def _vpc(network: Network) -> Json:
    return {"vpcid": network.vpc.uuid, "vpcname": network.vpc.name} if network.vpc else {}


def _acl(network: Network) -> Json:
    return {"aclid": network.acl.uuid, "aclname": network.acl.name} if network.acl else {}


def _services(offering: BuiltIn) -> list[Json]:
    """Return the offering's services with what the virtual router can do for each."""
    details = load("zone.json")["vpcnetworkservice" if offering.body["forvpc"] else "networkservice"]
    return [_service(details, service) for service in offering.body["service"]]


def _service(details: Json, service: Json) -> Json:
    """Return one service in full; of source NAT, redundancy is as the offering has it."""
    full: Json = details.get(service["name"], service)
    if service["name"] != "SourceNat":
        return full
    own = {row["name"]: row["value"] for row in service.get("capability", ())}
    capability = [row | {"value": own.get(row["name"], row["value"])} for row in full.get("capability", ())]
    return full | {"capability": capability}
