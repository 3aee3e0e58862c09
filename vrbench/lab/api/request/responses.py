"""How answers are worded: wrappers, JSON and XML, times."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from vrbench.lab.api.state.entities import Account, Json


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def stamp(seconds: float) -> str:
    """Return a time as the API shows it: whole seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(seconds))


def owner_fields(account: Account) -> Json:
    return {**owner_name(account), **domain_fields(account), "domainpath": account.domain.path}


def owner_name(account: Account) -> Json:
    """Return whose it is: a project's things show no account."""
    if account.project is not None:
        return {"projectid": account.project.uuid, "project": account.project.name}
    return {"account": account.name}


def domain_fields(account: Account) -> Json:
    return {"domainid": account.domain.uuid, "domain": account.domain.name}


def encode(status: int, wrapper: str, body: Mapping[str, Any], as_json: bool, version: str = "4.20.2.0") -> Reply:
    """Return the answer's bytes in the format asked for. XML, the server's default, names its ``version``."""
    if as_json:
        text = json.dumps({wrapper: body}, separators=(",", ":"), ensure_ascii=False)
        return Reply(status, "application/json; charset=UTF-8", text.encode())
    # An error's uuidList is empty and therefore leaves no trace in XML.
    inner = "".join(_xml(name, value) for name, value in body.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?><{wrapper} cloud-stack-version="{version}">{inner}</{wrapper}>'
    return Reply(status, "text/xml; charset=UTF-8", text.encode())


def _xml(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_xml(name, item) for item in value)
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(_xml(key, item) for key, item in value.items())}</{name}>"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(text)}</{name}>"
