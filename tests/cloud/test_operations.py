"""Operations by name, and the routers as the API shows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cloud.lab import PLAN, Lab, silent
from tests.cloud.server import Behaviour, Request, by_command, fake_cloud, job, says
from tests.probes.rig import wait_for
from vrbench.cloud.environment import build
from vrbench.cloud.errors import NotPermitted, UnknownOperation, UnsafeNetwork
from vrbench.cloud.facade import Answer, Cloud, Job, Param
from vrbench.cloud.operations import (
    PREPARATIONS,
    Router,
    RunningOperation,
    competing_routers,
    list_routers,
    preparation,
)
from vrbench.core.model import Environment
from vrbench.core.plan.operations import OPERATIONS
from vrbench.core.ports import JobState

SOMEWHERE = Environment("n", "net", "z", "KVM", "4.20", "o", "203.0.113.1", (), ())
RESTART = says("restartNetwork", {"jobid": "j"})


@pytest.fixture
def environment(lab: Lab, tmp_path: Path) -> Environment:
    with lab.journal(tmp_path / "j") as journal:
        return build(lab.cloud(), PLAN, lab.resolve(PLAN), journal, silent)


def test_every_operation_of_a_profile_exists() -> None:
    """Each has a call of its own, and no call is without a name that a profile can give."""
    assert tuple(PREPARATIONS) == tuple(OPERATIONS)


def test_an_unknown_operation_names_the_nearest() -> None:
    """A slip of the pen is answered with what was meant."""
    with pytest.raises(UnknownOperation, match="restart-network-cleanup"):
        preparation("restart-network-cleanpu")


def test_restart_with_cleanup_replaces_the_router(lab: Lab, environment: Environment) -> None:
    """The job ends well and another router is there."""
    cloud = lab.cloud("root")
    (before,) = list_routers(cloud, environment.network_id)
    cloud.wait(preparation("restart-network-cleanup")(cloud, environment)(), 20, 0.02)
    (after,) = list_routers(cloud, environment.network_id)
    assert (before.state, after.state) == ("Running", "Running")
    assert before.id != after.id
    (row,) = lab.rows("listRouters", "router", networkid=environment.network_id)
    assert (row["id"], row["publicip"]) == (after.id, environment.source_nat_ip)


def test_two_routers_that_serve_one_network_compete() -> None:
    """Two that run alone, or two primaries of a pair; not a pair in order, nor one that is on its way out."""

    def router(name: str, state: str = "Running", redundant_state: str = "") -> Router:
        return Router(name, name, state, bool(redundant_state), redundant_state)

    assert competing_routers([router("r-1-VM"), router("r-2-VM")]) == ("r-1-VM", "r-2-VM")
    assert competing_routers([router("r-1-VM", redundant_state="MASTER"), router("r-2-VM", redundant_state="PRIMARY")])
    assert not competing_routers(
        [router("r-1-VM", redundant_state="PRIMARY"), router("r-2-VM", redundant_state="BACKUP")]
    )
    assert not competing_routers([router("r-1-VM"), router("r-2-VM", "Stopping")])


@pytest.mark.parametrize("name", ["restart-network", "reboot-router"])
def test_other_operations_keep_the_router(lab: Lab, environment: Environment, name: str) -> None:
    """The same router afterwards."""
    cloud = lab.cloud("root")
    before = list_routers(cloud, environment.network_id)
    cloud.wait(preparation(name)(cloud, environment)(), 20, 0.02)
    assert [router.id for router in list_routers(cloud, environment.network_id)] == [router.id for router in before]


def test_a_user_sees_no_routers_and_can_reboot_none(lab: Lab, environment: Environment) -> None:
    """Refused by role: an empty tuple to look at, an error to act on."""
    assert list_routers(lab.cloud("user"), environment.network_id) == ()
    with pytest.raises(NotPermitted, match="listRouters"):
        preparation("reboot-router")(lab.cloud("user"), environment)


def test_a_running_operation_is_polled_without_waiting(lab: Lab, environment: Environment) -> None:
    """The port of the main path: request, then looks that return at once until it is done."""
    operation = RunningOperation(lab.cloud(), "restart-network-cleanup", environment, 20, poll_s=0.02)
    operation.request()
    until = time.monotonic() + 20
    while not (state := operation.poll()).done:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert state == JobState(done=True)


class Counting(Cloud):
    """A cloud that remembers what it was asked."""

    asked: list[str]

    def call(self, command: str, /, **params: Param) -> Answer:
        self.asked.append(command)
        return super().call(command, **params)


def test_the_router_to_reboot_is_looked_up_before_the_clock_runs(lab: Lab, environment: Environment) -> None:
    """Between the moment of the request and its call there is no other call."""
    cloud = Counting(lab.cloud("root")._credentials)
    cloud.asked = []
    operation = RunningOperation(cloud, "reboot-router", environment, 20, poll_s=0.02)
    assert cloud.asked == ["listRouters"]
    operation.request()
    assert cloud.asked == ["listRouters", "rebootRouter"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            job(2, jobresult={"errorcode": 530, "errortext": "no host"}),
            "restartNetwork: the job j failed (530): no host",
        ),
        (job(2, jobresult={"errorcode": "many"}), "restartNetwork: the job j failed (0): the server gave no reason"),
    ],
    ids=["failed", "no sense"],
)
def test_a_job_that_ends_badly_is_done_with_its_error(answer: Behaviour, error: str) -> None:
    """Also when its answer makes no sense."""
    with fake_cloud(by_command({"restartNetwork": RESTART, "queryAsyncJobResult": answer})) as fake:
        operation = RunningOperation(Cloud(fake.credentials()), "restart-network", SOMEWHERE, 20, poll_s=0.02)
        operation.request()
        wait_for(lambda: operation.poll().done, "the job's end")
    assert error in operation.poll().error


class Broken(Cloud):
    """A cloud with a bug of ours."""

    def wait(self, job: Job, *_: object, **__: object) -> Answer:
        raise KeyError(job.jobid)


def test_a_job_whose_watch_breaks_is_done_with_the_error() -> None:
    """A thread that died in silence would leave it running for ever."""
    with fake_cloud(by_command({"restartNetwork": RESTART})) as fake:
        operation = RunningOperation(Broken(fake.credentials()), "restart-network", SOMEWHERE, 20)
        operation.request()
        wait_for(lambda: operation.poll().done, "the job's end")
    assert operation.poll().error == "KeyError: 'j'"


def test_a_job_that_does_not_end_is_not_done() -> None:
    """Its deadline ends the watching, and the trial has a deadline of its own."""
    with fake_cloud(by_command({"restartNetwork": RESTART, "queryAsyncJobResult": job(0)})) as fake:
        operation = RunningOperation(Cloud(fake.credentials()), "restart-network", SOMEWHERE, 0.2, poll_s=0.02)
        (watcher,) = started_by(operation.request)
        watcher.join(20)
    assert not watcher.is_alive()
    assert operation.poll() == JobState(done=False)


def test_late_news_of_an_earlier_request_change_nothing() -> None:
    """The first job is told to have failed when a second one is already under way."""
    second = threading.Event()

    def state(request: Request) -> None:
        second.wait(20)
        ended = request.params["jobid"] == "1"
        (job(2, jobresult={"errortext": "late"}) if ended else job(0))(request)

    jobs = iter("12")

    def restart(request: Request) -> None:
        says("restartNetwork", {"jobid": next(jobs)})(request)

    with fake_cloud(by_command({"restartNetwork": restart, "queryAsyncJobResult": state})) as fake:
        operation = RunningOperation(Cloud(fake.credentials()), "restart-network", SOMEWHERE, 2, poll_s=0.02)
        (first,) = started_by(operation.request)
        (other,) = started_by(operation.request)
        second.set()
        first.join(20)
        assert operation.poll() == JobState(done=False)
        other.join(20)


def test_without_a_running_router_there_is_none_to_reboot() -> None:
    """The message names the network."""
    routers = says("listRouters", {"count": 1, "router": [{"id": "r", "name": "r-1-VM", "state": "Stopped"}]})
    with fake_cloud(by_command({"listRouters": routers})) as fake, pytest.raises(UnsafeNetwork, match="network net: "):
        preparation("reboot-router")(Cloud(fake.credentials()), SOMEWHERE)


def started_by(call: Callable[[], None]) -> list[threading.Thread]:
    """Return the threads of this process that a call starts."""
    before = set(threading.enumerate())
    call()
    return [thread for thread in threading.enumerate() if thread not in before and "_watch" in thread.name]
