"""A profile from what a cloud offers: for every caller and version, asked or not, and nothing is made there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cloud.lab import FAST, Lab, running_lab
from vrbench.cli.exits import Exit
from vrbench.cli.init import Asker, _let_in
from vrbench.cli.main import cli
from vrbench.cli.profiles import open_profile
from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.check.survey import Offer, Question, Survey
from vrbench.cloud.errors import PreflightError
from vrbench.core.plan.fill import Filled
from vrbench.core.plan.tables import SERVER_VERSIONS, Profile
from vrbench.probes.ping_check import Reached

ROLES = ("root", "domadmin", "user")


@pytest.fixture(scope="module", params=SERVER_VERSIONS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with running_lab(replace(FAST, server_version=request.param)) as running:
        yield running


@pytest.fixture
def newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.chdir(tmp_path)
    with running_lab() as running:
        sign_in(monkeypatch, running, "root")
        yield running


def sign_in(monkeypatch: pytest.MonkeyPatch, lab: Lab, role: str) -> None:
    caller = lab.server.callers()[role]
    for name, value in (("ENDPOINT", lab.endpoint), ("KEY", caller.apikey), ("SECRET", caller.secretkey)):
        monkeypatch.setenv(f"CLOUDSTACK_{name}", value)


def init(*words: str) -> Result:
    return CliRunner().invoke(cli, ["init", *words], standalone_mode=False)


def written(*words: str) -> Profile:
    done = init(*words)
    assert done.exception is None, done.output
    assert done.return_value == Exit.OK, done.output
    return open_profile("mine.toml", ())


def offered(cloud: Cloud, ask: Callable[[Survey, Answer], Question]) -> Question:
    """Return what the lab's zone offers."""
    survey = Survey(cloud)
    return ask(survey, survey.zone("Sandbox-simulator"))


@pytest.mark.parametrize("role", ROLES)
def test_each_caller_of_each_version_gets_a_profile(
    lab: Lab, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no edit, names what the cloud has, and holds no credential."""
    monkeypatch.chdir(tmp_path)
    sign_in(monkeypatch, lab, role)
    cloud = written("--yes").cloud
    assert cloud.zone == lab.rows("listZones", "zone")[0]["name"]
    assert cloud.network_offering == "DefaultIsolatedNetworkOfferingWithSourceNatService"
    assert cloud.template
    caller, text = lab.server.callers()[role], Path("mine.toml").read_text()
    assert caller.apikey not in text
    assert caller.secretkey not in text
    assert lab.objects() == []


def test_who_may_not_expunge_is_told(newest: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, newest, "user")
    done = init("--yes")
    assert "slow removal      yes  (this account may not expunge" in done.output
    assert open_profile("mine.toml", ()).environment.accept_slow_removal


def test_it_says_whom_the_firewall_will_let_in(newest: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine, by the address that it has now; the profile finds it anew at each run."""
    monkeypatch.setattr("vrbench.cloud.check.own_address.own_address", lambda _: OWN)
    assert written("--yes").environment.source_cidr == "auto"
    assert f"this machine alone, now {OWN}" in Path("mine.toml").read_text()
    assert newest.objects() == []


@pytest.fixture
def behind_nat(newest: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Have this machine's own address be one that the cloud does not see."""
    monkeypatch.setattr("vrbench.cloud.check.own_address.own_address", lambda _: "10.0.0.7")
    monkeypatch.setattr("vrbench.cloud.check.own_address.is_translated", lambda *_: True)
    return newest


@pytest.mark.usefixtures("behind_nat")
def test_behind_nat_nobody_is_let_in_unasked() -> None:
    """The profile says what has to be changed, and the exit code that a run would be refused."""
    done = init("--yes")
    assert (done.exception, done.return_value) == (None, Exit.FAILED)
    assert open_profile("mine.toml", ()).environment.source_cidr == "auto"
    assert "CHANGE: the cloud does not see this machine as 10.0.0.7" in Path("mine.toml").read_text()


def test_behind_nat_the_operator_is_asked(behind_nat: Lab) -> None:
    """Until it is an address; what is named by --set is not asked for."""
    asker = Asker(asks=True, decided={})
    with CliRunner().isolation(input="no address\n198.51.100.7\n"):
        _let_in(behind_nat.cloud(), "203.0.113.9", "10.0.0.7", asker)
    assert asker.filled["environment.source_cidr"].value == "198.51.100.7/32"
    decided = {"environment.source_cidr": Filled("198.51.100.8/32")}
    named = Asker(asks=True, decided=decided)
    _let_in(behind_nat.cloud(), "203.0.113.9", "10.0.0.7", named)
    assert named.filled == decided


DNS, GATEWAY, OWN = "10.147.28.6", "127.44.0.1", "192.0.2.9"


@pytest.mark.usefixtures("newest")
@pytest.mark.parametrize(
    ("up", "egress", "control"),
    [
        ((DNS, OWN, GATEWAY), DNS, GATEWAY),
        ((OWN, GATEWAY), OWN, GATEWAY),
        ((DNS, OWN), DNS, ""),
        ((GATEWAY,), GATEWAY, ""),
        ((), "192.0.2.1", ""),
    ],
)
def test_targets_are_addresses_that_answer(
    up: tuple[str, ...], egress: str, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver, this machine or the gateway; the control is never what the VMs ping."""
    monkeypatch.setattr("vrbench.cloud.check.own_address.own_address", lambda _: OWN)
    monkeypatch.setattr(
        "vrbench.probes.ping_check.reach", lambda asked, _: Reached(tuple(a for a in asked if a in up), ())
    )
    probes = written("--yes").probes
    assert (probes.egress_target, probes.control_target) == (egress, control)


@pytest.mark.usefixtures("newest")
def test_what_is_decided_is_not_looked_for() -> None:
    profile = written("--set", "environment.vms=2", "--set", "probes.egress_target=203.0.113.9")
    assert (profile.environment.vms, profile.probes.egress_target) == (2, "203.0.113.9")


@pytest.mark.usefixtures("newest")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--set", "nonsense"), Exit.USAGE),
        (("--set", "probes.interval=soon"), Exit.USAGE),
        (("--set", "cloud.zone=elsewhere"), Exit.FAILED),
        (("--set", "cloud.template=none"), Exit.FAILED),
    ],
)
def test_what_can_not_be(words: tuple[str, ...], code: Exit) -> None:
    """Only where the profile itself is right and the cloud would refuse the run it is written."""
    from vrbench.cli.error_codes import code_and_text

    done = init(*words)
    found = code_and_text(done.exception)[0] if isinstance(done.exception, Exception) else done.return_value
    assert found == code
    assert Path("mine.toml").exists() == (words[1] == "cloud.template=none")


@pytest.mark.usefixtures("newest")
def test_a_file_that_is_there_stays() -> None:
    Path("mine.toml").write_text("mine")
    assert "not overwritten" in str(init().exception)
    assert Path("mine.toml").read_text() == "mine"


def test_names_that_no_profile_can_hold_are_told_by_their_ids(newest: Lab) -> None:
    """A sign that can't be seen would be refused there; what looks like a date is a name all the same."""
    root = newest.cloud("root")
    for name in ("tiny\u200b", "2026-01-01"):
        root.call("createServiceOffering", name=name, displaytext="x", cpunumber=1, cpuspeed=100, memory=64)
    ids = {row["name"]: row["id"] for row in root.list("listServiceOfferings", "serviceoffering")}
    assert offered(root, Survey.service_offerings).offers[0].value == ids["tiny\u200b"]
    assert written().cloud.service_offering == ids["tiny\u200b"]
    Path("mine.toml").unlink()
    assert written("--set", "cloud.service_offering=2026-01-01").cloud.service_offering == "2026-01-01"


def test_questions_only_where_there_is_a_choice() -> None:
    asker = Asker(True, {"cloud.template": Filled("mine")})
    with CliRunner().isolation(input="2\n"):
        two = Question("cloud.zone", "zone", (Offer("east"), Offer("west", "new")))
        assert asker.settle(two) == "west"
        assert asker.settle(Question("cloud.service_offering", "size", (Offer("small"),))) == "small"
        assert asker.settle(Question("cloud.template", "template", two.offers)) == "mine"
    assert {key: filled.value for key, filled in asker.filled.items()} == {
        "cloud.template": "mine",
        "cloud.zone": "west",
        "cloud.service_offering": "small",
    }


def test_two_of_one_name_are_told_by_their_ids(newest: Lab) -> None:
    root = newest.cloud("root")
    for _ in range(2):
        root.call("createServiceOffering", name="Twin", displaytext="x", cpunumber=1, cpuspeed=500, memory=128)
    first, second, *_ = offered(root, Survey.service_offerings).offers
    assert first.value != second.value
    assert first.told == second.told == "Twin, 1 CPU, 128 MB"


def test_a_cloud_without_a_template_is_told(newest: Lab) -> None:
    root = newest.cloud("root")
    [template] = root.list("listTemplates", "template", templatefilter="all")
    root.run("deleteTemplate", id=template["id"])
    with pytest.raises(PreflightError, match="there is no template here that this account may use"):
        offered(root, Survey.templates)
