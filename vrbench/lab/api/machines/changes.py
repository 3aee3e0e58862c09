"""Changing a VM that exists: its names, its user data, the keys that may log in."""

from __future__ import annotations

from vrbench.lab.api.accounts import userdata
from vrbench.lab.api.machines.deploy import BAD_HOSTNAME, HOSTNAME, key_pairs, refuse_taken_name
from vrbench.lab.api.machines.view import machine_view
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import BuiltIn, Json, KeyPair, Machine

GONE = "Unable to find a virtual machine with specified vmId"
ALREADY_THERE = (
    "Cannot migrate VM, VM is already present on this host, please specify valid destination host to migrate the VM"
)
NO_PASSWORD = "Fail to reset password for the virtual machine, the template is not password enabled"
WITHOUT_HA = "Can't enable ha for the vm as it's created from the Service offering having HA disabled"


def update(call: Call) -> Json:
    """Answer updateVirtualMachine. A guest reads user data once, at its first boot: new ones are for the next."""
    machine = call.target("id", Machine, GONE)
    with call.zone.lock:
        _check(call, machine)
        content, registered = userdata.chosen(call, machine.template) if _brings_data(call) else (b"", None)
        renamed = call.text("name") not in (None, "", machine.name)
        machine.name = call.text("name") or machine.name
        machine.displayname = call.text("displayname") or machine.displayname
        machine.protected = call.flag("deleteprotection", default=machine.protected)
        if content:
            machine.user_data, machine.registered = content, registered or machine.registered
            machine.user_data_details = userdata.details(call) or machine.user_data_details
    if renamed and machine.state == "Running":
        reprogram(call.zone, machine.network)  # its name in the router's DNS
    with call.zone.lock:
        return {"virtualmachine": machine_view(call.zone, machine, call.caller.is_root, listed=False)}


def _brings_data(call: Call) -> bool:
    return bool(call.text("userdata") or call.text("userdataid"))


def _check(call: Call, machine: Machine) -> None:
    if machine.state in ("Error", "Expunging"):
        raise errors.invalid(f"Vm with id {machine.number} is not in the right state")
    if call.flag("haenable"):
        raise errors.invalid(WITHOUT_HA)
    name = call.text("name")
    if name and not HOSTNAME.fullmatch(name):
        raise errors.invalid_value(call.shape.name, BAD_HOSTNAME)
    if name and name != machine.name:
        refuse_taken_name(call.zone, machine.network, name)


def reset_keys(call: Call) -> Task:
    """Answer resetSSHKeyForVirtualMachine: of a stopped VM; everything but the id is looked at by the job."""
    machine = call.target("id", Machine, GONE)

    def run() -> Json:
        pairs = _pairs(call, machine)
        call.zone.ground.reset_vm_keys(machine.node, tuple(pair.public_key.strip() for pair in pairs))
        with call.zone.lock:
            machine.keypairs = tuple(pair.name for pair in pairs)
            machine.public_keys = tuple(pair.public_key for pair in pairs)
            return {"virtualmachine": machine_view(call.zone, machine, call.caller.is_root, listed=False)}

    return Task(run, machine, "VirtualMachine")


def reset_password(call: Call) -> Task:
    """Answer resetPasswordForVirtualMachine: of a VM whose template sets passwords, which no guest here does."""
    machine = call.target("id", Machine, GONE)

    def run() -> Json:
        raise errors.invalid(NO_PASSWORD)

    return Task(run, machine, "VirtualMachine")


def _pairs(call: Call, machine: Machine) -> list[KeyPair]:
    with call.zone.lock:
        if machine.state in ("Error", "Expunging"):
            raise errors.invalid("Vm with specified id is not in the right state")
        if machine.state != "Stopped":
            raise errors.invalid(f"Vm {machine.instance_name} should be stopped to do SSH Key reset")
        return key_pairs(call, machine.account)


def migrate(call: Call) -> Task:
    """Answer migrateVirtualMachine: of a running VM, to a host of the same cluster; the lab's packets don't move."""
    machine = call.target("virtualmachineid", Machine, "Unable to find the VM by id={id}")

    def run() -> Json:
        call.zone.pause(call.zone.settings.api_step_s)
        with call.zone.lock:
            machine.host = _destination(call, machine)
            return {"virtualmachine": machine_view(call.zone, machine, call.caller.is_root, listed=False)}

    return Task(run, machine, "VirtualMachine")


def _destination(call: Call, machine: Machine) -> BuiltIn:
    """Return the host named, or another one of the cluster; raises ApiError. Call with the lock held."""
    wanted, now = call.entity("hostid", BuiltIn), machine.host
    if wanted is None and not call.flag("autoselect"):
        raise errors.malformed("Either hostId or storageId must be specified")
    if machine.state != "Running" or now is None:
        raise errors.invalid("VM is not Running, unable to migrate the vm with specified id")
    if wanted is now:
        raise errors.invalid(ALREADY_THERE)
    cluster = now.body["clusterid"]
    fit = [host for host in call.zone.built_ins["host"] if host.body["clusterid"] == cluster and host is not now]
    if wanted is not None and wanted not in fit:
        raise errors.internal(
            f"Migration with storage isn't supported for source host {now.body['name']} (ID: {now.uuid}) on hypervisor "
            f"Simulator with version {call.zone.version.full}"
        )
    return wanted or fit[0]


COMMANDS = {
    "resetPasswordForVirtualMachine": reset_password,
    "updateVirtualMachine": update,
    "resetSSHKeyForVirtualMachine": reset_keys,
    "migrateVirtualMachine": migrate,
}
