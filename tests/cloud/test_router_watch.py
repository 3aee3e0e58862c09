"""What the cloud shows of routers while an operation goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.cloud.lab import PLAN, Lab, silent
from tests.probes.rig import wait_for
from vrbench.cloud.build.environment import build
from vrbench.cloud.errors import CloudError
from vrbench.cloud.operate.operations import RunningOperation, list_routers
from vrbench.cloud.operate.router_watch import RouterWatch, watching
from vrbench.core.facts import Router

ONE, TWO = Router("1", "r-1-VM", "Running"), Router("2", "r-2-VM", "Starting")
PAIR = replace(ONE, redundant=True, redundant_state="BACKUP")


def seen(*looks: Sequence[Router] | None) -> list[tuple[str, str, str]]:
    """Return the changes of a watch that is shown this, look by look; None: the look fails."""
    shown: Iterator[Sequence[Router] | None] = iter(looks)

    def look() -> Sequence[Router]:
        found = next(shown)
        if found is None:
            raise CloudError("no answer")
        return found

    watch = RouterWatch(look)
    assert all(watch.look() for _ in looks)
    assert all(change.after_ns < change.seen_ns for change in watch.changes)
    return [(change.name, change.state, change.redundant_state) for change in watch.changes]


def test_what_differs_from_the_look_before_is_a_change() -> None:
    """A router that comes, becomes another, or is shown no more; what stays as it is, is none."""
    came, left = ("r-2-VM", "Starting", ""), ("r-1-VM", "gone", "")
    assert seen([ONE], [ONE]) == []
    assert seen([ONE], [ONE, TWO], [ONE, replace(TWO, state="Running")]) == [came, ("r-2-VM", "Running", "")]
    assert seen([ONE, TWO], [TWO], [TWO]) == [left]
    assert seen([PAIR], [replace(PAIR, redundant_state="PRIMARY")]) == [("r-1-VM", "Running", "PRIMARY")]


def test_a_look_that_fails_leaves_its_time_open() -> None:
    """The change lies between the two looks that worked."""
    assert seen([ONE], None, None, [ONE, TWO]) == [("r-2-VM", "Starting", "")]
    assert seen(None, [ONE], [ONE]) == []


def test_who_may_not_list_routers_asks_once() -> None:
    """Nothing is shown at first, and nothing ever will be."""
    asked = threading.Event()

    def look() -> Sequence[Router]:
        asked.set()
        return ()

    assert not RouterWatch(look).look()
    with watching(look, every_s=0) as watch:
        wait_for(asked.is_set, "the only look")
    assert watch.changes == ()


def test_a_restart_is_watched(lab: Lab, tmp_path: Path) -> None:
    """The new router comes before the old one is gone, and the watch ends with its block."""
    cloud = lab.cloud("root")
    with lab.journal(tmp_path / "j", "root") as journal:
        environment = build(cloud, PLAN, lab.resolve(PLAN, "root"), journal, silent)
    (before,) = list_routers(cloud, environment.network_id)
    operation = RunningOperation(cloud, "restart-network-cleanup", environment, 20, poll_s=0.01)
    with watching(lambda: list_routers(cloud, environment.network_id), every_s=0) as watch:
        wait_for(lambda: watch.watches, "the first look")
        operation.request()
        wait_for(lambda: (before.name, "gone") in [(c.name, c.state) for c in watch.changes], "the old router's end")
    (after,) = list_routers(cloud, environment.network_id)
    told = [(change.name, change.state) for change in watch.changes]
    assert told.index((after.name, "Running")) < told.index((before.name, "gone"))
    wait_for(lambda: all(thread.name != "router-watch" for thread in threading.enumerate()), "the watch's end")
