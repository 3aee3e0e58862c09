"""A public address as listPublicIpAddresses shows it."""

from __future__ import annotations

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.request.responses import owner_fields, stamp
from vrbench.lab.api.state.entities import Address, Json, Machine
from vrbench.lab.api.state.fixtures import load, router_constants
from vrbench.lab.api.state.zone import Zone


def address_view(zone: Zone, address: Address, as_root: bool) -> Json:
    """Return the body of one address, owner and time only of an allocated one; call with the lock held."""
    site, network, machine = zone.built_ins["zone"][0].body, address.network, address.static_nat
    body: Json = {
        "id": address.uuid,
        "ipaddress": address.ip,
        **({"allocated": stamp(address.allocated)} if address.account else {}),
        "zoneid": site["id"],
        "zonename": site["name"],
        "issourcenat": address.source_nat,
        **(owner_fields(address.account) if address.account else {}),
        "forvirtualnetwork": True,
        "isstaticnat": machine is not None,
        "issystem": False,
        "networkid": router_constants()["publicnetworkid"],
        "state": address.state,
        "physicalnetworkid": load("zone.json")["physicalnetworkid"],
        "tags": tags.shown(zone, address.uuid),
        "isportable": False,
        "hasrules": bool(zone.rules_where(lambda rule: rule.address is address)),
        "forsystemvms": False,
        "hasannotations": False,
    }
    if network is not None:
        body |= {"associatednetworkid": network.uuid, "associatednetworkname": network.name}
    if address.vpc is not None:
        body |= {"vpcid": address.vpc.uuid, "vpcname": address.vpc.name}
    return body | (_static_nat_fields(machine) if machine else {}) | (_root_fields(zone, address) if as_root else {})


def _root_fields(zone: Zone, address: Address) -> Json:
    """Return what only the root administrator sees: the address range."""
    pool = zone.public_ranges[address.subnet]
    return {"vlanid": pool.uuid, "vlanname": pool.body["vlan"], "fordisplay": True}


def _static_nat_fields(machine: Machine) -> Json:
    return {
        "virtualmachineid": machine.uuid,
        "virtualmachinename": machine.name,
        "virtualmachinedisplayname": machine.displayname,
        "vmipaddress": machine.nic.ip,
        "virtualmachinetype": "User",
    }
