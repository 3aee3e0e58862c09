"""User data registered once, named by deployments, and kept while a VM has it."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import QUICK, Client, Lab, Refused, served
from vrbench.lab.api.state.settings import ZoneSettings

SCRIPT = b"#!/bin/sh\necho hello\n"
CONTENT = base64.b64encode(SCRIPT).decode()
FIELDS = ["id", "name", "account", "domainid", "domain", "domainpath", "userdata", "hasannotations"]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01)) as running:
        yield running


def registered(who: Client, name: str = "setup", content: str = CONTENT, **more: str) -> str:
    made: str = who("registerUserData", name=name, userdata=content, **more)["userdata"]["id"]
    return made


def refusal(who: Client, command: str, **params: object) -> tuple[object, str]:
    with pytest.raises(Refused) as refused:
        who(command, **params)
    return refused.value.code, refused.value.text


def test_registered_and_listed(lab: Lab) -> None:
    """By its owner and by administrators that ask for all; without any, the answer is empty."""
    assert lab.user("listUserData") == {}
    status, answer = lab.user.raw("registerUserData", {"name": "setup", "userdata": CONTENT, "params": "a,b"}, "POST")
    assert (status, list(answer)) == (200, ["registeruserdataresponse"])
    row = answer["registeruserdataresponse"]["userdata"]
    assert sorted(row) == sorted([*FIELDS, "params"])
    assert lab.user("listUserData") == {"count": 1, "userdata": [row]}
    assert lab.root("listUserData") == {}
    assert lab.root("listUserData", listall="true", name="setup")["count"] == 1
    assert lab.domadmin("listUserData", listall="true", name="other") == {}


def test_deployed_by_its_id(lab: Lab) -> None:
    """The VM gets the content, shows where it is from, and keeps it from being deleted until it is expunged."""
    network, kept = lab.network(lab.user)["id"], registered(lab.user, params="who")
    values = {"userdataid": kept, "userdatadetails[0].who": "me"}
    machine = lab.user.finished(lab.deploy(lab.user, network, "a", **values)["jobid"])["jobresult"]["virtualmachine"]
    assert [vm.user_data for vm in lab.ground.machines] == [SCRIPT]
    shown = {name: machine[name] for name in machine if name.startswith("userdata")}
    assert shown == {"userdataid": kept, "userdataname": "setup", "userdatadetails": "{who=me}"}
    [listed] = lab.user.listed("listVirtualMachines", "virtualmachine", userdataid=kept, userdata="true")
    assert (listed["id"], listed["userdata"]) == (machine["id"], CONTENT)
    other = registered(lab.user, "other", "b3RoZXI=")
    assert lab.user("listVirtualMachines", userdataid=other) == {}
    in_use = "Userdata setup cannot be removed as it is being used by some instances"
    assert refusal(lab.root, "deleteUserData", id=kept) == (530, in_use)
    code, text = refusal(lab.user, "deleteUserData", id=kept)
    assert (code, text.partition(",")[0]) == (530, "Internal error executing command")
    lab.root.result("destroyVirtualMachine", id=machine["id"], expunge="true")
    assert lab.user("deleteUserData", id=kept) == {"success": True}
    code, text = refusal(lab.user, "deleteUserData", id=kept)
    assert (code, "does not exist for account tenant in specified domain id" in text) == (431, True)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"name": "setup", "userdata": "b3RoZXI="}, "A userdata with name setup already exists for this account."),
        ({"name": "b", "userdata": CONTENT}, "Userdata setup with same content already exists for this account."),
        ({"name": "b", "userdata": "not base64"}, "User data is not base64 encoded."),
        ({"name": "b", "userdata": "A" * 32772}, "User data has exceeded configurable max length : 32768"),
        ({"name": "b", "userdata": "YQ==", "params": "x,vm-id"}, "Params passed here have a few virtual router"),
        ({"name": "b"}, "Unable to execute API command registeruserdata due to missing parameter userdata"),
        ({"userdata": CONTENT}, "Unable to execute API command registeruserdata due to missing parameter name"),
    ],
)
def test_what_is_refused(lab: Lab, params: dict[str, str], text: str) -> None:
    registered(lab.user)
    status, answer = lab.user.raw("registerUserData", params, "POST")
    body = answer["registeruserdataresponse"]
    assert (status, body["errorcode"]) == (431, 431)
    assert body["errortext"].startswith(text)


def test_only_one_source_for_a_vm(lab: Lab) -> None:
    network, kept = lab.network(lab.user)["id"], registered(lab.user)
    params = lab.machine_params(network, "a") | {"userdataid": kept, "userdata": CONTENT}
    wanted = "Both userdata and userdata ID inputs are not allowed, please provide only one"
    assert refusal(lab.user, "deployVirtualMachine", **params) == (431, wanted)
    code, text = refusal(lab.user, "deployVirtualMachine", **params | {"userdataid": network, "userdata": ""})
    assert (code, "Invalid parameter userdataid" in text) == (431, True)


@pytest.mark.parametrize(
    ("policy", "got"), [("allowoverride", b"own"), ("append", SCRIPT + b"own"), ("denyoverride", None)]
)
def test_linked_to_a_template(lab: Lab, policy: str, got: bytes | None) -> None:
    """Its VMs get that data by default, and their own as the policy says; only the template's owner links."""
    kept, network, template = registered(lab.user), lab.network(lab.user)["id"], lab.built_in()["templateid"]
    wanted = {"templateid": template, "userdataid": kept, "userdatapolicy": policy}
    assert refusal(lab.user, "linkUserDataToTemplate", **wanted)[0] == 530
    linked = lab.root("linkUserDataToTemplate", **wanted)["template"]
    assert (linked["userdataid"], linked["userdatapolicy"]) == (kept, policy.upper())
    lab.user.finished(lab.deploy(lab.user, network, "a")["jobid"])
    own = base64.b64encode(b"own").decode()
    if got is None:
        assert refusal(lab.user, "deployVirtualMachine", **lab.machine_params(network, "b"), userdata=own)[0] == 530
    else:
        lab.user.finished(lab.deploy(lab.user, network, "b", userdata=own)["jobid"])
    assert [vm.user_data for vm in lab.ground.machines] == [SCRIPT, *([got] if got else [])]
    assert refusal(lab.root, "deleteUserData", id=kept)[1].endswith("is linked to active template/templates")
    assert "userdataid" not in lab.root("linkUserDataToTemplate", templateid=template)["template"]
    assert lab.user("deleteUserData", id=kept) == {"success": True}


def test_others_don_t_see_it(lab: Lab) -> None:
    """Names are the account's own, and so are lists."""
    registered(lab.user)
    registered(lab.domadmin)
    assert lab.user("listUserData", listall="true")["count"] == 1
    assert lab.domadmin("listUserData", listall="true")["count"] == 2
