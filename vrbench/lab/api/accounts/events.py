"""The server's log of events: what was scheduled, started and completed, to the second."""

from __future__ import annotations

from dataclasses import dataclass

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.request.responses import stamp
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Entity, Event, Json, Network, Owned, Rule
from vrbench.lab.api.state.errors import UNCLASSIFIED, ApiError
from vrbench.lab.api.state.zone import Zone, new_id


@dataclass(frozen=True, slots=True)
class EventKind:
    """How one command shows among the events; ``doing`` reads on after "Successfully completed "."""

    type: str
    doing: str
    resource_type: str | None = None
    left_out: tuple[str, ...] = ()  # states that this command skips
    unnamed: tuple[str, ...] = ()  # states whose entry does not name the resource


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that shows in events only, such as a root volume."""

    uuid: str
    name: str


KINDS = {
    "createNetwork": EventKind("NETWORK.CREATE", "creating network", "Network"),
    "updateNetwork": EventKind("NETWORK.UPDATE", "updating network", "Network"),
    "deleteNetwork": EventKind("NETWORK.DELETE", "deleting network", "Network"),
    "restartNetwork": EventKind("NETWORK.RESTART", "restarting network", "Network"),
    "createVPC": EventKind("VPC.CREATE", "creating VPC", "Vpc"),
    "updateVPC": EventKind("VPC.UPDATE", "updating VPC", "Vpc"),
    "deleteVPC": EventKind("VPC.DELETE", "deleting VPC", "Vpc"),
    "restartVPC": EventKind("VPC.RESTART", "restarting VPC", "Vpc"),
    "createNetworkACLList": EventKind("NETWORK.ACL.CREATE", "creating network acl list", "NetworkACL"),
    "deleteNetworkACLList": EventKind("NETWORK.ACL.DELETE", "deleting network acl list", "NetworkACL"),
    "replaceNetworkACLList": EventKind("NETWORK.ACL.REPLACE", "replacing network acl list", "NetworkACL"),
    "createNetworkACL": EventKind("NETWORK.ACL.ITEM.CREATE", "creating network ACL Item", "NetworkACLItem"),
    "deleteNetworkACL": EventKind("NETWORK.ACL.ITEM.DELETE", "deleting network ACL Item", "NetworkACLItem"),
    "deployVirtualMachine": EventKind("VM.CREATE", "deploying Vm", "VirtualMachine", left_out=("Created",)),
    "startVirtualMachine": EventKind("VM.START", "starting Vm", "VirtualMachine"),
    "stopVirtualMachine": EventKind("VM.STOP", "stopping Vm", "VirtualMachine"),
    "rebootVirtualMachine": EventKind("VM.REBOOT", "rebooting Vm", "VirtualMachine"),
    "destroyVirtualMachine": EventKind("VM.DESTROY", "destroying Vm", "VirtualMachine"),
    "expungeVirtualMachine": EventKind("VM.EXPUNGE", "expunging Vm", "VirtualMachine"),
    "associateIpAddress": EventKind("NET.IPASSIGN", "associating Ip", "IpAddress"),
    "disassociateIpAddress": EventKind("NET.IPRELEASE", "disassociating Ip", "IpAddress"),
    "enableStaticNat": EventKind("STATICNAT.ENABLE", "enabling static nat", "VirtualMachine"),
    "disableStaticNat": EventKind("STATICNAT.DISABLE", "disabling static nat"),
    "createFirewallRule": EventKind("FIREWALL.OPEN", "creating firewall rule", "FirewallRule"),
    "deleteFirewallRule": EventKind("FIREWALL.CLOSE", "revoking firewall rule", "FirewallRule"),
    "createEgressFirewallRule": EventKind("FIREWALL.EGRESS.OPEN", "creating egress firewall rule", "FirewallRule"),
    "deleteEgressFirewallRule": EventKind("FIREWALL.EGRESS.CLOSE", "revoking egress firewall rule", "FirewallRule"),
    "createPortForwardingRule": EventKind(
        "NET.RULEADD", "applying port forwarding rule", "FirewallRule", unnamed=("Created",)
    ),
    "deletePortForwardingRule": EventKind("NET.RULEDELETE", "revoking port forwarding rule", "FirewallRule"),
    "updateFirewallRule": EventKind("FIREWALL.UPDATE", "updating firewall rule", "FirewallRule"),
    "updateEgressFirewallRule": EventKind("FIREWALL.EGRESS.UPDATE", "updating egress firewall rule", "FirewallRule"),
    "updatePortForwardingRule": EventKind("NET.RULEMODIFY", "updating forwarding rule", "FirewallRule"),
    "createLoadBalancerRule": EventKind("LB.CREATE", "creating load balancer", "FirewallRule"),
    "updateLoadBalancerRule": EventKind("LB.UPDATE", "updating load balancer", "FirewallRule"),
    "deleteLoadBalancerRule": EventKind("LB.DELETE", "deleting load balancer", "FirewallRule"),
    "assignToLoadBalancerRule": EventKind("LB.ASSIGN.TO.RULE", "assigning to load balancer", "FirewallRule"),
    "removeFromLoadBalancerRule": EventKind("LB.REMOVE.FROM.RULE", "removing from load balancer", "FirewallRule"),
    "migrateVirtualMachine": EventKind("VM.MIGRATE", "migrating VM", "VirtualMachine"),
    "resetSSHKeyForVirtualMachine": EventKind("VM.RESETSSHKEY", "resetting Vm SSHKey", "VirtualMachine"),
    "resetPasswordForVirtualMachine": EventKind("VM.RESETPASSWORD", "resetting Vm password", "VirtualMachine"),
    "deleteTemplate": EventKind("TEMPLATE.DELETE", "deleting template", "Template"),
    "runDiagnostics": EventKind("SYSTEM.VM.DIAGNOSTICS", "running diagnostics on system vm", "SystemVm"),
    "createTags": EventKind("CREATE_TAGS", "creating resource tags", "ResourceTag", left_out=("Scheduled", "Started")),
    "deleteTags": EventKind("DELETE_TAGS", "deleting resource tags", "ResourceTag", left_out=("Scheduled", "Started")),
    "registerSSHKeyPair": EventKind("REGISTER.SSH.KEYPAIR", "registering ssh keypair"),
    "rebootRouter": EventKind("ROUTER.REBOOT", "rebooting router Vm", "DomainRouter"),
    "stopRouter": EventKind("ROUTER.STOP", "stopping router Vm", "DomainRouter"),
    "startRouter": EventKind("ROUTER.START", "starting router Vm", "DomainRouter"),
    "destroyRouter": EventKind("ROUTER.DESTROY", "destroying router", "DomainRouter"),
}
ROUTER_STOP = EventKind("ROUTER.STOP", "stopping router Vm", "Network")
VLAN_ASSIGN = EventKind("ZONE.VLAN.ASSIGN", "assigning zone Vlan", "Network")
FAILED = {"Error": "Completed", "NotCreated": "Created"}
CREATES = ("create", "associate", "deploy")
DEFAULT_FIREWALL = EventKind("FIREWALL.OPEN", "creating firewall rule", "FirewallRule", unnamed=("Created",))
VOLUME_CREATE = EventKind("VOLUME.CREATE", "creating ROOT volume", "Volume")
VOLUME_DESTROY = EventKind("VOLUME.DESTROY", "destroying a volume", "Volume")


@dataclass(frozen=True, slots=True)
class EventLog:
    """Where the zone writes down what ``account`` does."""

    zone: Zone
    account: Account

    def record(
        self, kind: EventKind, state: str, about: Entity | Resource | None = None, parent: str | None = None
    ) -> str:
        """Write one entry and return its id.

        ``state`` Error is a Completed of level ERROR, NotCreated a Created of it. A state that the kind leaves out is
        not written, but has an id all the same, for later entries to refer to. What is scheduled belongs to the owner
        of its object, what is done to who does it.
        """
        owner = about.account if state == "Scheduled" and isinstance(about, Owned) else self.account
        named = about if kind.resource_type not in (None, "ResourceTag") and state not in kind.unnamed else None
        event = Event(
            uuid=new_id(),
            account=owner,
            username=self.account.user["username"],
            type=kind.type,
            state=FAILED.get(state, state),
            level="ERROR" if state in FAILED else "INFO",
            description=_description(kind, state),
            resource_type=kind.resource_type,
            resource=named.uuid if named else None,
            resource_name=_resource_name(named),
            parent=parent,
        )
        if state not in kind.left_out:
            with self.zone.lock:
                self.zone.add(event)
        return event.uuid


def record_refusal(call: Call, error: ApiError) -> None:
    """Write down what the server refused once it had understood the call; a bad parameter it only answers."""
    kind = KINDS.get(call.shape.name)
    if kind is None or error.text.startswith("Unable to execute API command"):
        return
    if not call.shape.is_async:
        EventLog(call.zone, call.caller).record(kind, "Error")
    elif call.shape.name.startswith(CREATES) and error.cs_code != UNCLASSIFIED:
        EventLog(call.zone, call.caller).record(kind, "NotCreated")


def _resource_name(named: Entity | Resource | None) -> str | None:
    if isinstance(named, Resource):
        return named.name
    if isinstance(named, Network):
        return named.displaytext
    if isinstance(named, Owned) and not isinstance(named, Rule):
        return str(getattr(named, "name", "")) or None
    return None


def _description(kind: EventKind, state: str) -> str:
    match state:
        case "Completed":
            return f"Successfully completed {kind.doing}"
        case "Created":
            return f"Successfully created entity for {kind.doing}"
        case "Error":
            return f"Error while {kind.doing}"
        case "NotCreated":
            return f"Error while creating entity for {kind.doing}"
    return kind.doing[:1].upper() + kind.doing[1:]


def list_events(call: Call) -> Json:
    """Answer listEvents: the newest page, each page in order of time."""
    mine, first, last = call.scope(), call.moment("startdate"), call.moment("enddate", whole_day=True)
    if call.text("resourceid") is not None and not call.text("resourcetype"):
        raise errors.invalid("resourceid parameter must be used with resourcetype parameter")
    if call.text("resourceid") and call.zone.known(call.required("resourceid")) is None:
        raise errors.invalid("Invalid resourceid")
    kept = [
        event
        for event in call.zone.events
        if mine(event.account)
        and _matches(call, event)
        and (first is None or int(event.created) >= first)
        and (last is None or int(event.created) <= last)
    ]
    page, size = call.page()
    shown = kept[::-1][(page - 1) * size : page * size][::-1]
    return {"count": len(kept), "event": [event_view(event) for event in shown]} if kept else {}


def _matches(call: Call, event: Event) -> bool:
    wanted = {
        "id": event.uuid,
        "type": event.type,
        "level": event.level,
        "state": event.state,
        "resourceid": event.resource,
        "resourcetype": event.resource_type,
    }
    said = f"{event.type} {event.description} {event.level}"
    if call.text("level") == "":  # an empty one is a level that no event has
        return False
    start = call.text("startid")
    if start and start not in (event.uuid, event.parent):
        return False
    return fits(call, wanted, {"keyword": said}, {"archived": False})


def event_view(event: Event) -> Json:
    account = event.account
    body: Json = {
        "id": event.uuid,
        "username": event.username,
        "type": event.type,
        "level": event.level,
        "description": event.description,
        "account": account.name,
        "domainid": account.domain.uuid,
        "domain": account.domain.name,
        "domainpath": account.domain.path,
        "resourceid": event.resource,
        "resourcetype": event.resource_type,
        "resourcename": event.resource_name,
        "created": stamp(event.created),
        "state": event.state,
        "parentid": event.parent,
    }
    return {key: value for key, value in body.items() if value is not None}


def list_event_types(call: Call) -> Json:
    """Answer listEventTypes: those that there can be."""
    fixed = (ROUTER_STOP, VLAN_ASSIGN, DEFAULT_FIREWALL, VOLUME_CREATE, VOLUME_DESTROY)
    names = sorted({kind.type for kind in (*KINDS.values(), *fixed)})
    return call.listing("eventtype", [{"name": name} for name in names])


COMMANDS = {"listEvents": list_events, "listEventTypes": list_event_types}
