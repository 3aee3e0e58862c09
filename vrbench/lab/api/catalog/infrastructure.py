"""What the zone stands on: storage, physical networks, network services; and the little that every account has."""

from __future__ import annotations

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.responses import owner_fields
from vrbench.lab.api.request.selection import bodies, select
from vrbench.lab.api.state.entities import Account, Json
from vrbench.lab.api.state.fixtures import load, stable_id

POOL_BYTES = 1 << 40
SERVER = "10.147.28.6"
VNETS = "100-200"


def pool_of(cluster: Json) -> Json:
    """Return a cluster's primary storage: id and name."""
    cluster_name = str(cluster["clustername"])
    return {"id": stable_id("storage-pool", cluster_name), "name": f"PS{cluster_name.removeprefix('C')}"}


def list_storage_pools(call: Call) -> Json:
    clusters = {host["clusterid"]: host for host in bodies(call, "host")}
    rows = [_pool(call, host) for host in clusters.values()]
    same = {name: name for name in ("zoneid", "podid", "clusterid", "path", "ipaddress", "scope")}
    return call.listing("storagepool", select(call, rows, **same, status="state"))


def _pool(call: Call, host: Json) -> Json:
    name = pool_of(host)["name"]
    used = sum(machine.host is not None for machine in call.zone.machines) << 31
    return {
        **pool_of(host),
        **{key: host[key] for key in ("zoneid", "zonename", "podid", "podname", "clusterid", "clustername")},
        "ipaddress": SERVER,
        "path": f"/export/home/sandbox/primary{name.removeprefix('PS')}",
        "created": host["created"],
        "type": "NetworkFilesystem",
        "disksizetotal": POOL_BYTES,
        "disksizeallocated": used,
        "disksizeused": 0,
        "state": "Up",
        "scope": "CLUSTER",
        "overprovisionfactor": "2.0",
        "suitableformigration": False,
        "provider": "DefaultPrimary",
        "storagecapabilities": {"VOLUME_SNAPSHOT_QUIESCEVM": "false"},
        "managed": False,
        "hasannotations": False,
    }


def list_image_stores(call: Call) -> Json:
    site = bodies(call, "zone")[0]
    detail = load("zone.json")["template"][0]["downloaddetails"][0]
    row: Json = {
        "id": detail["datastoreId"],
        "name": detail["datastore"],
        "zoneid": site["id"],
        "zonename": site["name"],
        "url": f"nfs://{SERVER}/export/home/sandbox/secondary",
        "protocol": "nfs",
        "providername": "NFS",
        "scope": "ZONE",
        "readonly": False,
        "disksizetotal": POOL_BYTES,
        "disksizeused": 0,
        "hasannotations": False,
    }
    return call.listing("imagestore", select(call, [row], zoneid="zoneid", provider="providername"))


def list_physical_networks(call: Call) -> Json:
    site = bodies(call, "zone")[0]
    row: Json = {
        "id": load("zone.json")["physicalnetworkid"],
        "name": "Sandbox-pnet",
        "broadcastdomainrange": "ZONE",
        "zoneid": site["id"],
        "zonename": site["name"],
        "state": "Enabled",
        "vlan": VNETS,
        "tags": "cloud-simulator-pnet",
        "isolationmethods": "",
    }
    return call.listing("physicalnetwork", select(call, [row], zoneid="zoneid"))


TRAFFIC = ("Guest", "Management", "Public", "Storage")


def list_traffic_types(call: Call) -> Json:
    physical = call.required("physicalnetworkid")
    rows = [
        {"id": stable_id("traffic-type", kind), "physicalnetworkid": physical, "traffictype": kind} for kind in TRAFFIC
    ]
    return call.listing("traffictype", rows)


def list_service_providers(call: Call) -> Json:
    """Answer listNetworkServiceProviders: the virtual router, by both its names."""
    data = load("zone.json")
    rows: list[Json] = [
        {
            "name": name,
            "physicalnetworkid": data["physicalnetworkid"],
            "destinationphysicalnetworkid": "0",
            "state": "Enabled",
            "id": stable_id("service-provider", name),
            "servicelist": list(data[services]),
            "canenableindividualservice": True,
        }
        for name, services in (("VirtualRouter", "networkservice"), ("VpcVirtualRouter", "vpcnetworkservice"))
    ]
    same = {"physicalnetworkid": "physicalnetworkid", "state": "state"}
    return call.listing("networkserviceprovider", select(call, rows, **same))


def list_router_elements(call: Call) -> Json:
    """Answer listVirtualRouterElements: one for each provider that is the virtual router."""
    rows = [
        {"id": stable_id("element", name), "nspid": stable_id("service-provider", name), "enabled": True}
        for name in ("VirtualRouter", "VpcVirtualRouter")
    ]
    return call.listing("virtualrouterelement", select(call, rows, nspid="nspid", enabled="enabled"))


def list_network_services(call: Call) -> Json:
    """Answer listSupportedNetworkServices: each with who provides it, outside VPCs and in them."""
    data = load("zone.json")
    rows = [_service(service, data["vpcnetworkservice"].get(name)) for name, service in data["networkservice"].items()]
    wanted = (call.text("provider") or "").lower()
    kept = [row for row in rows if not wanted or wanted in (p["name"].lower() for p in row["provider"])]
    return call.listing("networkservice", select(call, kept, service="name"))


def _service(service: Json, in_vpc: Json | None) -> Json:
    providers = [*service["provider"], *(in_vpc["provider"] if in_vpc else ())]
    return {
        "name": service["name"],
        "provider": [
            {"name": provider["name"], "servicelist": [], "canenableindividualservice": True} for provider in providers
        ],
        "capability": [
            {"name": known["name"], "canchooseservicecapability": known["canchooseservicecapability"]}
            for known in service.get("capability", ())
        ],
    }


def list_security_groups(call: Call) -> Json:
    """Answer listSecurityGroups: every account has one, though no network of this zone uses it."""
    mine = call.scope()
    rows = [_default_group(account) for account in call.zone.accounts if mine(account)]
    return call.listing("securitygroup", select(call, rows, securitygroupname="name"))


def _default_group(account: Account) -> Json:
    return {
        "id": stable_id("security-group", account.uuid),
        "name": "default",
        "description": "Default Security Group",
        **owner_fields(account),
        "ingressrule": [],
        "egressrule": [],
        "tags": [],
        "virtualmachinecount": 0,
        "virtualmachineids": [],
    }


def list_regions(call: Call) -> Json:
    row = {
        "id": 1,
        "name": "Local",
        "endpoint": "http://localhost:8080/client/",
        "gslbserviceenabled": True,
        "portableipserviceenabled": True,
    }
    return call.listing("region", select(call, [row]))


def list_os_categories(call: Call) -> Json:
    found = {row["oscategoryid"]: row["oscategoryname"] for row in bodies(call, "ostype")}
    return call.listing("oscategory", select(call, [{"id": uuid, "name": name} for uuid, name in found.items()]))


def list_affinity_group_types(call: Call) -> Json:
    kinds = ("host affinity", "host anti-affinity", "non-strict host affinity", "non-strict host anti-affinity")
    return call.listing("affinityGroupType", [{"type": kind} for kind in kinds])


def quota_is_enabled(call: Call) -> Json:
    del call
    return {"isenabled": {"isenabled": False}}


COMMANDS = {
    "listStoragePools": list_storage_pools,
    "listImageStores": list_image_stores,
    "listPhysicalNetworks": list_physical_networks,
    "listTrafficTypes": list_traffic_types,
    "listNetworkServiceProviders": list_service_providers,
    "listVirtualRouterElements": list_router_elements,
    "listSupportedNetworkServices": list_network_services,
    "listSecurityGroups": list_security_groups,
    "listRegions": list_regions,
    "listOsCategories": list_os_categories,
    "listAffinityGroupTypes": list_affinity_group_types,
    "quotaIsEnabled": quota_is_enabled,
}
