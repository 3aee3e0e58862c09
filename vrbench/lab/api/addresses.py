"""Public addresses: acquire, release, list, and static NAT."""

from __future__ import annotations

from vrbench.lab.api import errors, events, tags
from vrbench.lab.api.accounts import check_address_limit
from vrbench.lab.api.address_view import address_view
from vrbench.lab.api.call import Call, Task
from vrbench.lab.api.errors import ApiError
from vrbench.lab.api.fixtures import UNLIMITED
from vrbench.lab.api.implement import assign
from vrbench.lab.api.networks import GONE as NETWORK_GONE
from vrbench.lab.api.records import Account, Address, Json, Machine, Network, Vpc
from vrbench.lab.api.router_view import fixed
from vrbench.lab.api.ruleset import reprogram
from vrbench.lab.api.zone import Zone

CALM, BUSY = 4, 12  # calls for one network that don't overlap; calls of which two do


def associate(call: Call) -> Task:
    zone, owner = call.zone, call.owner()
    home = _home(call, owner)
    with zone.lock:
        check_address_limit(zone, home.account)
    # The server looks at the limit first and takes the address later: callers side by side all get past the limit.
    zone.pause(zone.settings.api_step_s / 5)
    with zone.lock:
        address = zone.take_address(home.account, call.text("ipaddress"))

    def run() -> Json:
        _refuse_excess(zone, address, home)
        if isinstance(home, Network):
            _assign(zone, address, home)
            if home.state != "Allocated":
                reprogram(zone, home)
        else:
            _give_to_vpc(zone, address, home)
        with zone.lock:
            # A network's is still Allocating: the server words the result too early.
            view = address_view(zone, address, call.caller.is_root)
            address.state = "Allocated"
        return {"ipaddress": view}

    return Task(run, address, "IpAddress", creates=True)


def _home(call: Call, owner: Account) -> Network | Vpc:
    """The VPC or network named, or the owner's only isolated network in the zone."""
    if call.text("vpcid") is not None:
        return call.target("vpcid", Vpc, "Unable to find VPC by id {id}")
    if call.text("networkid") is not None:
        return call.target("networkid", Network, NETWORK_GONE)
    mine = [network for network in call.zone.networks if network.account is owner and network.vpc is None]
    if len(mine) > 1:
        raise errors.invalid("Account has more than one isolated network in the zone")
    if not mine:
        raise errors.invalid("Unable to find an isolated network in the zone for the account")
    return mine[0]


def _give_to_vpc(zone: Zone, address: Address, vpc: Vpc) -> None:
    """The router hears of the address only when a rule uses it."""
    zone.pause(zone.settings.api_step_s)
    with zone.lock:
        if vpc.removed:
            zone.release_address(address)
            raise errors.internal("Failed to associate IP address, its VPC is gone")
        assign(address, vpc, source_nat=False)
        address.state = "Allocated"


def _refuse_excess(zone: Zone, address: Address, home: Network | Vpc) -> None:
    """Give the address back when others reached the limit before it was taken; the text hides the cause."""
    account = home.account
    with zone.lock:
        limit = account.limits["public_ip"]
        taken_earlier = [a for a in zone.addresses if a.account is account and a.taken < address.taken]
        if limit == UNLIMITED or len(taken_earlier) < limit:
            return
        zone.release_address(address)
    raise errors.internal(
        f"Failed to associate IP address [{_describe(address)}] to network [{_describe_network(home)}]"
    )


def _assign(zone: Zone, address: Address, network: Network) -> None:
    """Tie the address to its network, as source NAT when that has none yet.

    The server looks first and writes later, in two steps: of many addresses acquired side by side on a network
    without source NAT, more than one becomes its source-NAT address, and then nobody can use or delete it.
    """
    with zone.lock:
        is_first = not zone.source_nats(network.home)
    zone.pause(zone.settings.api_step_s)
    with zone.lock:
        if network.removed:
            zone.release_address(address)
            raise errors.internal("Failed to associate IP address, its network is gone")
        room = len(zone.source_nats(network.home)) < _racing(zone, network)
        assign(address, network, source_nat=is_first and room)


def _racing(zone: Zone, network: Network) -> int:
    """How many source-NAT addresses the race gives, by how much the server has to do for the network at once.

    Seen on a real one: 2 or 4 addresses at once gave one, 10 gave two, 10 beside 10 deploys gave three.
    """
    asked = [a for a in zone.addresses if a.account is network.account and a.network in (None, network)]
    starting = [machine for machine in zone.machines_in(network) if not machine.on_ground]
    load = len(asked) + len(starting)
    return 1 if load <= CALM else 2 if load <= BUSY else 3


def _describe(address: Address) -> str:
    return f'IPAddress {{"address":"{address.ip}","dataCenterId":1,"id":{address.number},"uuid":"{address.uuid}"}}'


def _describe_network(network: Network | Vpc) -> str:
    return (
        f'Network {{"id": {network.number}, "name": "{network.name}", "uuid": "{network.uuid}", '
        f'"networkofferingid": {network.offering.number}}}'
    )


def own_address(call: Call, name: str) -> Address:
    """The address that a parameter names; it must be allocated and the caller's to touch."""
    address = call.entity(name, Address)
    if address is None:
        raise errors.missing_parameter(call.shape.name, name)
    if address.account is None:
        raise errors.invalid(f"Unable to find ip address by id={address.uuid}")
    if not call.may_touch(address.account):
        raise errors.no_permission()
    return address


def network_of(address: Address, tier: Network | None = None) -> Network:
    """Where the address leads; one of a VPC goes where its first rule says, to ``tier``."""
    if address.network is None and address.vpc is not None and tier is not None:
        if tier.vpc is not address.vpc:
            raise errors.invalid(f"The network is not of the VPC that ip address {address.ip} belongs to")
        return tier
    if address.network is None:
        raise errors.invalid(f"Ip address {address.ip} is not associated with any network")
    return address.network


def disassociate(call: Call) -> Task:
    address = own_address(call, "id") if call.text("id") is not None else _address_by_ip(call)

    def run() -> Json:
        zone, network = call.zone, address.network
        in_use = address.vpc is not None or (network is not None and network.state != "Allocated")
        if address.source_nat and in_use:
            raise errors.internal("ip address is used for source nat purposes and can not be disassociated.")
        with zone.lock:
            address.state = "Releasing"
        try:
            _drop(zone, address, network)
        except ApiError:
            with zone.lock:
                address.state = "Allocated"
            raise
        return {"success": True}

    return Task(run, address, "IpAddress")


def _address_by_ip(call: Call) -> Address:
    found = next((a for a in call.zone.addresses if a.ip == call.text("ipaddress") and a.account is not None), None)
    if found is None:
        raise errors.missing_parameter(call.shape.name, "id")
    if found.account is not None and not call.may_touch(found.account):
        raise errors.no_permission()
    return found


def _drop(zone: Zone, address: Address, network: Network | None) -> None:
    """Free the address with all rules on it, first in the records, then on the router."""
    if network is not None and network.implement_tried:
        reprogram(zone, network)  # fails, before anything is lost, where the network can't be programmed
    with zone.lock:
        for rule in zone.rules_where(lambda rule: rule.address is address):
            zone.remove(rule)
        tags.drop_all(zone, address.uuid)
        zone.release_address(address)
    if network is not None and network.state != "Allocated":
        reprogram(zone, network)


def free_unused(zone: Zone, address: Address) -> None:
    """An address of a VPC that nothing uses any more belongs to no tier; call with the lock held."""
    used = address.static_nat is not None or zone.rules_where(lambda rule: rule.address is address)
    if address.vpc is not None and not used:
        address.network = None


def list_addresses(call: Call) -> Json:
    """listPublicIpAddresses: the caller's; with allocatedonly=false those that anybody may take as well."""
    mine = call.scope()
    with_free = not call.flag("allocatedonly", default=True)
    seen = [a for a in call.zone.addresses if (mine(a.account) if a.account else with_free and a.state == "Free")]
    chosen = [address for address in seen if _matches(call, address)]
    rows = [address_view(call.zone, address, call.caller.is_root) for address in chosen]
    return call.listing("publicipaddress", rows)


def _matches(call: Call, address: Address) -> bool:
    fields = {
        "id": address.uuid,
        "ipaddress": address.ip,
        "associatednetworkid": address.network.uuid if address.network else None,
        "networkid": fixed()["publicnetworkid"],
        "state": address.state,
        "zoneid": call.zone.built_ins["zone"][0].uuid,
        "vpcid": address.vpc.uuid if address.vpc else None,
    }
    for name, value in (("issourcenat", address.source_nat), ("isstaticnat", address.static_nat is not None)):
        if call.text(name) is not None and call.flag(name) != value:
            return False
    if (call.text("keyword") or "") not in address.ip:
        return False
    same = all(call.text(name) in (None, "", value) for name, value in fields.items())
    return same and tags.carries(call, address.uuid)


def enable_static_nat(call: Call) -> Json:
    """enableStaticNat: synchronous, the router is programmed before the answer."""
    zone = call.zone
    address = own_address(call, "ipaddressid")
    machine = call.target("virtualmachineid", Machine, "Can't enable static nat for the address id, invalid vm id {id}")
    network = network_of(address, call.entity("networkid", Network) or machine.network)
    if call.entity("networkid", Network) not in (None, network):
        text = f"Invalid network Id={call.text('networkid')}. IP is associated with a different network than passed"
        raise errors.invalid(f"{text} network id")
    with zone.lock:
        _check_static_nat(zone, address, machine, network)
        address.network, address.static_nat = network, machine
    reprogram(zone, network)
    events.record(zone, call.caller, events.KINDS[call.shape.name], "Completed", machine)
    return {"success": True}


def _check_static_nat(zone: Zone, address: Address, machine: Machine, network: Network) -> None:
    if address.source_nat:
        raise errors.invalid(f"Can't enable static, ip address {_describe(address)} is a sourceNat ip address")
    if machine.network is not network:
        raise errors.invalid("Vm doesn't belong to the network with specified id")
    if zone.rules_where(lambda rule: rule.address is address and rule.purpose == "PortForwarding"):
        raise ApiError(
            537,
            f"Failed to enable static nat for the ip address {_describe(address)} as it already has PortForwarding "
            "rules assigned",
        )
    if address.static_nat not in (None, machine):
        raise ApiError(
            537,
            f"Failed to enable static for the ip address {_describe(address)} and vm id={machine.number} as it's "
            "already assigned to antoher vm",
        )
    other = next((a for a in zone.addresses if a.static_nat is machine), None)
    if other is not None:
        raise errors.invalid(
            f"Failed to enable static nat on the  ip {address.ip} with Id {address.uuid} as the vm "
            f"{machine.instance_name} with Id {machine.uuid} is already associated with another public ip {other.ip} "
            f"with id {other.uuid}"
        )


def disable_static_nat(call: Call) -> Task:
    address = own_address(call, "ipaddressid")

    def run() -> Json:
        if address.static_nat is None:
            raise errors.invalid(f"Specified IP address id is not associated with any vm Id: {address.uuid}")
        call.zone.pause(call.zone.settings.api_step_s)
        network = network_of(address)
        with call.zone.lock:
            address.static_nat = None
            free_unused(call.zone, address)
        reprogram(call.zone, network)
        return {"success": True}

    return Task(run)


COMMANDS = {
    "associateIpAddress": associate,
    "disassociateIpAddress": disassociate,
    "listPublicIpAddresses": list_addresses,
    "enableStaticNat": enable_static_nat,
    "disableStaticNat": disable_static_nat,
}
