"""listVirtualMachines: which VMs, and how much of each."""

from __future__ import annotations

import base64

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.catalog.commands import user_may_expunge
from vrbench.lab.api.catalog.infrastructure import pool_of
from vrbench.lab.api.machines.view import STATS, machine_view
from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json, Machine

DEAD = ("Destroyed", "Expunging")
# What each group of details shows; None: nothing that this lab's VMs have.
DETAILS: dict[str, tuple[str, ...]] = {
    "tmpl": (
        "templateid", "templatename", "templatetype", "templateformat", "templatedisplaytext", "passwordenabled",
    ),
    "servoff": ("serviceofferingid", "serviceofferingname", "cpunumber", "cpuspeed", "memory"),
    "volume": ("rootdeviceid", "rootdevicetype"),
    "stats": tuple(STATS),
    "nics": ("nic",),
    "secgrp": ("securitygroup",),
    "affgrp": ("affinitygroup",),
    **dict.fromkeys(("group", "diskoff", "backoff", "iso", "min"), ()),
}  # fmt: skip
LISTS = ("nic", "securitygroup", "affinitygroup")  # shown empty when they are left out
NEVER = (
    "affinitygroupid",
    "autoscalevmgroupid",
    "backupofferingid",
    "groupid",
    "isoid",
    "securitygroupid",
)


def list_machines(call: Call) -> Json:
    mine, groups = call.scope(), _groups(call)
    if call.text("id") and call.items("ids"):
        raise errors.invalid("Specify either id or ids but not both parameters")
    chosen = [machine for machine in call.zone.machines if mine(machine.account) and _matches(call, machine)]
    rows = [machine_view(call.zone, machine, call.caller.is_root) | _user_data(call, machine) for machine in chosen]
    return call.listing("virtualmachine", [_reduced(row, groups) for row in rows])


def _user_data(call: Call, machine: Machine) -> Json:
    """Return the user data, only for who asks for it."""
    if not call.flag("userdata") or not machine.user_data:
        return {}
    return {"userdata": base64.b64encode(machine.user_data).decode()}


def may_expunge(call: Call) -> bool:
    return call.caller.role != "user" or user_may_expunge(call)


def _groups(call: Call) -> set[str]:
    """Return the groups of details asked for; all of them without being asked."""
    wanted = {name.lower() for name in call.items("details")} or {"all"}
    for name in wanted - {"all", *DETAILS}:
        allowed = ", ".join(("all", *DETAILS))
        raise errors.invalid(f"The details parameter contains a non permitted value {name}. Allowed are: {allowed}")
    return set(DETAILS) if "all" in wanted else wanted


def _reduced(row: Json, groups: set[str]) -> Json:
    hidden = {name for group, names in DETAILS.items() if group not in groups for name in names}
    return {name: [] if name in hidden else value for name, value in row.items() if name not in hidden or name in LISTS}


def _matches(call: Call, machine: Machine) -> bool:
    if machine.state in DEAD and not may_expunge(call):
        return False  # allowuserviewdestroyedvm goes with the right to expunge
    if any(call.text(name) for name in NEVER):
        return False
    ids, host = call.items("ids"), machine.host.body if machine.host else {}
    network, account = machine.network, machine.account
    exactly = {
        "id": machine.uuid,
        "networkid": network.uuid,
        "templateid": machine.template.uuid,
        "serviceofferingid": machine.offering.uuid,
        "zoneid": call.zone.built_ins["zone"][0].uuid,
        "hostid": host.get("id"),
        "podid": host.get("podid"),
        "clusterid": host.get("clusterid"),
        "keypair": machine.keypairs[0] if machine.keypairs else None,
        "vpcid": network.vpc.uuid if network.vpc else None,
        "userdataid": machine.registered.uuid if machine.registered else None,
        "storageid": pool_of(host)["id"] if host else None,
        "userid": str(account.user["id"]),
        "hypervisor": "Simulator",
    }
    said = f"{machine.name} {machine.displayname} {machine.instance_name} {machine.state}"
    flags = {"haenable": False, "forvirtualnetwork": True, "displayvm": True, "isvnf": False}
    return (
        (not ids or machine.uuid in ids)
        and fits(call, exactly, {"name": machine.name, "keyword": said}, flags)
        and _in_state(call.text("state"), machine.state)
        and tags.carries(call, machine.uuid)
    )


def _in_state(wanted: str | None, state: str) -> bool:
    """Return whether the VM is in the state asked for; "Present" is every state but the dead ones."""
    if not wanted:
        return True
    return state not in DEAD if wanted.lower() == "present" else wanted.lower() == state.lower()
