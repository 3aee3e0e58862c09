"""Root volumes: every VM has one, and there are no others."""

from __future__ import annotations

from vrbench.lab.api.catalog.infrastructure import pool_of
from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.responses import owner_fields, stamp
from vrbench.lab.api.request.selection import select
from vrbench.lab.api.state.entities import Json, Machine
from vrbench.lab.api.state.zone import Zone

BYTES = 2 << 30


def list_volumes(call: Call) -> Json:
    """Answer listVolumes; where they lie, only the root administrator sees."""
    mine = call.scope()
    rows = [
        _view(call.zone, machine, call.caller.is_root)
        for machine in call.zone.machines
        if mine(machine.account) and machine.state != "Error"
    ]
    ids = call.items("ids")
    kept = [row for row in rows if not ids or row["id"] in ids]
    same = {name: name for name in ("type", "state", "virtualmachineid", "zoneid", "podid", "clusterid", "storageid")}
    return call.listing("volume", select(call, kept, **same))


def _view(zone: Zone, machine: Machine, as_root: bool) -> Json:
    site, offering, template = zone.built_ins["zone"][0].body, machine.offering.body, machine.template.body
    body: Json = {
        "id": machine.volume,
        "name": f"ROOT-{machine.number}",
        "zoneid": site["id"],
        "zonename": site["name"],
        "type": "ROOT",
        "deviceid": 0,
        "virtualmachineid": machine.uuid,
        "vmname": machine.name,
        "vmdisplayname": machine.displayname,
        "vmstate": machine.state,
        "vmtype": "User",
        "provisioningtype": "thin",
        "size": BYTES,
        "created": stamp(machine.created),
        "state": "Ready" if machine.on_ground else "Allocated",
        **owner_fields(machine.account),
        "serviceofferingid": offering["id"],
        "serviceofferingname": offering["name"],
        "serviceofferingdisplaytext": offering["displaytext"],
        "destroyed": False,
        "isextractable": False,
        "templateid": template["id"],
        "templatename": template["name"],
        "templatedisplaytext": template["displaytext"],
        "quiescevm": False,
        "supportsstoragesnapshot": False,
        "tags": [],
        "hasannotations": False,
    }
    return body | (_place(zone, machine) if as_root else {})


def _place(zone: Zone, machine: Machine) -> Json:
    """Return where it lies: in the storage of the cluster that its VM runs in, or of the first."""
    fixed: Json = {"storagetype": "shared", "hypervisor": "Simulator", "displayvolume": True}
    if not machine.on_ground:
        return fixed | {"storage": "none"}
    host = (machine.host or zone.built_ins["host"][0]).body
    pool = pool_of(host)
    where = {name: host[name] for name in ("podid", "podname", "clusterid", "clustername")}
    return fixed | where | {"path": machine.volume, "storage": pool["name"], "storageid": pool["id"]}


COMMANDS = {"listVolumes": list_volumes}
