"""What can be restarted, and how the cloud is asked for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from vrbench.cloud.api.facade import Answer, Cloud, Job
from vrbench.cloud.api.patience import look_again
from vrbench.cloud.errors import CloudError, JobTimeout, NotPermitted, UnknownOperation, UnsafeNetwork
from vrbench.core.facts import PRIMARY, Router
from vrbench.core.model import Environment
from vrbench.core.ports import JobState
from vrbench.core.suggest import did_you_mean

# Sends one call of an operation.
Send = Callable[[], Job]


@dataclass(frozen=True, slots=True)
class Steps:
    """The calls that make an operation, each sent when the job of the one before has ended: only they are timed.

    ``afterwards``: what puts the network back in order for the next trial.
    """

    sends: tuple[Send, ...]
    afterwards: tuple[Send, ...] = ()


# Looks up what has to be known, so that nothing but the calls themselves is timed.
Preparation = Callable[[Cloud, Environment], Steps]
_PAIR_S = 120.0  # a server asks its pairs every half minute who is in charge
_PAIR_LOOK_S = 1.0


def _restart(**how: bool) -> Preparation:
    def prepare(cloud: Cloud, environment: Environment) -> Steps:
        return Steps((partial(cloud.submit, "restartNetwork", id=environment.network_id, **how),))

    return prepare


def _on_router(*commands: str) -> Preparation:
    """Send each command to the router that serves, as it is before the first."""

    def prepare(cloud: Cloud, environment: Environment) -> Steps:
        router = _serving(cloud, environment)
        return Steps(tuple(partial(cloud.submit, command, id=router.id) for command in commands))

    return prepare


def _one_after_the_other(*parts: Preparation) -> Preparation:
    def prepare(cloud: Cloud, environment: Environment) -> Steps:
        return Steps(tuple(send for part in parts for send in part(cloud, environment).sends))

    return prepare


def _fail_over(cloud: Cloud, environment: Environment) -> Steps:
    router = _serving(cloud, environment)
    return Steps(
        (partial(cloud.submit, "stopRouter", id=router.id),), (partial(cloud.submit, "startRouter", id=router.id),)
    )


def _serving(cloud: Cloud, environment: Environment) -> Router:
    """Return the router that serves; of a pair, once the cloud shows which one that is. Raises UnsafeNetwork."""
    until = time.monotonic() + _PAIR_S
    while True:
        found = [_router(row) for row in look_again(partial(_rows, cloud, environment.network_id))]
        chosen = _in_charge(found)
        if chosen is not None:
            return chosen
        if not _is_pair(found) or time.monotonic() >= until:
            shown = ", ".join(f"{r.name} {r.state} {r.redundant_state}".strip() for r in found) or "none"
            raise UnsafeNetwork(
                f"network {environment.network_name}: no router is Running that is known to be the one that serves "
                f"({shown}). Nothing was asked of it; look at the routers in the cloud"
            )
        time.sleep(_PAIR_LOOK_S)


def _in_charge(found: Sequence[Router]) -> Router | None:
    """Return the router that runs; of a pair, the primary, if the pair is in order."""
    running = [router for router in found if router.state == "Running"]
    if not _is_pair(found):
        return next(iter(running), None)
    primary = [router for router in running if router.redundant_state in PRIMARY]
    backup = [router for router in running if router.redundant_state == "BACKUP"]
    return primary[0] if len(primary) == len(backup) == 1 else None


def _is_pair(found: Sequence[Router]) -> bool:
    return any(router.redundant for router in found)


# Cleanup is sent in any case: 4.9 takes a missing one for true, later servers for false.
_RESTART = _restart(cleanup=False)


# How the cloud is asked for each operation that a profile can name (``OPERATIONS`` in ``core/plan/operations.py``).
PREPARATIONS: Mapping[str, Preparation] = MappingProxyType(
    {
        "restart-network-cleanup": _restart(cleanup=True),
        "restart-network": _RESTART,
        "live-patch": _restart(cleanup=False, livepatch=True),
        "reboot-router": _on_router("rebootRouter"),
        "stop-start-router": _on_router("stopRouter", "startRouter"),
        "destroy-router": _one_after_the_other(_on_router("destroyRouter"), _RESTART),
        "failover": _fail_over,
    }
)


def preparation(name: str) -> Preparation:
    """Return how an operation is asked for. Raises UnknownOperation, with the nearest name."""
    if name in PREPARATIONS:
        return PREPARATIONS[name]
    raise UnknownOperation(f"there is no operation {name!r}; {did_you_mean(name, PREPARATIONS)}")


class RunningOperation:
    """The port ``core.ports.Operation`` over a cloud: jobs are watched by a thread, so that no look at them blocks.

    An operation of several calls is done when the job of the last one has ended, or one of them has failed.
    """

    def __init__(
        self, cloud: Cloud, operation: str, environment: Environment, deadline_s: float, poll_s: float = 0.5
    ) -> None:
        self._cloud = cloud.acting_for(environment.owner)
        steps = preparation(operation)(self._cloud, environment)
        self._first, *self._following = steps.sends
        self._afterwards = steps.afterwards
        self._deadline_s = deadline_s
        self._poll_s = poll_s
        self._state = JobState(done=False)
        self._job: Job | None = None

    def request(self, again: Callable[[], None] = lambda: None) -> None:
        """Ask the cloud, and return when the job is accepted. Raises CloudError when it is not.

        ``again`` is called just before the cloud is asked once more, as it had turned the call away.
        """
        self._state = JobState(done=False)
        with self._cloud.waits_here_by(replace(self._cloud.waiting, again=again)):
            self._job = job = self._first()
        threading.Thread(target=self._watch, args=(job,), daemon=True).start()

    def poll(self) -> JobState:
        return self._state

    def put_back(self) -> None:
        """Put the network back in order for the next trial. Raises CloudError."""
        for send in self._afterwards:
            self._cloud.wait(send(), self._deadline_s, self._poll_s)

    @property
    def puts_back(self) -> bool:
        """Whether there is anything to be put back in order."""
        return bool(self._afterwards)

    def _watch(self, job: Job) -> None:
        try:
            self._cloud.wait(job, self._deadline_s, self._poll_s)
            for send in self._following:
                self._cloud.wait(send(), self._deadline_s, self._poll_s)
            state = JobState(done=True)
        except JobTimeout:
            return  # not done is what it is: the trial has a deadline of its own
        except CloudError as error:
            state = JobState(done=True, error=str(error))
        except Exception as error:  # noqa: BLE001  a thread that dies in silence leaves its job running for ever
            state = JobState(done=True, error=f"{type(error).__name__}: {error}")
        if self._job is job:  # else it is the late news of an earlier request
            self._state = state


def list_routers(cloud: Cloud, network_id: str) -> tuple[Router, ...]:
    """Return the network's routers as they are now; none where the caller may not list routers."""
    try:
        return tuple(map(_router, _rows(cloud, network_id)))
    except NotPermitted:
        return ()


def _rows(cloud: Cloud, network_id: str) -> list[Answer]:
    return cloud.list("listRouters", "router", networkid=network_id, listall=True)


def _router(row: Answer) -> Router:
    def text(name: str) -> str:
        return str(row.get(name) or "")

    return Router(
        id=text("id"),
        name=text("name"),
        state=text("state"),
        redundant=bool(row.get("isredundantrouter")),
        redundant_state=text("redundantstate"),
        software=text("softwareversion"),
        scripts=text("scriptsversion").strip(),  # some servers leave a line's end there
    )
