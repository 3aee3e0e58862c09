"""Carrying a VM through its states, in the records and on the ground; called from jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.faults import simulator
from vrbench.lab.api.routers.implement import implement
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state.entities import Account, BuiltIn, Machine
from vrbench.lab.api.state.errors import ApiError, internal
from vrbench.lab.api.state.zone import Zone
from vrbench.lab.ground.port import GroundError
from vrbench.lab.ground.specs import VmSpec

PLANNING_STEPS = 2  # finding a host for a VM takes the server longer than tying an address to a network


def set_state(zone: Zone, machine: Machine, state: str) -> None:
    with zone.lock:
        machine.state, machine.updated = state, zone.clock.now()
        if state in ("Stopped", "Destroyed", "Error", "Expunging"):
            machine.host = None


def start(zone: Zone, machine: Machine, caller: Account, host: BuiltIn | None = None) -> None:
    """Start a VM on ``host`` or any, implementing its network first.

    One that never started before is left in Error when it can't.
    """
    try:
        _refuse_without_host(zone, machine)
        _boot(zone, machine, caller, host or zone.choose_host())
    except (ApiError, GroundError):
        set_state(zone, machine, "Stopped" if machine.on_ground else "Error")
        raise


def _refuse_without_host(zone: Zone, machine: Machine) -> None:
    offering = machine.offering.body
    for host in zone.built_ins["host"]:
        if offering["cpunumber"] <= host.body["cpunumber"] and offering["memory"] << 20 <= host.body["memorytotal"]:
            return
    row = {
        "id": machine.number,
        "instanceName": machine.instance_name,
        "state": machine.state,
        "type": "User",
        "uuid": machine.uuid,
    }
    raise ApiError(533, f"No destination found for a deployment for VM instance {_compact(row)}")


def _boot(zone: Zone, machine: Machine, caller: Account, host: BuiltIn) -> None:
    with zone.lock:
        machine.state, machine.host = "Starting", host
    try:
        zone.pause(PLANNING_STEPS * zone.settings.api_step_s)
        implement(zone, machine.network, caller)
        reprogram(zone, machine.network)  # DHCP and DNS know the VM before it asks
        if simulator.fails(zone, simulator.START):
            raise internal("start refused")
    except (ApiError, GroundError) as error:
        row = {"instanceName": machine.instance_name, "uuid": machine.uuid}
        raise internal(f"Unable to orchestrate the start of VM instance {_compact(row)}.") from error
    zone.pause(zone.settings.timing.vm_boot_s + simulator.extra_s(zone, simulator.START))
    if machine.on_ground:
        zone.ground.start_vm(machine.node)
    else:
        zone.ground.add_vm(_spec(machine))
        machine.on_ground = True
    set_state(zone, machine, "Running")


def _compact(row: Mapping[str, object]) -> str:
    return json.dumps(row, separators=(",", ":"))


def _spec(machine: Machine) -> VmSpec:
    network = machine.network
    return VmSpec(
        name=machine.node,
        network=network.uuid,
        ip=machine.nic.ip,
        prefix=network.prefix,
        gateway=network.gateway,
        mac=machine.nic.mac,
        authorized_keys=tuple(key.strip() for key in machine.public_keys),
        user_data=machine.user_data,
        leased=True,
    )


def stop(zone: Zone, machine: Machine) -> None:
    """Stop a running VM; any other is left alone."""
    if machine.state != "Running":
        return
    set_state(zone, machine, "Stopping")
    if simulator.fails(zone, simulator.STOP):
        set_state(zone, machine, "Running")
        raise internal("Unable to stop the virtual machine")
    zone.pause(simulator.extra_s(zone, simulator.STOP))
    zone.ground.stop_vm(machine.node)
    set_state(zone, machine, "Stopped")


def expunge(zone: Zone, machine: Machine) -> None:
    """Remove a destroyed VM for good, with its forwarding rules and its static NAT."""
    with zone.lock:
        if machine.removed:
            return
        machine.state = "Expunging"
    zone.ground.remove_vm(machine.node)  # a failed start may have left something, too
    with zone.lock:
        for rule in zone.rules_where(lambda rule: rule.machine is machine):
            zone.remove(rule)
        for rule in zone.rules_where(lambda rule: machine in rule.members):
            rule.members.remove(machine)
        for address in zone.addresses:
            if address.static_nat is machine:
                address.static_nat = None
        tags.drop_all(zone, machine.uuid)
        zone.remove(machine)
