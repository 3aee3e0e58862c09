"""What can be restarted, and how the cloud is asked for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from vrbench.cloud.errors import CloudError, JobTimeout, NotPermitted, UnknownOperation, UnsafeNetwork
from vrbench.cloud.facade import Answer, Cloud, Job
from vrbench.core.model import Environment
from vrbench.core.ports import JobState
from vrbench.core.suggest import did_you_mean

_PRIMARY = ("MASTER", "PRIMARY")  # up to 4.15, and later


# Looks up what has to be known and returns the one call that asks for the operation: only that call is timed.
Preparation = Callable[[Cloud, Environment], Callable[[], Job]]


@dataclass(frozen=True, slots=True)
class Router:
    """One virtual router as the API shows it. ``redundant_state`` lags by up to 30 s: never a clock."""

    id: str
    name: str
    state: str
    redundant: bool
    redundant_state: str


def _restart(cleanup: bool) -> Preparation:
    def prepare(cloud: Cloud, environment: Environment) -> Callable[[], Job]:
        # Sent explicitly in both cases: 4.9 takes a missing cleanup for true, later servers for false.
        return lambda: cloud.submit("restartNetwork", id=environment.network_id, cleanup=cleanup)

    return prepare


def _reboot_router(cloud: Cloud, environment: Environment) -> Callable[[], Job]:
    rows = cloud.list("listRouters", "router", networkid=environment.network_id, listall=True)
    running = [router for router in map(_router, rows) if router.state == "Running"]
    active = [router for router in running if router.redundant_state in _PRIMARY]
    chosen = next(iter(active or running), None)
    if chosen is None:
        raise UnsafeNetwork(
            f"network {environment.network_name}: no router is Running that could be rebooted; look at it in the cloud"
        )
    return partial(cloud.submit, "rebootRouter", id=chosen.id)


# How the cloud is asked for each operation that a profile can name (``OPERATIONS`` in ``core/plan/operations.py``).
PREPARATIONS: Mapping[str, Preparation] = MappingProxyType(
    {
        "restart-network-cleanup": _restart(cleanup=True),
        "restart-network": _restart(cleanup=False),
        "reboot-router": _reboot_router,
    }
)


def preparation(name: str) -> Preparation:
    """Return how an operation is asked for. Raises UnknownOperation, with the nearest name."""
    if name in PREPARATIONS:
        return PREPARATIONS[name]
    raise UnknownOperation(f"there is no operation {name!r}; {did_you_mean(name, PREPARATIONS)}")


class RunningOperation:
    """The port ``core.ports.Operation`` over a cloud: the job is watched by a thread, so that no look at it blocks."""

    def __init__(
        self, cloud: Cloud, operation: str, environment: Environment, deadline_s: float, poll_s: float = 0.5
    ) -> None:
        self._cloud = cloud
        self._send = preparation(operation)(cloud, environment)
        self._deadline_s = deadline_s
        self._poll_s = poll_s
        self._state = JobState(done=False)
        self._job: Job | None = None

    def request(self) -> None:
        """Ask the cloud, and return when the job is accepted. Raises CloudError when it is not."""
        self._state = JobState(done=False)
        self._job = job = self._send()
        threading.Thread(target=self._watch, args=(job,), daemon=True).start()

    def poll(self) -> JobState:
        return self._state

    def _watch(self, job: Job) -> None:
        try:
            self._cloud.wait(job, self._deadline_s, self._poll_s)
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
        rows = cloud.list("listRouters", "router", networkid=network_id, listall=True)
    except NotPermitted:
        return ()
    return tuple(map(_router, rows))


def competing_routers(found: Sequence[Router]) -> tuple[str, ...]:
    """Return the routers that serve a network at the same time although one alone may; of pairs, the primary ones."""
    serving = [r for r in found if r.state == "Running" and (not r.redundant or r.redundant_state in _PRIMARY)]
    return tuple(r.name for r in serving) if len(serving) > 1 else ()


def _router(row: Answer) -> Router:
    def text(name: str) -> str:
        return str(row.get(name) or "")

    return Router(
        id=text("id"),
        name=text("name"),
        state=text("state"),
        redundant=bool(row.get("isredundantrouter")),
        redundant_state=text("redundantstate"),
    )
