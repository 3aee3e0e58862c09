"""VPCs: create, list, rename, restart, delete. Their tiers are networks (networks.py), their rules lists (acls.py)."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Network

from vrbench.lab.api import errors, tags
from vrbench.lab.api.accounts import check_limit
from vrbench.lab.api.call import Call, Task
from vrbench.lab.api.catalog import select
from vrbench.lab.api.design import PAIRED, strategy
from vrbench.lab.api.errors import ApiError
from vrbench.lab.api.implement import bring_up_lost_routers, patch_routers, remove_routers, take_source_nat
from vrbench.lab.api.records import BuiltIn, Json, Vpc
from vrbench.lab.api.router_ops import NetworkRouters
from vrbench.lab.api.ruleset import reprogram
from vrbench.lab.api.vpc_view import describe_vpc, vpc_view
from vrbench.lab.api.zone import Zone, new_id

GONE = "Unable to find VPC by id {id}"
REDUNDANT_OFFERING = "Redundant VPC offering"


def create_vpc(call: Call) -> Task:
    zone, owner = call.zone, call.owner()
    offering = _usable_offering(call)
    cidr = _cidr(call)
    with zone.lock:
        check_limit(zone, owner, "vpc", 1)
        vpc = zone.add(
            Vpc(
                uuid=new_id(),
                account=owner,
                name=call.required("name"),
                displaytext=call.text("displaytext") or call.required("name"),
                offering=offering,
                cidr=str(cidr),
                domain_name=call.text("networkdomain") or f"cs{owner.number:x}sandbox.simulator",
                redundant=is_redundant(offering) or zone.settings.strategy == PAIRED,
            )
        )

    def run() -> Json:
        if call.flag("start", default=True):
            _first_start(call, vpc)
        with zone.lock:
            vpc.state = "Enabled"
            return {"vpc": vpc_view(zone, vpc, call.caller.is_root)}

    return Task(run, vpc, "None", shows_instance=False, creates=True)


def _usable_offering(call: Call) -> BuiltIn:
    offering = call.target("vpcofferingid", BuiltIn, "Unable to find vpc offering by specified id")
    call.target("zoneid", BuiltIn)
    if offering.kind != "vpcoffering":
        raise errors.unknown_entity(call.shape.name, "vpcofferingid", offering.uuid)
    if offering.body["state"] != "Enabled":
        raise errors.invalid("Unable to create VPC: its offering is not Enabled")
    return offering


def is_redundant(offering: BuiltIn) -> bool:
    return bool(offering.body["name"] == REDUNDANT_OFFERING)


def _cidr(call: Call) -> IPv4Network:
    text = call.required("cidr") if call.text("cidr") else ""
    try:
        return IPv4Network(text)
    except (AddressValueError, ValueError):
        raise errors.invalid(f"Invalid CIDR {text} for the VPC") from None


def _first_start(call: Call, vpc: Vpc) -> None:
    """Bring up the VPC's routers; a VPC that never had one does not stay."""
    zone = call.zone
    try:
        with vpc.implementing:
            with zone.lock:
                take_source_nat(zone, vpc)
            strategy(zone, vpc).bring_up(NetworkRouters(zone, vpc, call.caller))
            reprogram(zone, vpc)
    except ApiError:
        _tear_down(call, vpc)
        raise


def list_vpcs(call: Call) -> Json:
    mine = call.scope()
    call.entity("id", Vpc)
    chosen = [vpc for vpc in reversed(call.zone.vpcs) if mine(vpc.account) and tags.carries(call, vpc.uuid)]
    rows = [vpc_view(call.zone, vpc, call.caller.is_root) for vpc in chosen]
    rows = select(
        call, rows, displaytext="displaytext", cidr="cidr", state="state", zoneid="zoneid",
        vpcofferingid="vpcofferingid", restartrequired="restartrequired",
    )  # fmt: skip
    return call.listing("vpc", rows)


def update_vpc(call: Call) -> Task:
    vpc = call.target("id", Vpc, GONE)

    def run() -> Json:
        with call.zone.lock:
            vpc.name = call.text("name") or vpc.name
            vpc.displaytext = call.text("displaytext") or vpc.displaytext
            return {"vpc": vpc_view(call.zone, vpc, call.caller.is_root)}

    return Task(run, vpc, "Vpc", shows_instance=False)


def restart_vpc(call: Call) -> Task:
    """restartVPC: with cleanup, or to become redundant, the routers are replaced; else they get their rules again."""
    vpc = call.target("id", Vpc, GONE)
    ticket = vpc.restarts.draw()

    def run() -> Json:
        with vpc.restarts.serve(ticket), vpc.implementing:
            if vpc.removed:
                raise errors.invalid(GONE.format(id=vpc.number))
            becomes_redundant = call.flag("makeredundant") and not vpc.redundant
            if becomes_redundant:
                _make_redundant(call.zone, vpc)
            if call.flag("cleanup") or becomes_redundant:
                strategy(call.zone, vpc).replace(NetworkRouters(call.zone, vpc, call.caller))
            else:
                bring_up_lost_routers(call.zone, vpc, call.caller)
                if call.flag("livepatch"):
                    patch_routers(call.zone, vpc, call.caller)
            reprogram(call.zone, vpc)
        return {"success": True}

    return Task(run, vpc, "Vpc", shows_instance=False)


def _make_redundant(zone: Zone, vpc: Vpc) -> None:
    """The offering changes with it, whatever it was."""
    with zone.lock:
        vpc.redundant = True
        offerings = zone.built_ins["vpcoffering"]
        vpc.offering = next((o for o in offerings if o.body["name"] == REDUNDANT_OFFERING), vpc.offering)


def delete_vpc(call: Call) -> Task:
    vpc = call.target("id", Vpc, GONE)

    def run() -> Json:
        with vpc.implementing:
            with call.zone.lock:
                tiers = len(call.zone.networks_of(vpc))
            if tiers:
                raise errors.invalid(f"Can't delete VPC {describe_vpc(vpc)} as its used by {tiers} networks")
            _tear_down(call, vpc)
        return {"success": True}

    return Task(run, vpc, "Vpc", shows_instance=False)


def _tear_down(call: Call, vpc: Vpc) -> None:
    zone = call.zone
    remove_routers(zone, vpc, call.caller)
    with zone.lock:
        for address in zone.addresses_of(vpc):
            tags.drop_all(zone, address.uuid)
            zone.release_address(address)
        for acl in [acl for acl in zone.acl_lists if acl.vpc is vpc]:
            zone.remove(acl)
        tags.drop_all(zone, vpc.uuid)
        zone.remove(vpc)


COMMANDS = {
    "createVPC": create_vpc,
    "listVPCs": list_vpcs,
    "updateVPC": update_vpc,
    "restartVPC": restart_vpc,
    "deleteVPC": delete_vpc,
}
