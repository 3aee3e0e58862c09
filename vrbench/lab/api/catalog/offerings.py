"""Service, network and VPC offerings, built in and made by the root administrator."""

from __future__ import annotations

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.responses import stamp
from vrbench.lab.api.request.selection import bodies, select, wanted_services
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import BuiltIn, Json
from vrbench.lab.api.state.fixtures import load
from vrbench.lab.api.state.zone import new_id

CAPABLE = {
    "StaticNat": {"ElasticIp": "false", "AssociatePublicIP": "false"},
    "Lb": {"SupportedLBIsolation": "shared", "ElasticLb": "false", "InlineMode": "false", "VmAutoScaling": "false"},
}
GUEST_TYPES = ("isolated", "shared", "l2")
TRAFFIC_TYPES = ("public", "management", "control", "guest", "vlan", "storage")
SERVICE_ORDER = ("SourceNat", "Dns", "Vpn", "PortForwarding", "Firewall", "UserData", "StaticNat", "Lb", "Dhcp")


def list_service_offerings(call: Call) -> Json:
    wanted = call.flag("issystem")
    rows = [row for row in bodies(call, "serviceoffering") if row["issystem"] == wanted]
    if call.text("systemvmtype"):
        rows = []  # none of a system VM is ever shown
    return call.listing("serviceoffering", select(call, rows, state="state"))


def create_service_offering(call: Call) -> Json:
    zone = call.zone
    name = call.required("name")
    body = dict(load("zone.json")["serviceoffering"][0]) | {
        "id": new_id(),
        "name": name,
        "displaytext": call.text("displaytext") or name,
        "cpunumber": call.number("cpunumber") or 1,
        "cpuspeed": call.number("cpuspeed") or 500,
        "memory": call.number("memory") or 512,
        "created": stamp(call.zone.clock.now()),
        "offerha": call.flag("offerha"),
        "limitcpuuse": call.flag("limitcpuuse"),
    }
    with zone.lock:
        number = len(zone.built_ins["serviceoffering"]) + 1
        zone.add(BuiltIn(uuid=body["id"], number=number, kind="serviceoffering", body=body))
    return {"serviceoffering": body}


def delete_service_offering(call: Call) -> Json:
    offering = call.target("id", BuiltIn, "unable to find service offering {id}")
    with call.zone.lock:
        call.zone.remove(offering)
    return {"success": True}


def list_network_offerings(call: Call) -> Json:
    rows = select(
        call, bodies(call, "networkoffering"), guestiptype="guestiptype", state="state", forvpc="forvpc",
        isdefault="isdefault", traffictype="traffictype", availability="availability", specifyvlan="specifyvlan",
        specifyipranges="specifyipranges", displaytext="displaytext",
    )  # fmt: skip
    wanted = wanted_services(call)
    rows = [row for row in rows if wanted <= _services_of(row)]
    if call.text("sourcenatsupported"):
        rows = [row for row in rows if ("sourcenat" in _services_of(row)) == call.flag("sourcenatsupported")]
    if call.flag("istagged"):
        rows = []  # none has tags
    return call.listing("networkoffering", rows)


def _services_of(row: Json) -> set[str]:
    """Return an offering's services in lower case."""
    return {service["name"].lower() for service in row["service"]}


def create_network_offering(call: Call) -> Json:
    """Answer createNetworkOffering: an isolated offering served by the virtual router, disabled at first."""
    zone = call.zone
    name = call.required("name")
    policy = call.text("egressdefaultpolicy")
    if (call.text("guestiptype") or "Isolated").lower() not in GUEST_TYPES:
        raise errors.invalid("Invalid guest type; can have Shared, Isolated and L2 types only")
    if (call.text("traffictype") or "Guest").lower() not in TRAFFIC_TYPES:
        raise errors.invalid(f"Invalid value for traffictype. Supported traffic types: {', '.join(TRAFFIC_TYPES)}")
    body = dict(load("zone.json")["networkoffering"][0]) | {
        "id": new_id(),
        "name": name,
        "displaytext": call.text("displaytext") or name,
        "created": stamp(call.zone.clock.now()),
        "isdefault": False,
        "availability": call.text("availability") or "Optional",
        "conservemode": call.flag("conservemode", default=True),
        "ispersistent": call.flag("ispersistent"),
        "state": "Enabled" if call.flag("enable") else "Disabled",
        "service": _services(call),
        "egressdefaultpolicy": policy is None or call.flag("egressdefaultpolicy"),
    }
    with zone.lock:
        if any(row.body["name"] == name for row in zone.built_ins["networkoffering"]):
            raise errors.invalid(f"There is already a network offering with name {name}")
        number = len(zone.built_ins["networkoffering"]) + 1
        zone.add(BuiltIn(uuid=body["id"], number=number, kind="networkoffering", body=body))
    return {"networkoffering": body}


def _services(call: Call) -> list[Json]:
    entries = call.entries("serviceproviderlist")
    if any(not row.get("service") or not row.get("provider") for row in entries):
        raise errors.invalid("Invalid service provider: both the service and its provider must be named")
    providers = {row["service"]: row["provider"] for row in entries}
    asked = set(call.items("supportedservices")) | set(providers)
    for name in sorted(asked - set(SERVICE_ORDER)):
        raise errors.invalid(f"Invalid service {name}")
    redundant = any(
        row.get("capabilitytype") == "RedundantRouter" and row.get("capabilityvalue", "").lower() == "true"
        for row in call.entries("servicecapabilitylist")
    )
    return [_service(name, providers.get(name, "VirtualRouter"), redundant) for name in SERVICE_ORDER if name in asked]


def _service(name: str, provider: str, redundant: bool) -> Json:
    capable = dict(CAPABLE.get(name, {}))
    if name == "SourceNat":
        capable = {"SupportedSourceNatTypes": "peraccount", "RedundantRouter": str(redundant).lower()}
    body: Json = {"name": name, "provider": [{"name": provider}]}
    if capable:
        body["capability"] = [
            {"name": key, "value": value, "canchooseservicecapability": False} for key, value in capable.items()
        ]
    return body


def update_network_offering(call: Call) -> Json:
    offering = call.target("id", BuiltIn, "unable to find network offering {id}")
    with call.zone.lock:
        for param in ("name", "displaytext", "state", "availability"):
            if call.text(param) is not None:
                offering.body[param] = call.text(param)
    return {"networkoffering": dict(offering.body)}


def delete_network_offering(call: Call) -> Json:
    """Answer deleteNetworkOffering: neither a built-in one nor one that a network has."""
    offering = call.target("id", BuiltIn, "unable to find network offering {id}")
    if offering.kind != "networkoffering":
        raise errors.unknown_entity(call.shape.name, "id", offering.uuid)
    with call.zone.lock:
        if offering.body["isdefault"]:
            raise errors.invalid("Default network offering can't be deleted")
        users = sum(network.offering is offering for network in call.zone.networks)
        if users:
            raise errors.invalid(
                f"Can't delete network offering {offering.number} as its used by {users} networks. To make the network "
                "offering unavailable, disable it"
            )
        call.zone.remove(offering)
    return {"success": True}


def list_vpc_offerings(call: Call) -> Json:
    return call.listing("vpcoffering", select(call, bodies(call, "vpcoffering"), state="state", isdefault="isdefault"))


COMMANDS = {
    "listServiceOfferings": list_service_offerings,
    "createServiceOffering": create_service_offering,
    "deleteServiceOffering": delete_service_offering,
    "listNetworkOfferings": list_network_offerings,
    "createNetworkOffering": create_network_offering,
    "updateNetworkOffering": update_network_offering,
    "deleteNetworkOffering": delete_network_offering,
    "listVPCOfferings": list_vpc_offerings,
}
