"""The cloud that a run works with: the scripted one keeps the same contract as the real one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.lab import Lab, planned, running_lab, silent
from tests.run.world import ENVIRONMENT, PROFILE, RUN_ID, FakeCloud, Script
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.errors import CloudError
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.journal.replay import Head
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.run.adapters import CloudPort
from vrbench.run.cloudstack import CloudStack, SystemClock, connect, restart
from vrbench.run.interrupts import Interrupts
from vrbench.run.removal import pending, remove_pending
from vrbench.run.silent import SilentScreen
from vrbench.store.directory import RunDir


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Start a real API without packets."""
    with running_lab() as running:
        yield running


@pytest.fixture(params=["scripted", "real"])
def cloud(request: pytest.FixtureRequest) -> CloudPort:
    """Either of the two."""
    if request.param == "scripted":
        return FakeCloud(Script())
    running: Lab = request.getfixturevalue("lab")
    return CloudStack(running.cloud())


@pytest.fixture
def journal(cloud: CloudPort, tmp_path: Path) -> Iterator[Journal]:
    """Open a journal of what is built there."""
    resolved, _ = cloud.preflight(planned(), accept_slow_removal=True)
    head = Head(planned().run_id, cloud.endpoint, resolved.account, resolved.domain_id)
    with Journal.create(tmp_path / "journal.jsonl", head) as made:
        yield made


def test_what_is_built_is_in_the_journal_until_it_is_removed(cloud: CloudPort, journal: Journal) -> None:
    """The environment has the VMs that were asked for; afterwards nothing is pending, and nothing is left."""
    resolved, _ = cloud.preflight(planned(), accept_slow_removal=True)
    environment = cloud.build(planned(), resolved, journal, silent)
    assert len(environment.guests) == planned().vms
    assert all(router.state == "Running" for router in cloud.routers(environment))
    assert pending(journal)
    report = cloud.remove(journal, silent)
    assert (report.left, report.problems) == ((), ())
    assert pending(journal) == ()


def test_removing_twice_is_fine(cloud: CloudPort, journal: Journal) -> None:
    """Nothing is pending, so nothing is done."""
    assert cloud.remove(journal, silent).left == ()
    assert cloud.remove(journal, silent).left == ()


def test_an_endpoint_that_is_gone_is_told(lab: Lab, tmp_path: Path) -> None:
    """Nothing at all may be removed: the report has all that is pending, and why."""
    gone = CloudStack(Cloud(Credentials("http://127.0.0.1:9/client/api", "k", "s")))
    with pytest.raises(CloudError):
        gone.preflight(planned(), accept_slow_removal=False)
    with lab.journal(tmp_path / "journal.jsonl") as journal:
        journal.intend("network", "net", {})
        report = remove_pending(gone, journal, silent)
        assert report.left == ("network net",)
        assert report.problems


def test_preparing_an_operation_asks_for_nothing(lab: Lab, tmp_path: Path) -> None:
    """The profile's operation is made ready for its environment; its routers stay what they were."""
    real = CloudStack(lab.cloud("root"))
    plan = make_plan(load_profile(PROFILE, "small", ()), RUN_ID)
    resolved, _ = real.preflight(planned(), accept_slow_removal=True)
    head = Head(planned().run_id, real.endpoint, resolved.account, resolved.domain_id)
    with Journal.create(tmp_path / "journal.jsonl", head) as journal:
        environment = real.build(planned(), resolved, journal, silent)
        source = restart(real.cloud, plan, SilentScreen())
        before = lab.rows("listRouters", "router")
        with source.prepare(environment, tmp_path) as operation:
            assert not operation.poll().done
            assert lab.rows("listRouters", "router") == before
        assert real.remove(journal, silent).left == ()
    assert source.name == "restart-network-cleanup"


def test_the_real_adapters_fit_together(lab: Lab, tmp_path: Path) -> None:
    """Guests are reached with the keys in the directory that is named, and another operation may be passed in."""
    plan = make_plan(load_profile(PROFILE, "small", ()), RUN_ID)
    credentials = Credentials(lab.endpoint, "k", "s")
    adapters = connect(plan, credentials, SilentScreen(), Interrupts(silent))
    other = replace(adapters.operation, name="other")
    assert connect(plan, credentials, SilentScreen(), Interrupts(silent), other).operation is other
    keys = RunDir.create(tmp_path, RUN_ID, 0)
    guests = adapters.guests(ENVIRONMENT, keys)
    assert guests.observation(tmp_path).notes() == ()
    assert adapters.operation.name == "restart-network-cleanup"


def test_the_clocks_are_this_machines() -> None:
    """Monotonic nanoseconds, and a time of day in UTC with milliseconds."""
    clock = SystemClock()
    first = clock.monotonic_ns()
    clock.sleep(0)
    assert clock.monotonic_ns() >= first
    assert len(clock.utc()) == len("2026-11-24T12:00:00.000Z")
    assert clock.utc().endswith("Z")


def test_a_silent_screen_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever it is told."""
    with SilentScreen() as screen:
        screen.label({})
        screen.phase("a", "b")
        screen.watch((), 0, "")
        screen.doing("a")
        screen.note("a")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("endpoint", "verify", "doubts"),
    [
        ("https://cloud.example.org/client/api", False, 1),
        ("HTTPS://cloud.example.org/client/api", False, 1),
        ("https://cloud.example.org/client/api", True, 0),
        ("http://cloud.example.org/client/api", False, 0),
    ],
)
def test_a_cloud_that_anybody_can_pass_for_is_a_doubt(endpoint: str, verify: bool, doubts: int) -> None:
    """Without TLS there is no certificate to be checked."""
    plan = make_plan(load_profile(PROFILE, "small", ()), RUN_ID)
    adapters = connect(plan, Credentials(endpoint, "k", "s", verify), SilentScreen(), Interrupts(silent))
    assert adapters.cloud.caveats() == (Caveat(CaveatKind.TLS_UNCHECKED),) * doubts
