"""Which network offerings give the network that we measure: isolated, behind a virtual router of its own."""

from __future__ import annotations

from collections.abc import Sequence

from vrbench.cloud.api.facade import Answer, Param
from vrbench.cloud.check.owners import Whose
from vrbench.core.model import CALLER
from vrbench.core.plan.networks import REDUNDANT

PORT_FORWARDING, STATIC_NAT = "port-forwarding", "static-nat"
_DEFAULT = "DefaultIsolatedNetworkOfferingWithSourceNatService"
_ROUTER = "VirtualRouter"
_SERVICES = ("Dhcp", "Dns", "Firewall", "Lb", "SourceNat", "StaticNat", "PortForwarding", "Vpn", "UserData")
_ACCESS_SERVICE = {PORT_FORWARDING: "PortForwarding", STATIC_NAT: "StaticNat"}


def unfitness(offering: Answer, access: str) -> str:
    """Say why this offering won't do, in words for "it …"; empty when it will.

    Built-in isolated offerings also come for other providers (Nsx, VpcVirtualRouter), which a plain zone can't build.
    """
    providers = {
        service.get("name"): [provider.get("name") for provider in service.get("provider", [])]
        for service in offering.get("service", [])
    }
    missing = [
        name for name in ("SourceNat", "Firewall", _ACCESS_SERVICE[access]) if _ROUTER not in providers.get(name, [])
    ]
    if offering.get("guestiptype", "Isolated") != "Isolated" or offering.get("forvpc"):
        return "is not for isolated networks"
    if missing:
        return f"has no {' and '.join(missing)} by a {_ROUTER}"
    if "Dhcp" not in providers or "UserData" not in providers:
        return "gives guests no Dhcp or UserData"
    if offering.get("specifyvlan"):
        return "needs a VLAN to be named, which only administrators may"
    return ""


def ranked(offerings: Sequence[Answer], access: str) -> list[Answer]:
    """Return the offerings that will do, the best first."""
    return sorted((offering for offering in offerings if not unfitness(offering, access)), key=_rank)


def of_kind(offerings: Sequence[Answer], network: str) -> list[Answer]:
    """Return those by which networks of a kind are made, in their order; one router is as good as the only one."""
    return [offering for offering in offerings if is_redundant(offering) == (network == REDUNDANT)]


def allows_egress(offering: Answer) -> bool:
    """Return whether guests may reach the outside without an egress rule."""
    return bool(offering.get("egressdefaultpolicy"))


def is_redundant(offering: Answer) -> bool:
    """Return whether networks of this offering get two routers."""
    return any(
        capability.get("name") == "RedundantRouter" and str(capability.get("value")).lower() == "true"
        for service in offering.get("service", [])
        for capability in service.get("capability", [])
    )


def redundant_offering(name: str, run_id: str) -> dict[str, Param]:
    """Return the parameters of createNetworkOffering for an offering with a pair of routers, as no cloud ships one."""
    made: dict[str, Param] = {
        "name": name,
        "displaytext": f"vrbench {run_id}: isolated, two routers",
        "guestiptype": "Isolated",
        "traffictype": "GUEST",
        "conservemode": True,
        "egressdefaultpolicy": True,
        "supportedservices": list(_SERVICES),
        "servicecapabilitylist[0].service": "SourceNat",
        "servicecapabilitylist[0].capabilitytype": "SupportedSourceNatTypes",
        "servicecapabilitylist[0].capabilityvalue": "peraccount",
        "servicecapabilitylist[1].service": "SourceNat",
        "servicecapabilitylist[1].capabilitytype": "RedundantRouter",
        "servicecapabilitylist[1].capabilityvalue": True,
    }
    for number, service in enumerate(_SERVICES):
        made |= {
            f"serviceproviderlist[{number}].service": service,
            f"serviceproviderlist[{number}].provider": _ROUTER,
        }
    return made


def in_zone(services: Sequence[Answer], zone: Answer) -> list[Answer]:
    """Return the service offerings that a zone has, and whose disks it has a place for."""
    here = [row for row in services if not row.get("zoneid") or zone.get("id") in str(row["zoneid"]).split(",")]
    return [row for row in here if _has_storage(zone, row.get("storagetype") == "local")]


def _has_storage(zone: Answer, local: bool) -> bool:
    """Return whether a zone has storage on its hosts, or shared storage: an edge zone has the first alone."""
    if zone.get("type") == "Edge":
        return local
    return not local or bool(zone.get("localstorageenabled", True))


def for_owner(rows: Sequence[Answer], whose: Whose) -> list[Answer]:
    """Return the offerings that are for everybody or for a domain of this owner; a caller is shown its own alone."""
    if whose.owner == CALLER or not whose.domains:
        return list(rows)
    domains = {str(row["id"]) for row in whose.domains}
    return [row for row in rows if not row.get("domainid") or domains & set(str(row["domainid"]).split(","))]


def is_fixed(service: Answer) -> bool:
    """Return whether a service offering says how large its VMs are."""
    return not service.get("iscustomized")


def size_of(service: Answer) -> tuple[int, int, int]:
    """Return memory (MB), CPUs and their speed (MHz) of a service offering."""
    memory, cores, speed = (int(service.get(name) or 0) for name in ("memory", "cpunumber", "cpuspeed"))
    return memory, cores, speed


def _rank(offering: Answer) -> tuple[bool, bool, bool, bool, str]:
    name = str(offering.get("name", ""))
    return name != _DEFAULT, is_redundant(offering), allows_egress(offering), not offering.get("isdefault"), name
