"""User data that is registered once and named by deployments."""

from __future__ import annotations

import base64
import binascii
import re

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.responses import owner_fields
from vrbench.lab.api.request.selection import select
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, BuiltIn, Json, UserData
from vrbench.lab.api.state.zone import new_id

BROKEN_ESCAPE = re.compile(r"%((?![0-9A-Fa-f]{2})..)", re.DOTALL)  # user data may come URL-encoded within the call
LONGEST = 32768  # characters of base64; the server's setting vm.userdata.max.length
RESERVED_PARAMS = frozenset(
    "availability-zone cloud-domain cloud-domain-id cloud-identifier cloud-name hypervisor-host-name instance-id "
    "local-hostname local-ipv4 public-hostname public-ipv4 public-keys service-offering vm-id".split()
)  # files of the router's metadata service
POLICIES = ("ALLOWOVERRIDE", "APPEND", "DENYOVERRIDE")
LINK_SHOWN = (
    "id name displaytext ispublic created format ostypeid ostypename hypervisor isdynamicallyscalable account domainid "
    "domain domainpath templatetype bits tags userdataid userdataname userdataparams userdatapolicy"
).split()  # fields of a template in the answer to a change of it
ONE_ONLY = "Both userdata and userdata ID inputs are not allowed, please provide only one"


def decoded(text: str) -> bytes:
    """Return what base64 text says; raises ApiError 431. Padding at its end may be missing, as on the server."""
    if len(text) > LONGEST:
        raise errors.invalid(f"User data has exceeded configurable max length : {LONGEST}")
    if broken := BROKEN_ESCAPE.search(text):
        raise errors.malformed(
            "URLDecoder: Illegal hex characters in escape (%) pattern - Error at index 0 in: " + f'"{broken[1]}"'
        )
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise errors.invalid("User data is not base64 encoded.") from None
    if not data:
        raise errors.invalid("User data is too short.")
    return data


def register(call: Call) -> Json:
    """Answer registerUserData: a name and a content of its own within the account."""
    owner, name = call.owner(), call.required("name")
    params, sent = call.text("params"), call.required("userdata")
    with call.zone.lock:
        _refuse_taken(call, owner, name, sent)
        taken = [word for word in (params or "").split(",") if word in RESERVED_PARAMS]
        if taken:
            text = f"Params passed here have a few virtual router metadata file names [{', '.join(taken)}]"
            raise errors.invalid(text)
        content = base64.b64encode(decoded(sent)).decode()
        kept = UserData(uuid=new_id(), account=owner, name=name, content=content, params=params)
        return {"userdata": _view(call.zone.add(kept))}


def _refuse_taken(call: Call, owner: Account, name: str, sent: str) -> None:
    for kept in call.zone.userdata:
        if kept.account is owner and kept.name == name:
            raise errors.invalid(f"A userdata with name {name} already exists for this account.")
    for kept in call.zone.userdata:
        if kept.account is owner and kept.content == sent:
            raise errors.invalid(f"Userdata {kept.name} with same content already exists for this account.")


def list_all(call: Call) -> Json:
    mine = call.scope()
    rows = [_view(kept) for kept in call.zone.userdata if mine(kept.account)]
    return call.listing("userdata", select(call, rows))


def delete(call: Call) -> Json:
    """Answer deleteUserData: it stays while a VM has it that is not expunged. Nobody asks whose it is."""
    owner, kept = call.owner(), call.entity("id", UserData)
    if kept is None:
        raise errors.missing_parameter(call.shape.name, "id")
    with call.zone.lock:
        if kept.removed:
            text = f"A UserData with id '{kept.number}' does not exist for account {owner.name} in specified domain id"
            raise errors.invalid(text, (owner.domain.uuid, "domainId"))
        if any(template.body.get("userdataid") == kept.uuid for template in call.zone.built_ins["template"]):
            text = f"Userdata {kept.name} cannot be removed as it is linked to active template/templates"
            raise errors.unexpected(text, call.caller.is_root)
        if any(machine.registered is kept for machine in call.zone.machines):
            text = f"Userdata {kept.name} cannot be removed as it is being used by some instances"
            raise errors.unexpected(text, call.caller.is_root)
        call.zone.remove(kept)
    return {"success": True}


def link(call: Call) -> Json:
    """Answer linkUserDataToTemplate: what a template's VMs get by default; nothing without ``userdataid``."""
    template, kept = call.entity("templateid", BuiltIn), call.entity("userdataid", UserData)
    policy = (call.text("userdatapolicy") or POLICIES[0]).upper()
    if template is None:
        raise errors.missing_parameter(call.shape.name, "templateid")
    with call.zone.lock:
        owner = template.account
        if not (call.caller.is_root if owner is None else call.may_touch(owner)):
            reason = f"Failed to link userdata to template, due to: {errors.no_permission().text}"
            raise errors.unexpected(reason, call.caller.is_root)
        if policy not in POLICIES:
            reason = f"Failed to link userdata to template, due to: No enum constant {policy}"
            raise errors.unexpected(reason, call.caller.is_root)
        for name in ("userdataid", "userdataname", "userdataparams", "userdatapolicy"):
            template.body.pop(name, None)
        if kept is not None:
            params = {"userdataparams": kept.params} if kept.params else {}
            named = {"userdataid": kept.uuid, "userdataname": kept.name, **params, "userdatapolicy": policy}
            template.body |= named
        return {"template": {name: template.body[name] for name in LINK_SHOWN if name in template.body}}


def chosen(call: Call, template: BuiltIn) -> tuple[bytes, UserData | None]:
    """Return what a VM of this template gets: its content, and the registered one if named; raises ApiError."""
    kept, text = call.entity("userdataid", UserData), call.text("userdata")
    if kept is not None and text:
        raise errors.invalid(ONE_ONLY)
    if kept is not None and kept.removed:
        raise errors.unexpected("null", call.caller.is_root)
    own = base64.b64decode(kept.content) if kept is not None else decoded(text) if text else b""
    linked = call.zone.known(str(template.body.get("userdataid")))
    if not isinstance(linked, UserData):
        return own, kept
    policy, default = template.body["userdatapolicy"], base64.b64decode(linked.content)
    if policy == "DENYOVERRIDE" and own:
        name = template.body["name"]
        text = f"UserData input is not allowed here since template {name} is configured to deny any userdata"
        raise errors.unexpected(text, call.caller.is_root)
    return (default + own if policy == "APPEND" else own or default), kept


def details(call: Call) -> str | None:
    """Return the values for a registered one's parameters, as a VM shows them; None without any."""
    pairs = {key: value for entry in call.entries("userdatadetails") for key, value in entry.items()}
    return "{" + ", ".join(f"{key}={value}" for key, value in pairs.items()) + "}" if pairs else None


def _view(kept: UserData) -> Json:
    return {
        "id": kept.uuid,
        "name": kept.name,
        **owner_fields(kept.account),
        "userdata": kept.content,
        **({"params": kept.params} if kept.params else {}),
        "hasannotations": False,
    }


COMMANDS = {
    "registerUserData": register,
    "listUserData": list_all,
    "deleteUserData": delete,
    "linkUserDataToTemplate": link,
}
