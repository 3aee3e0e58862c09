"""What the zone offers: zones, hosts, offerings, templates and the like, as each role sees them."""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.selection import bodies, select, without
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json
from vrbench.lab.api.state.fixtures import load

ROOT_ONLY_ZONE = ("dns1", "internaldns1", "guestcidraddress")
TYPE_NAMES = {
    "s": "string",
    "u": "uuid",
    "b": "boolean",
    "l": "long",
    "i": "integer",
    "L": "list",
    "m": "map",
    "d": "date",
    "t": "tzdate",
}


def list_capabilities(call: Call) -> Json:
    body = load("zone.json")["capability"] | {"cloudstackversion": call.zone.version.full}
    may_expunge = call.caller.role != "user" or user_may_expunge(call)
    return {"capability": body | {"allowuserviewdestroyedvm": may_expunge, "allowuserexpungerecovervm": may_expunge}}


def user_may_expunge(call: Call) -> bool:
    setting = call.zone.configurations["allow.user.expunge.recover.vm"]["value"]
    return str(setting).lower() == "true"


def list_zones(call: Call) -> Json:
    rows = select(call, bodies(call, "zone"), networktype="networktype")
    if not call.caller.is_root:
        rows = [without(row, ROOT_ONLY_ZONE) for row in rows]
    return call.listing("zone", rows)


def list_hosts(call: Call) -> Json:
    hosts = [row | {"version": call.zone.version.full} for row in bodies(call, "host")]
    rows = select(call, hosts, type="type", state="state", hypervisor="hypervisor", zoneid="zoneid")
    return call.listing("host", rows)


def find_hosts_for_migration(call: Call) -> Json:
    """Answer findHostsForMigration: any other host, none of which needs the storage moved."""
    fit = {"requiresStorageMotion": False, "suitableformigration": True}
    return call.listing("host", [fit | row for row in bodies(call, "host")[-1:]])


def list_roles(call: Call) -> Json:
    rows = bodies(call, "role")
    if not call.caller.is_root:
        # An administrator of a domain sees the two roles that it may give.
        rows = [row for row in rows if row["name"] in ("Domain Admin", "User")]
    return call.listing("role", select(call, rows, type="type"))


def list_configurations(call: Call) -> Json:
    """Answer listConfigurations: everything for root, nothing for others (no setting here has their scope)."""
    rows = list(call.zone.configurations.values()) if call.caller.is_root else []
    if not call.zone.version.since(4, 11, 2):
        rows = [row for row in rows if row["name"] != "network.rolling.restart"]
    return call.listing("configuration", select(call, rows, category="category", group="group"))


def update_configuration(call: Call) -> Json:
    name = call.required("name")
    row = call.zone.configurations.get(name)
    if row is None:
        raise errors.invalid(f"Config parameter with name {name} doesn't exist")
    with call.zone.lock:
        row["value"] = call.text("value") or ""
    return {"configuration": dict(row)}


def list_vlan_ip_ranges(call: Call) -> Json:
    """Answer listVlanIpRanges: every public range of the zone."""
    model = load("zone.json")["vlaniprange"][0]
    rows = [model | row.body | {"id": row.uuid} for row in call.zone.public_ranges]
    return call.listing(
        "vlaniprange",
        select(
            call, rows, zoneid="zoneid", vlan="vlan", networkid="networkid", physicalnetworkid="physicalnetworkid",
            forvirtualnetwork="forvirtualnetwork",
        ),
    )  # fmt: skip


NO_SUCH_API = "Api Discovery plugin was unable to find an api by that name or process any apis"


def list_apis(call: Call) -> Json:
    """Answer listApis: the commands that the caller may use."""
    wanted = call.text("name") or ""
    shapes = [shape for shape in call.zone.version.shapes().values() if wanted in ("", shape.name)]
    rows = [
        {
            "name": shape.name,
            "description": shape.name,
            "isasync": shape.is_async,
            "related": "",
            "params": [_param(name, kind) for name, kind in shape.params.items()],
            "response": [{"name": name, "description": name, "type": "string"} for name in shape.response],
        }
        for shape in shapes
        if call.caller.role in shape.roles
    ]
    if not rows:
        raise errors.internal(NO_SUCH_API)
    return {"count": len(rows), "api": rows}  # never in pages


def _param(name: str, kind: str) -> Json:
    required = kind.endswith("!")
    return {"name": name, "description": name, "type": TYPE_NAMES[kind[0]], "length": 255, "required": required}


def delete_zone(call: Call) -> Json:
    del call
    raise errors.ApiError(530, "The zone cannot be deleted because there are servers in this zone.", 4250)


def _fixed(kind: str, **same: str) -> Callable[[Call], Json]:
    """Return a list command whose rows never change."""
    return lambda call: call.listing(kind, select(call, (dict(row) for row in load("zone.json")[kind]), **same))


COMMANDS = {
    "listCapabilities": list_capabilities,
    "listZones": list_zones,
    "listHypervisors": _fixed("hypervisor"),
    "listHosts": list_hosts,
    "findHostsForMigration": find_hosts_for_migration,
    "listRoles": list_roles,
    "listOsTypes": _fixed("ostype", oscategoryid="oscategoryid"),
    "listSystemVms": _fixed("systemvm", systemvmtype="systemvmtype", state="state"),
    "listManagementServers": _fixed("managementserver"),
    "listAlerts": _fixed("alert", type="type"),
    "listConfigurations": list_configurations,
    "updateConfiguration": update_configuration,
    "listVlanIpRanges": list_vlan_ip_ranges,
    "listApis": list_apis,
    "deleteZone": delete_zone,
}
