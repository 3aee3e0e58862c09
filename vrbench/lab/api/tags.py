"""Tags on networks, VMs, addresses and rules."""

from __future__ import annotations

from vrbench.lab.api import errors
from vrbench.lab.api.call import Call, Task
from vrbench.lab.api.errors import ApiError
from vrbench.lab.api.records import Address, Json, Machine, Network, Owned, Rule, Tag
from vrbench.lab.api.responses import owner_fields
from vrbench.lab.api.zone import Zone, new_id

Taggable = Network | Machine | Address | Rule

TAGGABLE: dict[str, tuple[str, type[Taggable]]] = {
    "network": ("Network", Network),
    "uservm": ("UserVm", Machine),
    "publicipaddress": ("PublicIpAddress", Address),
    "firewallrule": ("FirewallRule", Rule),
    "portforwardingrule": ("PortForwardingRule", Rule),
}


def create_tags(call: Call) -> Task:
    def run() -> Json:
        kind, targets = _targets(call)
        with call.zone.lock:
            for target in targets:
                for entry in call.entries("tags"):
                    _add(call, kind, target, entry)
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
            raise ApiError(431, f"Unable to find resource by id {resource} and type {kind}")
        _check_owner(call, entity)
        found.append(entity)
    return kind, found


def _check_owner(call: Call, entity: Taggable) -> None:
    if isinstance(entity, Owned):
        call.check_access(entity)
    elif entity.account is None or not call.may_touch(entity.account):
        raise errors.no_permission()


def _add(call: Call, kind: str, target: Taggable, entry: dict[str, str]) -> None:
    key, value = entry.get("key", ""), entry.get("value", "")
    if any(tag.resource == target.uuid and tag.key == key for tag in call.zone.tags):
        raise errors.internal(f"tag {key} already on {kind} with id {target.uuid}")
    owner = target.account or call.caller
    call.zone.add(Tag(uuid=new_id(), account=owner, key=key, value=value, resource_type=kind, resource=target.uuid))


def delete_tags(call: Call) -> Task:
    def run() -> Json:
        _, targets = _targets(call)
        wanted = {(entry.get("key"), entry.get("value")) for entry in call.entries("tags")}
        with call.zone.lock:
            doomed = [tag for target in targets for tag in _tags(call.zone, target.uuid) if _named(tag, wanted)]
            if not doomed:
                raise errors.invalid("Unable to find any tags which conform to specified delete parameters.")
            for tag in doomed:
                call.zone.remove(tag)
        return {"success": True}

    return Task(run)


def _named(tag: Tag, wanted: set[tuple[str | None, str | None]]) -> bool:
    """No tags named means all of them; a value, when given, must match too."""
    return not wanted or any(tag.key == key and value in (None, tag.value) for key, value in wanted)


def _tags(zone: Zone, resource: str) -> list[Tag]:
    return [tag for tag in zone.tags if tag.resource == resource]


def drop_all(zone: Zone, resource: str) -> None:
    """Tags go with what they hang on; call with the lock held."""
    for tag in _tags(zone, resource):
        zone.remove(tag)


def shown(zone: Zone, resource: str) -> list[Json]:
    """The tags inside another object's answer."""
    return [{"key": tag.key, "value": tag.value} for tag in _tags(zone, resource)]


def carries(call: Call, resource: str) -> bool:
    """Whether a resource has the tags that a list call asks for."""
    return all(
        any(
            tag.key == entry.get("key") and entry.get("value") in (None, tag.value)
            for tag in _tags(call.zone, resource)
        )
        for entry in call.entries("tags")
    )


def list_tags(call: Call) -> Json:
    mine = call.scope()
    rows = [
        {
            "key": tag.key,
            "value": tag.value,
            "resourcetype": tag.resource_type,
            "resourceid": tag.resource,
            **owner_fields(tag.account),
        }
        for tag in call.zone.tags
        if mine(tag.account)
    ]
    for param in ("key", "value", "resourcetype", "resourceid"):
        wanted = call.text(param)
        rows = [row for row in rows if wanted is None or row[param].lower() == wanted.lower()]
    return call.listing("tag", rows)


COMMANDS = {"createTags": create_tags, "deleteTags": delete_tags, "listTags": list_tags}
