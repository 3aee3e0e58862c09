"""What counts as an answer of CloudStack's API: the one place that knows wrappers, and the shape of what is read.

An answer of listNetworks is HTTP 200 with ``{"listnetworksresponse": {"count": 1, "network": [{…}]}}``; an empty list
is ``{}`` inside. A refusal has its code as HTTP status, too. Whatever else comes is nobody's answer: a proxy's words,
half a document, another call's. It must never be read as "there is no such network". Pure: bytes in, values out.

Every field that vrbench reads stands in ``_KINDS``: in CloudStack, a name means the same in all objects, but for what
``_ROWS`` and ``_UNREAD`` say. A field that an object may lack is checked where it is there; ``_ALWAYS`` are those that
every server sends.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

Answer = dict[str, Any]  # what the API gives: JSON with the outer wrapper taken off

NO_REASON: Final = "the server gave no reason"  # a null text is left out, as of a NullPointerException
_PENDING, _SUCCEEDED, _FAILED, _CANCELLED = 0, 1, 2, 3
_MOST_TEXT: Final = 16_384  # characters of one text; the longest that a real server sends has some 1,500
_MOST_NUMBER: Final = 1 << 63
_CALLED_OTHERWISE: Final = MappingProxyType(  # the second is the server's own misspelling
    {"configureSimulator": "simulatormock", "activateProject": "activaterojectresponse"}
)
_ID = re.compile(r"[!-+\--~]{1,255}")  # printable ASCII without a comma: that joins ids
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class NotAnAnswer(Exception):
    """What came is no answer of the call; says in a few words what is wrong with it, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a server sent back, whatever it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The server understood the call and said no."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one page, and how many there are on all pages."""

    rows: list[Answer]
    count: int


def unwrapped(command: str, received: Received) -> Answer | Refused:
    """Return what the server answered to the command. Raises NotAnAnswer."""
    wrapper, content = _only_entry(_document(received.body))
    expected = _CALLED_OTHERWISE.get(command, f"{command.lower()}response")
    if received.status == 200 and wrapper == expected:
        if "errorcode" in content:
            raise NotAnAnswer("an error that is sent as a success")
        return content
    if received.status == 200:
        raise NotAnAnswer(f"it is not called {expected}")
    if received.status < 400 or wrapper not in (expected, "errorresponse"):
        raise NotAnAnswer(f"neither {expected} nor an error of it")
    code, text = content.get("errorcode"), content.get("errortext")
    if code != received.status or isinstance(code, bool) or not isinstance(text, str | None):
        raise NotAnAnswer("an error without the reason that belongs to it")
    return Refused(code, text or NO_REASON)


def made(command: str, answer: Answer) -> Answer:
    """Return the answer once the object that the command makes or shows at once is in it. Raises NotAnAnswer."""
    return _showing(_SHOWN_AT_ONCE.get(command), answer)


def page_of(name: str, params: Mapping[str, object], answer: Answer) -> Page:
    """Return a page of a list; an empty list is an empty answer. Raises NotAnAnswer, also for rows nobody asked for."""
    rows, count = answer.get(name, []), answer.get("count", 0)
    if set(answer) - {"count", name} or not isinstance(rows, list):
        raise NotAnAnswer(f"it is no list of {name}")
    if not _is_number(count) or count < 0:
        raise NotAnAnswer("its count is no number")
    if rows and "count" not in answer:
        raise NotAnAnswer(f"a list of {name} without its count")
    if count and not rows and params.get("page", 1) == 1:  # a page beyond the end is empty, and counts all the same
        raise NotAnAnswer(f"it counts {name} and shows none")
    for row in rows:
        _check(name, row)
        if params.get("id") is not None and row.get("id") != params["id"]:
            raise NotAnAnswer(f"its {name} has another id than was asked for")
    return Page(rows, count)


def accepted(answer: Answer) -> tuple[str, str | None]:
    """Return the id of the job that the server accepted, and of the object that it makes. Raises NotAnAnswer."""
    if answer.get("jobid") is None:
        raise NotAnAnswer("the answer names no job")
    _check("job", answer)
    return answer["jobid"], answer.get("id")


def job_result(command: str, answer: Answer) -> Answer | Refused | None:
    """Return what the command's job gave, None while it is under way; ``answer`` is what is said of the job.

    Raises NotAnAnswer, also for the result of something else.
    """
    status, result = answer.get("jobstatus"), answer.get("jobresult")
    if not _is_number(status) or status not in (_PENDING, _SUCCEEDED, _FAILED, _CANCELLED):
        raise NotAnAnswer("the answer has no jobstatus" if status is None else "its jobstatus is none that there is")
    if status == _PENDING:
        return None
    if status in (_FAILED, _CANCELLED):
        return _failure(answer, result if isinstance(result, dict) else {})
    if not isinstance(result, dict | None):
        raise NotAnAnswer("its jobresult is no object")
    return _showing(_SHOWN_BY_JOB.get(command), result or {})


def _failure(answer: Answer, result: Answer) -> Refused:
    codes = (result.get("errorcode"), answer.get("jobresultcode"))
    code = next((code for code in codes if _is_number(code) and code), 0)
    text = result.get("errortext")
    return Refused(code, text if isinstance(text, str) and text else NO_REASON)


def _document(body: bytes) -> object:
    """Return the JSON document. Raises NotAnAnswer, also for what Python would read and no CloudStack writes."""
    try:
        text = body.decode()
        # The server writes some control characters raw: an error of a router's own programs may hold colours.
        document: object = json.loads(text, parse_constant=_no_number, strict=False)
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()  # half a pair can be neither printed nor stored
    except RecursionError:
        raise NotAnAnswer("JSON that is nested too deep") from None
    except ValueError:
        raise NotAnAnswer("the answer is no JSON" if body.strip() else "the answer is empty") from None
    return document


def _no_number(word: str) -> object:
    raise ValueError(word)


def _only_entry(document: object) -> tuple[str, Answer]:
    """Take the wrapper off: an object of one entry, which is an object."""
    if isinstance(document, dict) and len(document) == 1:
        ((wrapper, content),) = document.items()
        if isinstance(content, dict):
            return wrapper, content
    raise NotAnAnswer("JSON of another shape")


# -- the fields that vrbench reads


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST_NUMBER


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_success(value: object) -> bool:
    return isinstance(value, bool) or value in ("true", "false")


def _is_amount(value: object) -> bool:
    return _is_number(value) or _is_text(value)  # limits are numbers written as text, or "Unlimited"


def _is_address(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _are_rows(value: object) -> bool:
    return isinstance(value, list)  # each is checked by what stands in it


def _named(is_one: Callable[[object], bool], names: str) -> Iterable[tuple[str, Callable[[object], bool]]]:
    return ((name, is_one) for name in names.split())


_KINDS: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        **dict(_named(_is_id, "id jobid domainid associatednetworkid networkid projectid")),
        **dict(_named(_is_address, "ipaddress gateway dns1 dns2")),
        **dict(
            _named(
                _is_flag,
                "allowuserexpungerecovervm securitygroupsenabled localstorageenabled forvpc specifyvlan isdefault",
            )
        ),
        **dict(_named(_is_flag, "egressdefaultpolicy iscustomized isfeatured isready issourcenat isredundantrouter")),
        **dict(
            _named(_is_number, "memory cpunumber cpuspeed rootdisksize size capacitytotal capacityused accounttype")
        ),
        **dict(_named(_is_amount, "vmavailable volumeavailable ipavailable networkavailable cpuavailable")),
        **dict(_named(_is_amount, "memoryavailable primarystorageavailable")),
        **dict(_named(_is_text, "name state status account roletype apikey networktype zoneid hypervisor cidr value")),
        **dict(_named(_is_text, "guestiptype redundantstate cloudstackversion displaytext key description ostypename")),
        **dict(
            _named(_is_text, "softwareversion scriptsversion allocationstate path domain domainpath storagetype type")
        ),
        **dict(_named(_are_rows, "user nic service provider capability tags params")),
        **dict(_named(_is_success, "success")),
    }
)
_ALWAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "account": ("name", "domainid"),
        "api": ("name",),
        "zone": ("id", "name"),
        "project": ("id", "name", "state"),
        "domain": ("id", "name", "path"),
        "networkoffering": ("id", "name"),
        "serviceoffering": ("id", "name"),
        "template": ("id", "name"),
        "hypervisor": ("name",),
        "network": ("id", "name", "state"),
        "virtualmachine": ("id", "name", "state"),
        "router": ("id", "name", "state"),
        "publicipaddress": ("id", "ipaddress", "state"),
        "ipaddress": ("id", "ipaddress"),
        "sshkeypair": ("name",),
        "firewallrule": ("id", "state"),
        "portforwardingrule": ("id", "state"),
    }
)
# Where rows within rows are read. Elsewhere such a name may be a text: an offering's tags, a zone's provider.
_ROWS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "account": ("user",),
        "api": ("params",),
        "networkoffering": ("service",),
        "service": ("provider", "capability"),
        "virtualmachine": ("nic", "tags"),
        "network": ("tags",),
        "sshkeypair": ("tags",),
    }
)
# Fields that mean something else here: an offering's domains are several ids in one, a capacity's type is a number.
_UNREAD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"capacity": ("type",), "networkoffering": ("domainid",), "serviceoffering": ("domainid",), "alert": ("type",)}
)
# What the answer of a call must show. "capability" is one object here, and rows in an offering.
_SHOWN_AT_ONCE: Mapping[str, str] = MappingProxyType(
    {
        "listCapabilities": "capability",
        "registerSSHKeyPair": "keypair",
        "createNetwork": "network",
        "createNetworkOffering": "networkoffering",
    }
)
_SHOWN_BY_JOB: Mapping[str, str] = MappingProxyType(
    {"deployVirtualMachine": "virtualmachine", "associateIpAddress": "ipaddress"}
)


def _showing(shown: str | None, answer: Answer) -> Answer:
    """Return the answer, checked with the object of this name in it; without a name, it only says how it went."""
    _check("answer", {name: answer[name] for name in ("success", "displaytext") if name in answer})
    if shown:
        if answer.get(shown) is None:
            raise NotAnAnswer(f"it shows no {shown}")
        _check(shown, answer[shown])
    return answer


def _check(what: str, row: object) -> None:
    """Raise NotAnAnswer unless all that vrbench reads of this object is of its kind."""
    if not isinstance(row, dict):
        raise NotAnAnswer(f"its {what} is no object")
    for name in _ALWAYS.get(what, ()):
        if row.get(name) in (None, ""):
            raise NotAnAnswer(f"it shows no {name} of its {what}")
    if _is_owned(what, row) and not (row.get("domainid") and (row.get("account") or row.get("projectid"))):
        raise NotAnAnswer(f"it shows no owner of its {what}")
    for name, value in row.items():
        is_one = None if name in _UNREAD.get(what, ()) else _KINDS.get(name)
        if is_one is _are_rows and name not in _ROWS.get(what, ()):
            continue
        if is_one is None or (value in (None, "") and is_one is not _are_rows):
            continue
        if not is_one(value):
            raise NotAnAnswer(f"the {name} of its {what} is not what it should be")
        if is_one is _are_rows:
            for inner in value:
                _check(name, inner)


def _is_owned(what: str, row: Answer) -> bool:
    """Return whether the object always says whose it is: a removal leaves alone what is not its account's."""
    if what == "network":
        return bool(row.get("acltype", "Account") == "Account")  # others belong to a domain
    if what == "publicipaddress":
        return bool(row.get("associatednetworkid"))
    return what in ("virtualmachine", "sshkeypair")
