"""Registering, listing and deleting templates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import QUICK, Body, Client, Lab, Refused, served
from vrbench.lab.api.state.settings import ZoneSettings

URL = "http://images.example.org/debian-12.vhd.bz2"
DOWNLOAD_S = 3600.0  # nothing is ready before a test turns the clock on


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01, template_download_s=DOWNLOAD_S)) as running:
        yield running


def wanted(lab: Lab, **more: str) -> Body:
    chosen = {"zoneid": lab.built_in()["zoneid"], "ostypeid": lab.root.listed("listOsTypes", "ostype")[0]["id"]}
    fixed = {"name": "debian", "displaytext": "Debian 12", "format": "VHD", "hypervisor": "Simulator", "url": URL}
    return {**chosen, **fixed, **more}


def registered(lab: Lab, who: Client, **more: str) -> Body:
    made: Body = who("registerTemplate", **wanted(lab, **more))["template"][0]
    return made


def names(who: Client, chosen: str, **more: str) -> list[str]:
    return [row["name"] for row in who.listed("listTemplates", "template", templatefilter=chosen, **more)]


def test_registered_template_becomes_ready(lab: Lab) -> None:
    """Listed among one's own at once, among the executable ones when it is there, with its size."""
    before = lab.user("listAccounts")["account"][0]["templatetotal"]
    made = registered(lab, lab.user)
    assert (made["isready"], made["ispublic"], made["account"], made["templatetype"]) == (
        False,
        False,
        "tenant",
        "USER",
    )
    assert "size" not in made
    assert made["status"] == "Processing"
    lab.clock.turn_on(DOWNLOAD_S / 2)
    assert lab.user.listed("listTemplates", "template", templatefilter="self")[0]["status"] == "40% Downloaded"
    assert names(lab.user, "self") == ["debian"]
    assert names(lab.user, "selfexecutable") == []
    assert "debian" not in names(lab.user, "executable")
    lab.clock.turn_on(DOWNLOAD_S / 2)
    ready = lab.user.listed("listTemplates", "template", templatefilter="selfexecutable")[0]
    assert (ready["isready"], ready["status"], ready["size"]) == (True, "Download Complete", 2 << 30)
    assert "debian" in names(lab.user, "executable")
    assert lab.user("listAccounts")["account"][0]["templatetotal"] == before + 1


def test_who_sees_a_private_template(lab: Lab) -> None:
    """Its owner; administrators among all; an administrator that is not the owner sees no less of it."""
    made = registered(lab, lab.user)
    assert names(lab.root, "self") == [] == names(lab.domadmin, "self")
    assert "debian" in names(lab.root, "all", listall="true")
    assert names(lab.domadmin, "self", listall="true") == ["debian"]
    assert "debian" not in names(lab.user, "featured") + names(lab.user, "community")
    with pytest.raises(Refused, match="Filter all can be specified by admin only"):
        lab.user("listTemplates", templatefilter="all")
    assert lab.user("listTemplates", templatefilter="self", id=made["id"])["count"] == 1


def test_deployed_once_it_is_ready(lab: Lab) -> None:
    """Before, the root administrator hears why not; another account's private template is nobody else's."""
    network, made = lab.network(lab.root)["id"], registered(lab, lab.root)
    params = lab.machine_params(network, "a") | {"templateid": made["id"]}
    with pytest.raises(Refused, match="has not been completely downloaded") as refused:
        lab.root("deployVirtualMachine", **params)
    assert refused.value.code == 530
    lab.clock.turn_on(DOWNLOAD_S)
    assert names(lab.root, "selfexecutable") == ["debian"]
    with pytest.raises(Refused) as refused:
        lab.user(
            "deployVirtualMachine", **lab.machine_params(lab.network(lab.user)["id"], "b") | {"templateid": made["id"]}
        )
    assert refused.value.code == 531
    machine = lab.root.finished(lab.root("deployVirtualMachine", **params)["jobid"])["jobresult"]["virtualmachine"]
    assert (machine["templatename"], machine["templateid"]) == ("debian", made["id"])
    failed = lab.root.job("deleteTemplate", id=made["id"])
    assert (failed["jobstatus"], failed["jobresultcode"], failed["jobinstancetype"]) == (2, 431, "Template")
    assert lab.root.result("deleteTemplate", id=made["id"], forced="true") == {"success": True}
    assert names(lab.root, "self") == []


def test_only_its_owner_deletes_it(lab: Lab) -> None:
    """The job refuses others, and the owner the second time; the built-in one is the root administrator's."""
    theirs, built_in = registered(lab, lab.domadmin)["id"], lab.built_in()["templateid"]
    assert [lab.user.job("deleteTemplate", id=one)["jobresultcode"] for one in (theirs, built_in)] == [530, 530]
    assert lab.domadmin.result("deleteTemplate", id=theirs) == {"success": True}
    assert lab.domadmin.job("deleteTemplate", id=theirs)["jobresultcode"] == 431


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        ({"zoneid": ""}, 431, "Unable to execute API command registertemplate due to invalid value. Invalid parameter"),
        ({"zoneid": "-1"}, 431, "Template registered for 'All zones' can only be owned a Root Admin account."),
        (
            {"ostypeid": ""},
            431,
            "Unable to execute API command registertemplate due to invalid value. Invalid parameter",
        ),
        ({"format": "FLOPPY"}, 431, "Image format: FLOPPY is incorrect. Supported formats are"),
        ({"hypervisor": "Abacus"}, 431, "Hypervisor Type: Abacus is invalid. Supported Hypervisor types are:"),
        ({"url": "ftp://images.example.org/a.vhd"}, 431, "Unsupported scheme for url"),
        ({"url": "http://images.example.org:81/a.vhd"}, 431, "Only ports 80, 8080 and 443 are allowed"),
        ({"url": "http://127.0.0.1/a.vhd"}, 431, "Illegal host specified in url"),
        ({"url": "http://images.example.org/a.qcow2"}, 431, "Please specify a valid URL. URL:/a.qcow2 is an invalid"),
        ({"url": "http://images.invalid/a.vhd"}, 431, "Unable to resolve images.invalid"),
        ({"url": ""}, 431, "Invalid value provided for API arg: url"),
        ({"templatetag": "x"}, 531, "Parameter templatetag can only be specified by a Root Admin, permission denied"),
        ({"directdownload": "true"}, 431, "Parameter directdownload is only allowed for KVM"),
    ],
)
def test_what_is_refused(lab: Lab, changed: dict[str, str], code: int, text: str) -> None:
    with pytest.raises(Refused) as refused:
        lab.user("registerTemplate", **wanted(lab, **changed))
    assert refused.value.code == code
    assert refused.value.text.startswith(text)


def test_limit_on_templates(lab: Lab) -> None:
    lab.root(
        "updateResourceLimit",
        resourcetype=4,
        max=1,
        account="tenant",
        domainid=lab.user("listUsers")["user"][0]["domainid"],
    )
    registered(lab, lab.user)
    with pytest.raises(Refused, match="Type = 'template'") as refused:
        registered(lab, lab.user, name="second")
    assert refused.value.code == 535
