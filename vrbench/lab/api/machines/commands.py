"""User VMs after deployment: list, start, stop, reboot, destroy, expunge."""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api.accounts.limits import check_limits
from vrbench.lab.api.machines import deploy
from vrbench.lab.api.machines.listing import DEAD, list_machines, may_expunge
from vrbench.lab.api.machines.power import expunge, set_state, start, stop
from vrbench.lab.api.machines.view import EXPUNGED, machine_view, nic_view
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json, Machine, Network

GONE = "Unable to find a virtual machine with specified vmId"
NO_EXPUNGE = "Account does not have permission for expunging."
ADMIN_EXPUNGE = "Expunging a vm can only be done by an Admin. Or when the allow.user.expunge.recover.vm key is set."
ADMIN_RECOVER = "Recovering a vm can only be done by an Admin. Or when the allow.user.expunge.recover.vm key is set."


def list_nics(call: Call) -> Json:
    machine = call.target("virtualmachineid", Machine, "Virtual machine id does not exist")
    rows = [nic_view(machine) | {"virtualmachineid": machine.uuid}]
    network = call.entity("networkid", Network)
    return call.listing("nic", rows if network in (None, machine.network) else [])


def _job(step: Callable[[Call, Machine], None]) -> Callable[[Call], Task]:
    """Return a command whose job does ``step`` and answers with the VM as it is then."""

    def handler(call: Call) -> Task:
        machine = call.target("id", Machine, GONE)

        def run() -> Json:
            step(call, machine)
            with call.zone.lock:
                gone = machine.removed
                view = machine_view(call.zone, machine, call.caller.is_root, listed=False)
            return {"virtualmachine": dict(EXPUNGED) if gone else view}

        return Task(run, machine, "VirtualMachine")

    return handler


def _start(call: Call, machine: Machine) -> None:
    if machine.state == "Running":
        raise errors.invalid(f"The virtual machine {machine.uuid} ({machine.displayname}) is already running")
    if machine.state in (*DEAD, "Error"):
        return  # the server finds nothing to start, and says so only in its log
    start(call.zone, machine, call.caller, deploy.wanted_host(call))


def _stop(call: Call, machine: Machine) -> None:
    stop(call.zone, machine)


def _reboot(call: Call, machine: Machine) -> None:
    if machine.state != "Running":
        text = f"The VM {machine.uuid} ({machine.displayname}) is not running, unable to reboot it"
        raise errors.invalid(text)
    stop(call.zone, machine)
    start(call.zone, machine, call.caller)


def _destroy(call: Call, machine: Machine) -> None:
    zone, purge = call.zone, call.flag("expunge")
    if purge and not may_expunge(call):
        raise errors.internal(NO_EXPUNGE)
    if machine.protected:
        raise errors.invalid(
            f"Instance [id = {machine.uuid}, name = {machine.displayname}] has delete protection enabled and cannot be "
            "deleted."
        )
    if machine.state not in (*DEAD, "Error"):
        stop(zone, machine)
        zone.pause(zone.settings.api_step_s)
        set_state(zone, machine, "Destroyed")
    if purge:
        expunge(zone, machine)
        _forget_rules(call, machine)


def _expunge(call: Call, machine: Machine) -> None:
    if machine.state not in (*DEAD, "Error"):
        raise errors.internal("Please destroy vm with specified vmId before expunge")
    if not may_expunge(call):
        raise errors.internal(ADMIN_EXPUNGE)
    expunge(call.zone, machine)
    _forget_rules(call, machine)


def _forget_rules(call: Call, machine: Machine) -> None:
    """Make the router let go of the VM's forwarding, where there is a router."""
    if machine.network.state != "Allocated":
        reprogram(call.zone, machine.network)


def expunge_machine(call: Call) -> Task:
    task: Task = _job(_expunge)(call)

    def run() -> Json:
        task.run()
        return {"success": True}

    return Task(run, task.entity, task.instance_type)


def recover(call: Call) -> Json:
    """Answer recoverVirtualMachine: a destroyed VM is there again, stopped; any other is left as it is."""
    machine = call.target("id", Machine, GONE)
    if not may_expunge(call):
        raise errors.ApiError(531, ADMIN_RECOVER, 4365)
    with call.zone.lock:
        if machine.state == "Destroyed":
            check_limits(call.zone, machine.account, machine.offering)
            set_state(call.zone, machine, "Stopped")
        return {"virtualmachine": machine_view(call.zone, machine, call.caller.is_root, listed=False)}


COMMANDS = {
    **deploy.COMMANDS,
    "listVirtualMachines": list_machines,
    "listNics": list_nics,
    "startVirtualMachine": _job(_start),
    "stopVirtualMachine": _job(_stop),
    "rebootVirtualMachine": _job(_reboot),
    "destroyVirtualMachine": _job(_destroy),
    "expungeVirtualMachine": expunge_machine,
    "recoverVirtualMachine": recover,
}
