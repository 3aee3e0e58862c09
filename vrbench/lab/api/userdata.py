"""User data that is registered once and named by deployments."""

from __future__ import annotations

import base64
import binascii

from vrbench.lab.api import errors
from vrbench.lab.api.call import Call
from vrbench.lab.api.catalog import select
from vrbench.lab.api.records import Account, Json, UserData
from vrbench.lab.api.responses import owner_fields
from vrbench.lab.api.zone import new_id

LONGEST = 32768  # characters of base64; the server's setting vm.userdata.max.length
RESERVED_PARAMS = frozenset(
    "availability-zone cloud-domain cloud-domain-id cloud-identifier cloud-name hypervisor-host-name instance-id "
    "local-hostname local-ipv4 public-hostname public-ipv4 public-keys service-offering vm-id".split()
)  # files of the router's metadata service
ONE_ONLY = "Both userdata and userdata ID inputs are not allowed, please provide only one"


def decoded(text: str) -> bytes:
    """What base64 text says; raises ApiError 431. Padding at its end may be missing, as on the server."""
    if len(text) > LONGEST:
        raise errors.invalid(f"User data has exceeded configurable max length : {LONGEST}")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise errors.invalid("User data is not base64 encoded.") from None
    if not data:
        raise errors.invalid("User data is too short.")
    return data


def register(call: Call) -> Json:
    """registerUserData: a name and a content of its own within the account."""
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
    """deleteUserData: whose it is, the server doesn't ask; while a VM has it, it stays (expunged ones don't count)."""
    owner, kept = call.owner(), call.entity("id", UserData)
    if kept is None:
        raise errors.missing_parameter(call.shape.name, "id")
    with call.zone.lock:
        if kept.removed:
            text = f"A UserData with id '{kept.number}' does not exist for account {owner.name} in specified domain id"
            raise errors.invalid(text, (owner.domain.uuid, "domainId"))
        if any(machine.registered is kept for machine in call.zone.machines):
            text = f"Userdata {kept.name} cannot be removed as it is being used by some instances"
            raise errors.unexpected(text, call.caller.is_root)
        call.zone.remove(kept)
    return {"success": True}


def chosen(call: Call) -> tuple[bytes, UserData | None]:
    """What a deployment gives its VM: the content, and the registered one if it is from there; raises ApiError."""
    kept, text = call.entity("userdataid", UserData), call.text("userdata")
    if kept is not None and text:
        raise errors.invalid(ONE_ONLY)
    if kept is not None:
        if kept.removed:
            raise errors.unexpected("null", call.caller.is_root)
        return base64.b64decode(kept.content), kept
    return decoded(text) if text else b"", None


def details(call: Call) -> str | None:
    """The values for a registered one's parameters, as a VM shows them; None without any."""
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


COMMANDS = {"registerUserData": register, "listUserData": list_all, "deleteUserData": delete}
