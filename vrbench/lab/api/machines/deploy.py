"""Deploying a VM: everything that is checked at submission, then the job that starts it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from ipaddress import ip_address, ip_network

from vrbench.lab.api.accounts import events, userdata
from vrbench.lab.api.accounts import key_pairs as keys
from vrbench.lab.api.accounts.limits import check_limits
from vrbench.lab.api.catalog import templates
from vrbench.lab.api.machines.power import start
from vrbench.lab.api.machines.view import machine_view
from vrbench.lab.api.networks.commands import create_network
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, BuiltIn, Json, KeyPair, Machine, Network
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone, new_id

HOSTNAME = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
BAD_HOSTNAME = (
    "Invalid value provided for API arg: name - it can contain ASCII letters 'a' through 'z', the digits '0' through "
    "'9', and the hyphen ('-'), must be between 1 and 63 characters long, and can't start or end with \"-\" and can't "
    "start with digit"
)


def deploy(call: Call) -> Task:
    machine = _new_machine(call)
    volume = events.Resource(machine.volume, f"ROOT-{machine.number}")
    events.EventLog(call.zone, machine.account).record(events.VOLUME_CREATE, "Created", volume)
    starts = call.flag("startvm", default=True)

    def run() -> Json:
        if starts:
            start(call.zone, machine, call.caller, wanted_host(call))
        with call.zone.lock:
            return {"virtualmachine": machine_view(call.zone, machine, call.caller.is_root, listed=False)}

    return Task(run, machine, "VirtualMachine", creates=True)


def wanted_host(call: Call) -> BuiltIn | None:
    """Return the host that the root administrator names; raises ApiError 530 for others, whose job notices."""
    host = call.entity("hostid", BuiltIn)
    if host is not None and not call.caller.is_root:
        raise errors.internal("Parameter hostid can only be specified by a Root Admin, permission denied")
    return host


def _new_machine(call: Call) -> Machine:
    """Check everything that is checked at submission, and make the record."""
    zone, owner = call.zone, call.owner()
    name = _checked_name(call)
    offering, template = _catalogued(call, "serviceofferingid"), _catalogued(call, "templateid")
    pairs = key_pairs(call, owner)
    user_data, registered = userdata.chosen(call, template)
    templates.check_usable(call, template)
    with zone.lock:
        network = _network(call, owner)
        check_limits(zone, owner, offering)
        refuse_taken_name(zone, network, name)
        machine = Machine(
            uuid=new_id(),
            account=owner,
            name=name or "",
            displayname=call.text("displayname") or name or "",
            network=network,
            nic=zone.new_nic(_guest_ip(call, network), zone.new_mac(network)),
            offering=offering,
            template=template,
            volume=new_id(),
            keypairs=tuple(pair.name for pair in pairs),
            public_keys=tuple(pair.public_key for pair in pairs),
            user_data=user_data,
            registered=registered,
            user_data_details=userdata.details(call),
        )
        zone.add(machine)
        zone.remember(BuiltIn(uuid=machine.volume, kind="volume", body={"id": machine.volume}))
        machine.name = machine.name or f"VM-{machine.uuid}"
        machine.displayname = machine.displayname or machine.name
        taken = any(other.node == machine.name for other in zone.machines)
        machine.node = machine.instance_name if taken else machine.name
    return machine


def _checked_name(call: Call) -> str | None:
    name = call.text("name")
    if name is not None and not HOSTNAME.fullmatch(name):
        raise errors.invalid_value(call.shape.name, BAD_HOSTNAME)
    return name


def _catalogued(call: Call, param: str) -> BuiltIn:
    found = call.target(param, BuiltIn, f"Unable to find {param.removesuffix('id')}: {{id}}")
    if found.kind != param.removesuffix("id"):
        raise errors.unknown_entity(call.shape.name, param, found.uuid)
    return found


def key_pairs(call: Call, owner: Account) -> list[KeyPair]:
    names = call.items("keypairs") or call.items("keypair")
    found = [keys.find(call.zone, owner, name) for name in names]
    pairs = [pair for pair in found if pair is not None]
    if len(pairs) != len(names):
        raise errors.invalid("Not all specified keypairs exist")
    return pairs


def _network(call: Call, owner: Account) -> Network:
    """Return the network asked for; without one, the account's only network, made for it where there is none."""
    ids = call.items("networkids")
    if ids:
        network = call.zone.known(ids[0])
        if not isinstance(network, Network):
            raise errors.unknown_entity(call.shape.name, "networkids", ids[0])
        if network.removed:
            raise errors.invalid(f"Unable to find network by id {ids[0]}")
        call.check_access(network)
        if not owner.is_root and network.account is not owner:
            text = f"Unable to use network with id= {network.uuid}, permission denied"
            raise errors.ApiError(531, text, errors.DENIED)
        return network
    mine = [network for network in call.zone.networks if network.account is owner]
    if len(mine) > 1:
        raise errors.invalid(
            f"More than 1 default Isolated networks are found for account {owner.name}; please specify networkIds"
        )
    return mine[0] if mine else _default_network(call, owner)


def _default_network(call: Call, owner: Account) -> Network:
    """Make an account's first network, of the offering that every zone must have."""
    offering = next(row for row in call.zone.built_ins["networkoffering"] if row.body["availability"] == "Required")
    asked = {"name": f"{owner.name}-network", "networkofferingid": offering.uuid, "zoneid": call.required("zoneid")}
    whose = {name: call.params[name] for name in ("account", "domainid", "projectid") if name in call.params}
    create_network(replace(call, params=asked | whose))
    return next(network for network in call.zone.networks if network.account is owner)


def refuse_taken_name(zone: Zone, network: Network, name: str | None) -> None:
    if name is not None and any(machine.name == name for machine in zone.machines_in(network)):
        raise errors.invalid(
            f"The vm with hostName {name} already exists in the network domain: {network.domain_name}; "
            f"network={network.name}"
        )


def _guest_ip(call: Call, network: Network) -> str:
    """Return the address asked for, or any free one of the network, at random as the server picks it."""
    asked = call.text("ipaddress")
    if asked and ip_address(asked) not in ip_network(network.cidr):
        row = json.dumps({"id": network.number, "name": network.name, "uuid": network.uuid})
        raise ApiError(530, f"Unable to acquire Guest IP address for network Network {row}", 0)
    wanted = asked or call.zone.free_guest_ip(network)
    if wanted is None or wanted in call.zone.taken_guest_ips(network):
        raise ApiError(533, f"Unable to acquire Guest IP address for network {network.name}")
    return wanted


COMMANDS = {"deployVirtualMachine": deploy}
