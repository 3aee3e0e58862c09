"""Public addresses: acquire, release, list."""

from __future__ import annotations

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.accounts.limits import check_address_limit
from vrbench.lab.api.addresses.view import address_view
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.routers.implement import assign
from vrbench.lab.api.routers.rule_turns import Turn, await_turn
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Address, Json, Network, Vpc
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.fixtures import UNLIMITED, load, router_constants
from vrbench.lab.api.state.zone import Zone

CALM, BUSY = 4, 12  # calls for one network that don't overlap; calls of which two do


def associate(call: Call) -> Task:
    zone = call.zone
    home, owner = _home(call)
    if call.flag("isportable"):
        raise errors.no_address_left()  # the zone has no portable ones
    with zone.lock:
        check_address_limit(zone, owner)
    # The server looks at the limit first and takes the address later: callers side by side all get past the limit.
    zone.pause(zone.settings.api_step_s / 5)
    with zone.lock:
        address = zone.take_address(owner, call.text("ipaddress"))

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


def _home(call: Call) -> tuple[Network | Vpc, Account]:
    """Return where the address leads and whose it will be; without a network, the owner's only isolated one."""
    home: Network | Vpc | None = None
    if call.text("vpcid"):
        home = call.target("vpcid", Vpc, "Can't find enabled VPC by ID specified")
    elif call.text("networkid"):
        home = call.target("networkid", Network, "Unable to find network by network id specified")
    named = call.text("projectid") or (call.text("account") and call.text("domainid"))
    owner = call.owner(active=False) if named else home.account if home else call.caller
    if home is not None:
        return home, owner
    if not call.text("zoneid"):
        raise errors.invalid(
            "Unable to figure out zone to assign IP to. Please specify either zoneId, or networkId, or vpcId in the "
            "call"
        )
    mine = [network for network in call.zone.networks if network.account is owner and network.vpc is None]
    if len(mine) > 1:
        raise errors.invalid("Account has more than one isolated network in the zone")
    if not mine:
        raise errors.invalid(f"Account name={owner.name} domain={owner.domain.name} doesn't have virtual networks")
    return mine[0], owner


def _give_to_vpc(zone: Zone, address: Address, vpc: Vpc) -> None:
    """Give the address to a VPC. Its router hears of it only when a rule uses it."""
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
        f"Failed to associate IP address [{describe_address(address)}] to network [{_describe_network(home)}]"
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
    """Return how many source-NAT addresses the race gives, by how much the server has to do for the network at once.

    Seen on a real one: 2 or 4 addresses at once gave one, 10 gave two, 10 beside 10 deploys gave three.
    """
    asked = [a for a in zone.addresses if a.account is network.account and a.network in (None, network)]
    starting = [machine for machine in zone.machines_in(network) if not machine.on_ground]
    load = len(asked) + len(starting)
    return 1 if load <= CALM else 2 if load <= BUSY else 3


def describe_address(address: Address) -> str:
    return f'IPAddress {{"address":"{address.ip}","dataCenterId":1,"id":{address.number},"uuid":"{address.uuid}"}}'


def _describe_network(network: Network | Vpc) -> str:
    return (
        f'Network {{"id": {network.number}, "name": "{network.name}", "uuid": "{network.uuid}", '
        f'"networkofferingid": {network.offering.number}}}'
    )


def own_address(call: Call, name: str) -> Address:
    """Return the address that a parameter names; it must be allocated and the caller's to touch."""
    address = call.entity(name, Address)
    if address is None:
        raise errors.missing_parameter(call.shape.name, name)
    if address.account is None:
        raise errors.invalid(f"Unable to find ip address by id={address.uuid}")
    if not call.may_touch(address.account):
        raise errors.no_permission()
    return address


def network_of(address: Address, tier: Network | None = None) -> Network:
    """Return where the address leads; one of a VPC goes where its first rule says, to ``tier``."""
    if address.network is not None:
        return address.network
    if tier is None or address.vpc is None:
        raise errors.invalid(
            f"Ip address {address.ip} is not associated with any network and no networkId is passed in"
        )
    if tier.vpc is not address.vpc:
        raise errors.invalid(f"Ip address {describe_address(address)} is not assigned to the network {tier.name}")
    return tier


def disassociate(call: Call) -> Task:
    """Answer disassociateIpAddress: whose it is, and whether it is anybody's at all, is looked at in the job only."""
    address = _to_release(call)
    turn = turn_of(call.zone, address)

    @turn.used()
    def run() -> Json:
        zone, network = call.zone, address.network
        if address.account is None:
            return {"success": True}
        if not call.may_touch(address.account):
            raise errors.no_permission_in_job()
        in_use = address.vpc is not None or (network is not None and network.state != "Allocated")
        if address.source_nat and in_use:
            raise errors.internal("ip address is used for source nat purposes and can not be disassociated.")
        with zone.lock:
            address.state = "Releasing"
        turn.spend()
        try:
            _drop(zone, address, network)
        except ApiError:
            with zone.lock:
                address.state = "Allocated"
            raise
        return {"success": True}

    return Task(run, address, "IpAddress")


def turn_of(zone: Zone, address: Address) -> Turn:
    """Wait for the turn of all rules that go with the address: the router forgets them one after the other."""
    with zone.lock:
        network = address.network
        rules = len(zone.rules_where(lambda rule: rule.address is address)) + (address.static_nat is not None)
    return await_turn(zone, network, rules) if network else Turn(zone, 0.0)


def _to_release(call: Call) -> Address:
    """Return the address named by its id or, since 4.19, as such."""
    if call.text("id") and call.text("ipaddress"):
        raise errors.invalid("id parameter is mutually exclusive with ipaddress parameter")
    address = call.entity("id", Address)
    if address is None and call.text("ipaddress"):
        address = next((a for a in call.zone.addresses if a.ip == call.text("ipaddress")), None)
        if address is None:
            raise errors.invalid(f"Unable to find IP address by IP address={call.text('ipaddress')}")
    if address is None:
        raise errors.invalid("Please specify either IP address or IP address ID")
    return address


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
    """Take an address of a VPC that nothing uses any more from its tier; call with the lock held."""
    used = address.static_nat is not None or zone.rules_where(lambda rule: rule.address is address)
    if address.vpc is not None and not used:
        address.network = None


def list_addresses(call: Call) -> Json:
    """Answer listPublicIpAddresses: the caller's; with allocatedonly=false those that anybody may take as well."""
    mine, with_free = call.scope(), _with_free(call)
    if with_free and call.caller.is_root and not (call.text("domainid") or call.text("projectid")):
        mine = call.may_touch  # asked for free ones, root sees everybody's
    for home in (call.entity("associatednetworkid", Network), call.entity("vpcid", Vpc)):
        if home is not None and not home.removed:
            call.check_access(home)
    if not _could_be(call):
        return call.listing("publicipaddress", [])
    seen = [a for a in call.zone.addresses if (mine(a.account) if a.account else with_free and a.state == "Free")]
    chosen = [address for address in seen if _matches(call, address)]
    rows = [address_view(call.zone, address, call.caller.is_root) for address in chosen]
    return call.listing("publicipaddress", rows)


def _with_free(call: Call) -> bool:
    """Return whether free addresses are asked for, too: by allocatedonly, or by their state."""
    free = (call.text("state") or "").lower() == "free"
    if free and call.flag("allocatedonly"):
        raise errors.invalid("Conflict: allocatedOnly is true but state is Free")
    return not call.flag("allocatedonly", default=not free)


def _could_be(call: Call) -> bool:
    """Return whether there can be such addresses: all are for virtual networks, nothing is hidden or set aside."""
    wanted = {"forvirtualnetwork": True, "fordisplay": True, "forsystemvms": False, "forloadbalancing": False}
    return all(call.text(name) is None or call.flag(name) == value for name, value in wanted.items())


def _matches(call: Call, address: Address) -> bool:
    exactly = {
        "id": address.uuid,
        "ipaddress": address.ip,
        "state": address.state,
        "associatednetworkid": address.network.uuid if address.network else None,
        "networkid": router_constants()["publicnetworkid"],
        "zoneid": call.zone.built_ins["zone"][0].uuid,
        "vpcid": address.vpc.uuid if address.vpc else None,
        "physicalnetworkid": load("zone.json")["physicalnetworkid"],
        "vlanid": call.zone.public_ranges[address.subnet].uuid,
    }
    flags = {"issourcenat": address.source_nat, "isstaticnat": address.static_nat is not None}
    return fits(call, exactly, {"keyword": address.ip}, flags) and tags.carries(call, address.uuid)


COMMANDS = {
    "associateIpAddress": associate,
    "disassociateIpAddress": disassociate,
    "listPublicIpAddresses": list_addresses,
}
