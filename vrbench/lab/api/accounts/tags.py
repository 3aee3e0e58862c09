"""Tags on networks, VMs, addresses and rules."""

from __future__ import annotations

from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.responses import owner_fields
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, AclList, AclRule, Address, Json, Machine, Network, Rule, Tag, Vpc
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone, new_id

Taggable = Network | Machine | Address | Rule | Vpc | AclList | AclRule

TAGGABLE: dict[str, tuple[str, type[Taggable]]] = {
    "network": ("Network", Network),
    "uservm": ("UserVm", Machine),
    "publicipaddress": ("PublicIpAddress", Address),
    "firewallrule": ("FirewallRule", Rule),
    "portforwardingrule": ("PortForwardingRule", Rule),
    "vpc": ("Vpc", Vpc),
    "networkacl": ("NetworkACL", AclRule),
    "networkacllist": ("NetworkACLList", AclList),
}


def create_tags(call: Call) -> Task:
    """Answer createTags: all of them or, where one is wrong, none."""

    def run() -> Json:
        kind, targets = _targets(call)
        with call.zone.lock:
            new = [_new_tag(call, kind, target, entry) for target in targets for entry in call.entries("tags")]
            for tag in new:
                call.zone.add(tag)
        return {"success": True}

    return Task(run)


def _targets(call: Call) -> tuple[str, list[Taggable]]:
    wanted = call.required("resourcetype")
    if wanted.lower() not in TAGGABLE:
        raise ApiError(431, f"Invalid resource type {wanted}")
    kind, cls = TAGGABLE[wanted.lower()]
    found: list[Taggable] = []
    for resource in call.items("resourceids"):
        entity = call.zone.known(resource)
        if not isinstance(entity, cls) or entity.removed:
            raise ApiError(431, f"Unable to find resource by uuid {resource} and type {kind}")
        owner = _owner(entity)
        if not (call.caller.is_root if owner is None else call.may_touch(owner)):
            raise errors.no_permission_in_job()
        found.append(entity)
    return kind, found


def _owner(target: Taggable) -> Account | None:
    """Return whose the resource is; nobody's where it is for all VPCs, or free."""
    if isinstance(target, AclRule):
        target = target.acl
    if isinstance(target, AclList):
        return target.vpc.account if target.vpc else None
    return target.account


def _new_tag(call: Call, kind: str, target: Taggable, entry: dict[str, str]) -> Tag:
    key, value = entry.get("key", ""), entry.get("value", "")
    if not value:
        raise ApiError(431, f"Value for the key {key} is either null or empty")
    if any(tag.key.lower() == key.lower() for tag in _tags(call.zone, target.uuid)):
        raise errors.internal(f"tag {key} already on {kind} with id {target.uuid}")
    owner = _owner(target) or call.caller
    return Tag(
        uuid=new_id(),
        account=owner,
        key=key,
        value=value,
        resource_type=kind,
        resource=target.uuid,
        customer=call.text("customer") or "",
    )


def delete_tags(call: Call) -> Task:
    def run() -> Json:
        _, targets = _targets(call)
        wanted = {(_lower(entry.get("key")), _lower(entry.get("value"))) for entry in call.entries("tags")}
        with call.zone.lock:
            doomed = [tag for target in targets for tag in _tags(call.zone, target.uuid) if _named(tag, wanted)]
            if not doomed:
                raise errors.internal("Failed to delete tags")
            for tag in doomed:
                call.zone.remove(tag)
        return {"success": True}

    return Task(run)


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None


def _named(tag: Tag, wanted: set[tuple[str | None, str | None]]) -> bool:
    """Return whether a tag is named: without names all are; a value, when given, must match too."""
    return not wanted or any(tag.key.lower() == key and value in (None, tag.value.lower()) for key, value in wanted)


def _tags(zone: Zone, resource: str) -> list[Tag]:
    return [tag for tag in zone.tags if tag.resource == resource]


def drop_all(zone: Zone, resource: str) -> None:
    """Drop the tags that hang on something; call with the lock held."""
    for tag in _tags(zone, resource):
        zone.remove(tag)


def shown(zone: Zone, resource: str) -> list[Json]:
    """Return the tags inside another object's answer."""
    return [{"key": tag.key, "value": tag.value} for tag in _tags(zone, resource)]


def carries(call: Call, resource: str) -> bool:
    """Return whether a resource has the tags that a list call asks for."""
    return all(
        any(
            tag.key == entry.get("key") and entry.get("value") in (None, tag.value)
            for tag in _tags(call.zone, resource)
        )
        for entry in call.entries("tags")
    )


def list_tags(call: Call) -> Json:
    mine = call.scope()
    rows = [_view(tag) for tag in call.zone.tags if mine(tag.account)]
    for param in ("key", "value", "resourcetype", "resourceid", "customer"):
        wanted = call.text(param)
        rows = [row for row in rows if not wanted or row.get(param, "").lower() == wanted.lower()]
    keyword = (call.text("keyword") or "").lower()
    return call.listing(
        "tag", [row for row in rows if keyword in row["key"].lower() or keyword in row["value"].lower()]
    )


def _view(tag: Tag) -> Json:
    return {
        "key": tag.key,
        "value": tag.value,
        "resourcetype": tag.resource_type,
        "resourceid": tag.resource,
        **owner_fields(tag.account),
        **({"customer": tag.customer} if tag.customer else {}),
    }


COMMANDS = {"createTags": create_tags, "deleteTags": delete_tags, "listTags": list_tags}
