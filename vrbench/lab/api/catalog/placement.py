"""Where things could go: the zone's pod, its clusters, the sizes of disks."""

from __future__ import annotations

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.selection import bodies, select
from vrbench.lab.api.state.entities import Json
from vrbench.lab.api.state.fixtures import stable_id

DISKS = {"Small": 5, "Medium": 20, "Large": 100, "Custom": 0}  # GiB; 0 is for the caller to say


def list_pods(call: Call) -> Json:
    host = bodies(call, "host")[0]
    pod: Json = {
        "id": host["podid"],
        "name": host["podname"],
        "zoneid": host["zoneid"],
        "zonename": host["zonename"],
        "gateway": "172.16.15.1",
        "netmask": "255.255.255.0",
        "startip": ["172.16.15.2"],
        "endip": ["172.16.15.200"],
        "forsystemvms": ["0"],
        "vlanid": ["vlan://untagged"],
        "ipranges": [],
        "allocationstate": "Enabled",
        "hasannotations": False,
    }
    return call.listing("pod", select(call, [pod], zoneid="zoneid", allocationstate="allocationstate"))


def list_clusters(call: Call) -> Json:
    """Answer listClusters: those that the hosts stand in."""
    clusters = {host["clusterid"]: host for host in bodies(call, "host")}
    rows = [_cluster(host) for host in clusters.values()]
    return call.listing("cluster", select(call, rows, zoneid="zoneid", podid="podid", hypervisor="hypervisortype"))


def _cluster(host: Json) -> Json:
    return {
        "id": host["clusterid"],
        "name": host["clustername"],
        "podid": host["podid"],
        "podname": host["podname"],
        "zoneid": host["zoneid"],
        "zonename": host["zonename"],
        "hypervisortype": host["hypervisor"],
        "clustertype": host["clustertype"],
        "allocationstate": "Enabled",
        "managedstate": "Managed",
        "cpuovercommitratio": "1.0",
        "memoryovercommitratio": "1.0",
        "arch": "x86_64",
        "hasannotations": False,
    }


def list_disk_offerings(call: Call) -> Json:
    created = bodies(call, "serviceoffering")[0]["created"]
    rows = [_disk(name, size) | {"created": created} for name, size in DISKS.items()]
    return call.listing("diskoffering", select(call, rows, state="state", storagetype="storagetype"))


def _disk(name: str, size: int) -> Json:
    return {
        "id": stable_id("disk-offering", name.lower()),
        "name": name,
        "displaytext": f"{name} Disk, {size} GB" if size else "Custom Disk",
        "disksize": size,
        "iscustomized": size == 0,
        "storagetype": "shared",
        "provisioningtype": "thin",
        "displayoffering": True,
        "disksizestrictness": False,
        "encrypt": False,
        "state": "Active",
        "hasannotations": False,
    }


COMMANDS = {"listPods": list_pods, "listClusters": list_clusters, "listDiskOfferings": list_disk_offerings}
