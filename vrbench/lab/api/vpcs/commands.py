"""VPCs: create, list, rename, restart, delete. Tiers are networks (``networks/``), their rules lists (``acls.py``)."""

from __future__ import annotations

from ipaddress import IPv4Network

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.accounts.limits import check_address_limit, check_limit
from vrbench.lab.api.networks.parameters import check_private, domain_name, resolvers
from vrbench.lab.api.networks.updates import updating, use_source_nat
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.request.rule_params import is_cidr
from vrbench.lab.api.request.selection import wanted_services
from vrbench.lab.api.routers.implement import (
    assign,
    bring_up_lost_routers,
    patch_routers,
    remove_routers,
    take_source_nat,
)
from vrbench.lab.api.routers.network_routers import NetworkRouters
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.routers.specs import PAIRED, strategy
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import BuiltIn, Json, Vpc
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone, new_id
from vrbench.lab.api.vpcs.view import describe_vpc, vpc_view

GONE = "Unable to find VPC by id {id}"
REDUNDANT_OFFERING = "Redundant VPC offering"


def create_vpc(call: Call) -> Task:
    zone, owner = call.zone, call.owner()
    offering = _usable_offering(call)
    cidr, named, dns = _cidr(call), domain_name(call), resolvers(call)
    with zone.lock:
        check_limit(zone, owner, "vpc", 1)
        vpc = zone.add(
            Vpc(
                uuid=new_id(),
                account=owner,
                name=call.required("name"),
                displaytext=call.text("displaytext") or call.required("name"),
                offering=offering,
                cidr=cidr,
                domain_name=named or f"cs{owner.number:x}sandbox.simulator",
                redundant=is_redundant(offering) or zone.settings.strategy == PAIRED,
                dns=dns,
                displayed=call.flag("fordisplay", default=True) or not call.caller.is_root,
            )
        )
        _take_wanted_source_nat(call, vpc)

    def run() -> Json:
        if call.flag("start", default=True):
            _first_start(call, vpc)
        with zone.lock:
            return {"vpc": vpc_view(zone, vpc, call.caller.is_root)}

    return Task(run, vpc, "None", shows_instance=False, creates=True)


def _take_wanted_source_nat(call: Call, vpc: Vpc) -> None:
    """Take the address asked for as source NAT; when it can't be had, the VPC does not stay. Lock held."""
    wanted = call.text("sourcenatipaddress")
    if not wanted:
        return
    try:
        check_address_limit(call.zone, vpc.account)
        address = call.zone.take_address(vpc.account, wanted)
    except ApiError as error:
        call.zone.remove(vpc)
        raise ApiError(530, "new source NAT address cannot be acquired", errors.RUNTIME) from error
    assign(address, vpc, source_nat=True)
    address.state = "Allocated"


def _usable_offering(call: Call) -> BuiltIn:
    offering = call.target("vpcofferingid", BuiltIn, "Unable to find vpc offering in Enabled state by specified id")
    call.target("zoneid", BuiltIn)
    if offering.body["state"] != "Enabled":
        raise errors.invalid("Unable to find vpc offering in Enabled state by specified id")
    return offering


def is_redundant(offering: BuiltIn) -> bool:
    return bool(offering.body["name"] == REDUNDANT_OFFERING)


def _cidr(call: Call) -> str:
    text = call.text("cidr")
    if not text and not call.text("cidrsize"):
        raise errors.invalid("VPC cidr or cidr size must be specified")
    if not text or call.text("cidrsize"):
        raise errors.invalid("VPC cidr size is only applicable on VPC with Routed mode")
    if not is_cidr(text):
        raise errors.invalid(f"Invalid CIDR specified {text}")
    check_private(IPv4Network(text, strict=False))
    return text


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
        _remove(call, vpc)
        raise


def list_vpcs(call: Call) -> Json:
    mine = call.scope()
    chosen = [vpc for vpc in reversed(call.zone.vpcs) if mine(vpc.account) and _matches(call, vpc)]
    return call.listing("vpc", [vpc_view(call.zone, vpc, call.caller.is_root) for vpc in chosen])


def _matches(call: Call, vpc: Vpc) -> bool:
    exactly = {
        "id": vpc.uuid,
        "cidr": vpc.cidr,
        "state": vpc.state,
        "zoneid": call.zone.built_ins["zone"][0].uuid,
        "vpcofferingid": vpc.offering.uuid,
    }
    parts = {"name": vpc.name, "displaytext": vpc.displaytext, "keyword": f"{vpc.name} {vpc.displaytext}"}
    flags = {"restartrequired": vpc.restart_required, "fordisplay": vpc.displayed}
    return (
        fits(call, exactly, parts, flags)
        and wanted_services(call) <= {service["name"].lower() for service in vpc.offering.body["service"]}
        and tags.carries(call, vpc.uuid)
    )


def update_vpc(call: Call) -> Task:
    """Answer updateVPC: names at once; another source-NAT address costs the VPC its routers, and it gets new ones."""
    vpc, zone = call.target("id", Vpc, GONE), call.zone

    def change() -> bool:
        if not any(
            call.text(name) for name in ("name", "displaytext", "fordisplay", "sourcenatipaddress", "publicmtu")
        ):
            raise errors.internal("Failed to update VPC")  # of no row changed the server makes an error
        if call.caller.is_root:
            vpc.displayed = call.flag("fordisplay", default=vpc.displayed)
        ip = call.text("sourcenatipaddress")
        used = zone.rules_where(lambda rule: rule.address is not None and rule.address.ip == ip)
        return not used and use_source_nat(zone, vpc, ip)

    def renew() -> None:
        with vpc.implementing:
            strategy(zone, vpc).replace(NetworkRouters(zone, vpc, call.caller))
            reprogram(zone, vpc)

    return updating(call, vpc, change, renew, lambda: {"vpc": vpc_view(zone, vpc, call.caller.is_root)})


def restart_vpc(call: Call) -> Task:
    """Answer restartVPC: with cleanup, or to become redundant, by new routers; else by their rules again."""
    vpc = call.target("id", Vpc, GONE)
    ticket = vpc.restarts.draw()

    def run() -> Json:
        with vpc.restarts.serve(ticket), vpc.implementing:
            if vpc.removed:
                raise errors.invalid(GONE.format(id=vpc.number))
            call.zone.operate()
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
    """Make the VPC redundant. Its offering changes with it, whatever it was."""
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
            _remove(call, vpc)
        return {"success": True}

    return Task(run, vpc, "Vpc", shows_instance=False)


def _remove(call: Call, vpc: Vpc) -> None:
    zone = call.zone
    with zone.lock:
        vpc.state = "Inactive"
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
