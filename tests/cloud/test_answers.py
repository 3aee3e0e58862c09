"""An answer is only an answer of the call: whatever real servers sent is read, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vrbench.cloud.api.answers import (
    NO_REASON,
    NotAnAnswer,
    Page,
    Received,
    Refused,
    accepted,
    job_result,
    made,
    page_of,
    unwrapped,
)

RECORDED = Path(__file__).parent.parent / "lab" / "recorded"
NETWORK = {"id": "n", "name": "net", "state": "Implemented", "account": "a", "domainid": "d"}


def received(document: object, status: int = 200) -> Received:
    return Received(status, {}, json.dumps(document).encode())


def exchanges() -> Iterator[dict[str, Any]]:
    """Every recorded exchange of a real server that a signed JSON call made."""
    for path in sorted(RECORDED.glob("*.json")):
        for exchange in json.loads(path.read_text()):
            if " " not in exchange["command"]:
                yield exchange


def read(command: str, answer: dict[str, Any]) -> object:
    """Read an answer as the facade does for the kind of command that it is."""
    if command == "queryAsyncJobResult":
        kind = answer.get("cmd", "").rpartition(".")[2].removesuffix("ByAdmin").removesuffix("Cmd")
        made_by = {"DeployVM": "deployVirtualMachine", "AssociateIPAddr": "associateIpAddress"}
        return job_result(made_by.get(kind, "restartNetwork"), answer)
    if "jobid" in answer:
        return accepted(answer)
    name = next((name for name in answer if name != "count"), "")
    return page_of(name, {}, made(command, answer)) if "count" in answer else made(command, answer)


def test_all_that_a_real_server_said_is_an_answer() -> None:
    """Each recorded exchange is unwrapped to its content or its refusal, and every shape is accepted."""
    refused = counted = jobs = 0
    for exchange in exchanges():
        (content,) = exchange["body"].values()
        answer = unwrapped(exchange["command"], received(exchange["body"], exchange["status"]))
        if isinstance(answer, Refused):
            assert (answer.code, answer.text) == (exchange["status"], content["errortext"])
            refused += 1
            continue
        assert answer == content
        what = read(exchange["command"], answer)
        counted += isinstance(what, Page)
        jobs += exchange["command"] == "queryAsyncJobResult"
    assert min(refused, counted, jobs) > 50


@pytest.mark.parametrize(
    ("document", "status", "reason"),
    [
        ({"error": {"code": 503}}, 200, "it is not called listnetworksresponse"),
        ({"listzonesresponse": {}}, 200, "it is not called listnetworksresponse"),
        ({"errorresponse": {"errorcode": 530, "errortext": "x"}}, 200, "it is not called listnetworksresponse"),
        ({"listnetworksresponse": []}, 200, "JSON of another shape"),
        ({"listnetworksresponse": None}, 200, "JSON of another shape"),
        ({"listnetworksresponse": {}, "more": {}}, 200, "JSON of another shape"),
        ([{"listnetworksresponse": {}}], 200, "JSON of another shape"),
        ({}, 200, "JSON of another shape"),
        (None, 200, "JSON of another shape"),
        ({"listnetworksresponse": {"errorcode": 530, "errortext": "x"}}, 200, "an error that is sent as a success"),
        ({"listnetworksresponse": {}}, 204, "neither listnetworksresponse nor an error of it"),
        ({"error": {"code": 503}}, 503, "neither listnetworksresponse nor an error of it"),
        ({"listnetworksresponse": {}}, 503, "an error without the reason that belongs to it"),
        ({"errorresponse": {"errorcode": 431, "errortext": "x"}}, 530, "an error without the reason that belongs to"),
        ({"errorresponse": {"errorcode": 530, "errortext": ["x"]}}, 530, "an error without the reason that belongs"),
        ({"errorresponse": {"errorcode": "530", "errortext": "x"}}, 530, "an error without the reason that belongs"),
    ],
)
def test_what_is_not_wrapped_as_this_calls_answer_is_none(document: object, status: int, reason: str) -> None:
    """A proxy's JSON, another call's answer and half an error are told apart from "there is nothing"."""
    with pytest.raises(NotAnAnswer, match=f"^{reason}"):
        unwrapped("listNetworks", received(document, status))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the answer is empty"),
        (b" \r\n", "the answer is empty"),
        (b"<html></html>", "the answer is no JSON"),
        (b'{"listnetworksresponse": {"count": 1, "netw', "the answer is no JSON"),
        (b'{"listnetworksresponse": {"x": NaN}}', "the answer is no JSON"),
        (b'{"listnetworksresponse": {"x": -Infinity}}', "the answer is no JSON"),
        (b'{"listnetworksresponse": {"x": "\xff"}}', "the answer is no JSON"),
        (b'{"listnetworksresponse": {"x": "\\ud800"}}', "the answer is no JSON"),
        (b'{"listnetworksresponse": {"x": ' + b"9" * 5000 + b"}}", "the answer is no JSON"),
        (b'{"listnetworksresponse": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "JSON that is nested too deep"),
        ('{"listnetworksresponse": {}}'.encode("utf-16"), "the answer is no JSON"),
    ],
)
def test_a_body_that_no_server_writes_is_no_answer(body: bytes, reason: str) -> None:
    """Python would read some of these, and fail on their values later, elsewhere and without the call's name."""
    with pytest.raises(NotAnAnswer, match=f"^{reason}$"):
        unwrapped("listNetworks", Received(200, {}, body))


def test_what_a_real_server_writes_oddly_is_an_answer() -> None:
    """Control characters of a router's program are raw in it; a null text is left out."""
    odd = b'{"queryasyncjobresultresponse": {"jobresult": {"errortext": "\x1b[31mno\x1b[0m"}}}'
    assert unwrapped("queryAsyncJobResult", Received(200, {}, odd)) == {"jobresult": {"errortext": "\x1b[31mno\x1b[0m"}}
    textless = b'{"listnetworksresponse": {"uuidList": [], "errorcode": 530, "cserrorcode": 9999}}'
    assert unwrapped("listNetworks", Received(530, {}, textless)) == Refused(530, NO_REASON)


def test_a_whole_pair_of_surrogates_is_a_character() -> None:
    answer = unwrapped("listNetworks", Received(200, {}, b'{"listnetworksresponse": {"x": "\\ud83d\\ude00"}}'))
    assert answer == {"x": "\N{GRINNING FACE}"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"count": 1, "network": NETWORK}, "it is no list of network"),
        ({"count": 1, "networks": [NETWORK]}, "it is no list of network"),
        ({"count": "1", "network": [NETWORK]}, "its count is no number"),
        ({"count": None, "network": [NETWORK]}, "its count is no number"),
        ({"count": True, "network": [NETWORK]}, "its count is no number"),
        ({"count": -1, "network": [NETWORK]}, "its count is no number"),
        ({"count": 10**30, "network": [NETWORK]}, "its count is no number"),
        ({"network": [NETWORK]}, "a list of network without its count"),
        ({"count": 3}, "it counts network and shows none"),
        ({"count": 3, "network": []}, "it counts network and shows none"),
        ({"count": 1, "network": [[NETWORK]]}, "its network is no object"),
        ({"count": 1, "network": ["n"]}, "its network is no object"),
        ({"count": 1, "network": [{**NETWORK, "id": 7}]}, "the id of its network is not what it should be"),
        ({"count": 1, "network": [{**NETWORK, "id": "a,b"}]}, "the id of its network is not what it should be"),
        ({"count": 1, "network": [{**NETWORK, "id": "a\x1b[2J"}]}, "the id of its network is not what it should be"),
        ({"count": 1, "network": [{**NETWORK, "name": ["n"]}]}, "the name of its network is not what it should be"),
        ({"count": 1, "network": [{**NETWORK, "name": "n" * 20_000}]}, "the name of its network is not what it should"),
        ({"count": 1, "network": [{"id": "n", "name": "net"}]}, "it shows no state of its network"),
        ({"count": 1, "network": [{**NETWORK, "account": None}]}, "it shows no owner of its network"),
        ({"count": 1, "network": [{**NETWORK, "domainid": ""}]}, "it shows no owner of its network"),
        ({"count": 1, "network": [{**NETWORK, "id": ""}]}, "it shows no id of its network"),
        ({"count": 1, "network": [{**NETWORK, "id": None}]}, "it shows no id of its network"),
        ({"count": 1, "network": [{**NETWORK, "id": "m"}]}, "its network has another id than was asked for"),
    ],
)
def test_a_list_of_another_shape_is_none(answer: dict[str, Any], reason: str) -> None:
    """Each is told by what is wrong with it; none is taken for a list that shows nothing."""
    with pytest.raises(NotAnAnswer, match=f"^{reason}"):
        page_of("network", {"id": "n"}, answer)


def test_a_network_of_a_domain_or_a_project_has_no_account() -> None:
    """So have addresses that are free."""
    nobodys = {"id": "n", "name": "net", "state": "Free", "ipaddress": "192.0.2.1"}
    for owner in ({"acltype": "Domain"}, {"acltype": "Account", "projectid": "p", "domainid": "d"}):
        assert page_of("network", {}, {"count": 1, "network": [{**nobodys, **owner}]}).count == 1
    assert page_of("publicipaddress", {}, {"count": 1, "publicipaddress": [nobodys]}).count == 1
    with pytest.raises(NotAnAnswer, match="no owner of its publicipaddress"):
        page_of("publicipaddress", {}, {"count": 1, "publicipaddress": [{**nobodys, "associatednetworkid": "n"}]})


def test_an_empty_list_is_an_answer() -> None:
    """With or without a count, and beyond the last page with the count of all."""
    for empty in ({}, {"count": 0}, {"count": 0, "network": []}):
        assert page_of("network", {"id": "n"}, empty) == Page([], 0)
    assert page_of("network", {"page": 2}, {"count": 5}) == Page([], 5)


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("publicipaddress", {"ipaddress": "router.example"}, "the ipaddress of its publicipaddress"),
        ("publicipaddress", {"issourcenat": "false"}, "the issourcenat of its publicipaddress"),
        ("networkoffering", {"service": {"name": "Dhcp"}}, "the service of its networkoffering"),
        ("networkoffering", {"service": None}, "the service of its networkoffering"),
        ("networkoffering", {"service": ["Dhcp"]}, "its service is no object"),
        ("networkoffering", {"service": [{"provider": [7]}]}, "its provider is no object"),
        ("networkoffering", {"service": [{"capability": [{"name": {}}]}]}, "the name of its capability"),
        ("serviceoffering", {"memory": "512"}, "the memory of its serviceoffering"),
        ("serviceoffering", {"memory": 1e3}, "the memory of its serviceoffering"),
        ("template", {"size": 2**70}, "the size of its template"),
        ("account", {"vmavailable": [1]}, "the vmavailable of its account"),
        ("account", {"user": [{"apikey": 1}]}, "the apikey of its user"),
        ("router", {"isredundantrouter": 1}, "the isredundantrouter of its router"),
    ],
)
def test_every_field_that_is_read_is_checked(name: str, row: dict[str, Any], reason: str) -> None:
    """Numbers, flags, addresses and rows within rows: each of its kind, or no answer."""
    sound = {"id": "i", "name": "n", "state": "s", "ipaddress": "192.0.2.1", "domainid": "d"}
    assert page_of(name, {}, {"count": 1, name: [sound]}).count == 1
    with pytest.raises(NotAnAnswer, match=f"^{reason}"):
        page_of(name, {}, {"count": 1, name: [{**sound, **row}]})


OFFERED = {"tags": "ssd,fast", "domainid": "8a1f,9b2e", "zoneid": "1c3d,4e5f"}


@pytest.mark.parametrize(
    ("name", "more"), [("networkoffering", OFFERED), ("serviceoffering", OFFERED), ("zone", {"provider": "NSX"})]
)
def test_a_name_of_rows_may_be_a_text_where_nobody_reads_it(name: str, more: dict[str, Any]) -> None:
    """An offering's tags are those of storage or networks, and its domains several ids; a zone may have a provider."""
    row = {"id": "i", "name": "n", **more}
    assert page_of(name, {}, {"count": 1, name: [row]}).rows == [row]


def test_what_is_made_must_be_shown() -> None:
    """A network that was made and not shown, or a VM without its state, is no success."""
    assert made("createNetwork", {"network": NETWORK}) == {"network": NETWORK}
    for answer in ({}, {"network": [NETWORK]}, {"network": {"id": "n"}}, {"networks": NETWORK}):
        with pytest.raises(NotAnAnswer, match="network"):
            made("createNetwork", answer)
    with pytest.raises(NotAnAnswer, match="it shows no state of its virtualmachine"):
        job_result("deployVirtualMachine", {"jobstatus": 1, "jobresult": {"virtualmachine": {"id": "v", "name": "n"}}})
    with pytest.raises(NotAnAnswer, match="it shows no virtualmachine"):
        job_result("deployVirtualMachine", {"jobstatus": 1, "jobresult": {}})
    with pytest.raises(NotAnAnswer, match="the success of its answer"):
        made("enableStaticNat", {"success": [1]})


@pytest.mark.parametrize("status", [4, -1, "1", True, 1.0, [1], None])
def test_a_job_has_one_of_four_states(status: object) -> None:
    """A state that there is none of is no news of the job."""
    with pytest.raises(NotAnAnswer, match="jobstatus"):
        job_result("restartNetwork", {"jobid": "j", "jobstatus": status})


@pytest.mark.parametrize(
    ("result", "refusal"),
    [
        ({"errorcode": 530, "errortext": "no"}, Refused(530, "no")),
        ({"errorcode": "x", "errortext": {"a": 1}}, Refused(7, "the server gave no reason")),
        ("no", Refused(7, "the server gave no reason")),
        (None, Refused(7, "the server gave no reason")),
    ],
)
def test_a_failed_job_has_failed_whatever_its_words(result: object, refusal: Refused) -> None:
    for failed_or_cancelled in (2, 3):
        answer = {"jobstatus": failed_or_cancelled, "jobresultcode": 7, "jobresult": result}
        assert job_result("x", answer) == refusal


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "the answer names no job"),
        ({"jobid": 7}, "the jobid of its job"),
        ({"jobid": "j", "id": {"a": 1}}, "the id of its job"),
    ],
)
def test_a_submission_names_its_job(answer: dict[str, Any], reason: str) -> None:
    assert accepted({"jobid": "j", "id": "i"}) == ("j", "i")
    assert accepted({"jobid": "j"}) == ("j", None)
    with pytest.raises(NotAnAnswer, match=f"^{reason}"):
        accepted(answer)
