"""Static NAT: one public address for one VM, both ways."""

from __future__ import annotations

from vrbench.lab.api.accounts import events, tags
from vrbench.lab.api.addresses.commands import describe_address, free_unused, network_of, turn_of
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.routers.rule_turns import await_turn
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.rules.conflicts import TAKES_PORTS
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Address, Json, Machine, Network
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone

DEAD = ("Destroyed", "Expunging")


def enable(call: Call) -> Json:
    """Answer enableStaticNat: synchronous, the router is programmed before the answer."""
    zone, address, machine = call.zone, _address(call), call.entity("virtualmachineid", Machine)
    if machine is None:
        raise errors.missing_parameter(call.shape.name, "virtualmachineid")
    network = network_of(address, call.entity("networkid", Network))
    turn = await_turn(zone, network)
    with turn.used():
        with zone.lock:
            _check_pair(call, address, machine, network)
            _check_free(zone, address, machine)
            address.network, address.static_nat = network, machine
        turn.spend()
        reprogram(zone, network)
    events.EventLog(zone, call.caller).record(events.KINDS[call.shape.name], "Completed", machine)
    return {"success": True}


def _address(call: Call) -> Address:
    address = call.entity("ipaddressid", Address)
    if address is None:
        raise errors.missing_parameter(call.shape.name, "ipaddressid")
    return address


def _check_pair(call: Call, address: Address, machine: Machine, network: Network) -> None:
    """Check that the address leads to the VM's network, that one account owns both, and that the caller may."""
    if machine.network is not network or machine.removed:
        raise errors.invalid("Vm doesn't belong to the network with specified id")
    if machine.state in DEAD:
        raise errors.invalid(f"Invalid user vm: {machine.number}")
    call.check_access(machine)
    if address.account is not machine.account:
        raise errors.invalid(
            f"Unable to create ip forwarding rule, IP address {describe_address(address)} owner is not the same as "
            f"owner of virtual machine {machine.instance_name}"
        )
    if call.text("vmguestip") not in (None, "", machine.nic.ip):
        raise errors.invalid(f"VM ip {call.text('vmguestip')} address not belongs to the vm")


def _check_free(zone: Zone, address: Address, machine: Machine) -> None:
    """Check that neither the address nor the VM serves another; call with the lock held."""
    if address.source_nat:
        raise errors.invalid(f"Can't enable static, ip address {describe_address(address)} is a sourceNat ip address")
    if zone.rules_where(lambda rule: rule.address is address and rule.purpose in TAKES_PORTS):
        raise ApiError(
            537,
            f"Failed to enable static nat for the ip address {describe_address(address)} as it already has "
            "PortForwarding rules assigned",
        )
    if address.static_nat not in (None, machine):
        raise ApiError(
            537,
            f"Failed to enable static for the ip address {describe_address(address)} and vm id={machine.number} as "
            "it's already assigned to antoher vm",
        )
    other = next((a for a in zone.addresses if a.static_nat is machine), None)
    if other is not None:
        raise errors.invalid(
            f"Failed to enable static nat on the  ip {address.ip} with Id {address.uuid} as the vm "
            f"{machine.instance_name} with Id {machine.uuid} is already associated with another public ip {other.ip} "
            f"with id {other.uuid}"
        )


def disable(call: Call) -> Task:
    """Answer disableStaticNat: the address' firewall rules go with it."""
    address = _address(call)
    turn = turn_of(call.zone, address)

    @turn.used()
    def run() -> Json:
        zone = call.zone
        if address.static_nat is None:
            raise errors.invalid("Specified IP address id is not associated with any vm Id")
        if address.account is not None and not call.may_touch(address.account):
            raise errors.no_permission_in_job()
        zone.pause(zone.settings.api_step_s)
        turn.spend()
        network = network_of(address)
        with zone.lock:
            for rule in zone.rules_where(lambda rule: rule.address is address):
                tags.drop_all(zone, rule.uuid)
                zone.remove(rule)
            address.static_nat = None
            free_unused(zone, address)
        reprogram(zone, network)
        return {"success": True}

    return Task(run)


COMMANDS = {"enableStaticNat": enable, "disableStaticNat": disable}
