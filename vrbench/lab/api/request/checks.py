"""What the server refuses before it looks at a command's meaning: values that are missing, empty or strange.

Most of it holds for every command. Which words a parameter may have, and which commands forgive what others refuse, is
in data/strange.json, as a 4.20.2 server answered when it was asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vrbench.lab.api.request.call import MAX_PAGE_SIZE, Call
from vrbench.lab.api.request.identifiers import names_such
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.fixtures import load

UNPAGED = -1
MAX_TEXT = 255
LONG_TEXTS = {"userdata": 1 << 20, "publickey": 5120, "params": 1 << 20, "ipaddress": 1 << 20}
UNPRINTABLE = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")  # line ends are none
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
OFFERINGS = ("listDiskOfferings", "listServiceOfferings")
NONE: Mapping[str, Any] = {}


def read(call: Call) -> Call:
    """Return the call with the parameters that its command looks at.

    The server only writes the others to its log. Some it hides from callers who are not root. Of some ids it forgives
    what can't be one at all: that is as good as not sent.
    """
    shape = call.shape
    known = {name: value for name, value in call.params.items() if name.partition("[")[0] in shape.params}
    rows = load("strange.json")["unread"].get(shape.name, NONE)
    hidden = () if call.caller.is_root else rows.get("not root", ())
    lax = {name for name in rows.get("all", ()) if not UUID.fullmatch(known.get(name, ""))}
    lax = {name for name in lax if name in known and known[name] != "-1" and not _names(call, name, known[name])}
    return replace(call, params={name: value for name, value in known.items() if name not in {*lax, *hidden}})


def _names(call: Call, param: str, value: str) -> bool:
    return names_such(call.shape.name, param, call.zone.known(value))


def check(call: Call) -> None:
    """Refuse what the server refuses before it looks at a command's meaning."""
    for param, value in call.params.items():
        if UNPRINTABLE.search(value):
            problem = "Received value containing illegal ASCII non-printable characters for parameter"
            raise errors.malformed(f"{problem} {param}")
    for param, kind in call.shape.params.items():
        if kind.endswith("!"):
            _check_presence(call, param)
        if param in call.params:
            _check_value(call, param, call.params[param])
    _check_paging(call)
    _check_words(call)


def _check_presence(call: Call, param: str) -> None:
    """Refuse a call without a parameter that it needs, or with an empty one."""
    if any(key.startswith(f"{param}[") for key in call.params):
        return
    if param not in call.params:
        raise errors.missing_parameter(call.shape.name, param)
    if not call.params[param]:
        raise errors.empty_value(param)


def _check_paging(call: Call) -> None:
    page, size = (_whole(call, name) for name in ("page", "pagesize"))
    if size not in (None, UNPAGED) and page is None:
        raise errors.malformed('"page" parameter is required when "pagesize" is specified')
    if page is not None and size is None:
        raise errors.malformed('"pagesize" parameter is required when "page" is specified')
    if size is None:
        return
    strange, name = load("strange.json"), call.shape.name
    tolerant = strange["tolerant"]
    code, bad, worse = strange["paging"].get(name, (431, errors.INVALID, errors.RUNTIME))
    if name not in tolerant["too large"]:
        if size > MAX_PAGE_SIZE:
            raise errors.ApiError(code, f"Page size can't exceed max allowed page size value: {MAX_PAGE_SIZE}", bad)
        if size == UNPAGED and page is not None:
            raise errors.ApiError(code, "Can't specify page parameter when pagesize is -1 (Unlimited)", bad)
    if size < UNPAGED and name not in tolerant["negative"]:
        text = f"Unable to find on DB, due to: LIMIT {size}"
        raise errors.ApiError(530, text if call.caller.is_root else errors.HIDDEN, worse)


def _whole(call: Call, name: str) -> int | None:
    """Return a whole number of paging; an empty one is a mistake here, though not in other parameters."""
    if call.params.get(name) == "":
        raise errors.malformed('For input string: ""')
    return call.number(name)


def _check_value(call: Call, param: str, value: str) -> None:
    kind = call.shape.params[param][:1]
    longest = LONG_TEXTS.get(param, MAX_TEXT)
    if kind == "s" and len(value) > longest:
        raise errors.invalid_value(
            call.shape.name, f"Value greater than max allowed length {longest} for param: {param}"
        )
    if kind == "l" and not value:
        raise errors.unreadable_value(call.shape.name, param, value)
    if kind in ("i", "l"):
        call.number(param)
    if kind == "d":
        call.moment(param)
    if kind == "m":
        raise errors.unreadable_value(call.shape.name, param, value)
    if kind == "u" and value != "-1" and not _names(call, param, value):
        raise errors.unknown_entity(call.shape.name, param, value)


def _check_words(call: Call) -> None:
    """Refuse words that the command does not know, and the number by which some servers mean nothing."""
    strange, name = load("strange.json"), call.shape.name
    words, values = strange["enumerations"].get(name, NONE), strange["values"].get(name, NONE)
    for param, value in call.params.items():
        row = values.get(param, NONE).get(value)
        if row is None and param in words and _unknown(words[param]["known"], value):
            row = words[param]["error"]
        if row is None and param == "account" and name in OFFERINGS and "domainid" not in call.params:
            row = (431, errors.INVALID, "AccountName and domainId must be specified together")
        if row is None and param == "domainid" and value == "-1" and "account" in call.shape.params:
            row = (431, errors.INVALID, "Unable to find domain by id {value}")
        if row is not None:
            code, cs_code, text = row
            hidden = code == 530 and not call.caller.is_root
            raise errors.ApiError(code, errors.HIDDEN if hidden else text.replace("{value}", value), cs_code)


def _unknown(known: list[str], value: str) -> bool:
    """Return whether one of the words is none of the known ones, in any case."""
    return any(word.strip().lower() not in known for word in value.split(","))
