"""How list commands choose among the zone's built-in rows, and which of their fields show."""

from __future__ import annotations

from collections.abc import Iterable

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json

SERVICES = {
    "vpn", "dhcp", "dns", "gateway", "firewall", "lb", "userdata", "sourcenat", "staticnat", "portforwarding",
    "securitygroup", "networkacl", "connectivity",
}  # fmt: skip


def bodies(call: Call, kind: str) -> list[Json]:
    """Return copies of the built-in objects of one kind."""
    return [dict(row.body) for row in call.zone.built_ins[kind]]


def select(call: Call, rows: Iterable[Json], **same: str) -> list[Json]:
    """Return the rows that a list call's filters leave; ``same`` maps a parameter to the field it must equal."""
    fields = {"id": "id", "name": "name", **same}
    kept = [row for row in rows if all(_equals(call, param, row.get(name)) for param, name in fields.items())]
    keyword, ids = (call.text("keyword") or "").lower(), call.items("ids")
    kept = [row for row in kept if not ids or row.get("id") in ids]
    return [row for row in kept if keyword in f"{row.get('name', '')} {row.get('displaytext', '')}".lower()]


def _equals(call: Call, param: str, value: object) -> bool:
    wanted = call.text(param)
    if wanted is None or wanted == "":
        return True
    if isinstance(value, bool):
        return call.flag(param) == value
    return wanted.lower() == str(value).lower()


def without(row: Json, names: Iterable[str]) -> Json:
    hidden = set(names)
    return {name: value for name, value in row.items() if name not in hidden}


def wanted_services(call: Call) -> set[str]:
    """Return the services that the networks, or VPCs, must have; lower case."""
    wanted = {name.lower() for name in call.items("supportedservices")}
    for name in wanted - SERVICES:
        raise errors.invalid(f"Invalid service specified {name}")
    return wanted
