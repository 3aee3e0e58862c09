"""A series of known outages as a run's operation: when each comes, what is noted of them, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from vrbench.core.calibrate.injections import NOTHING, Fault, Injection
from vrbench.core.ports import JobState
from vrbench.embedded.outages import InjectedOutages, read_truth, rest_of_pause_s
from vrbench.lab.status import LabError, Moment, Outage
from vrbench.store.files import StoreError

SECOND = 1_000_000_000


def moment(at_s: float) -> Moment:
    return Moment(round(at_s * SECOND), round(at_s * SECOND), 1000)


def outage(direction: str, start_s: float, end_s: float, bound_s: float | None = None) -> Outage:
    """One time down; ``bound_s``: until when an old flow was left without translation."""
    start, end = moment(start_s), moment(end_s)
    bound = (start, moment(bound_s)) if bound_s is not None else None
    return Outage(direction, "", ("r",), start, end, ((start, end),), bound)


def injection(direction: str = "egress", guest: str = "", fault: Fault = Fault.SILENCE) -> Injection:
    return Injection(direction, guest, fault, (0.0,), 0.4)


@pytest.mark.parametrize(
    ("done", "now_s", "rest_s"),
    [
        ([], 9.0, 0.4),
        ([(injection(), outage("egress", 8.0, 9.0))], 9.0, 0.4),
        ([(injection(), outage("egress", 8.0, 9.0))], 9.3, 0.1),
        ([(injection(), outage("egress", 8.0, 9.0))], 9.5, 0.0),
        ([(injection("ingress"), outage("ingress", 8.0, 9.0))], 9.0, 0.0),
        ([(injection(), outage("egress", 8.0, 9.0, bound_s=9.2))], 9.3, 0.3),
    ],
    ids=["the first", "recovery", "partly waited for", "long since recovered", "other streams", "an old flow bound"],
)
def test_streams_recover_between_outages(done: list[tuple[Injection, Outage]], now_s: float, rest_s: float) -> None:
    """The pause counts from the true end of the last outage that a stream of the next one saw."""
    assert rest_of_pause_s(injection(), done, round(now_s * SECOND)) == pytest.approx(rest_s)


def inject_well(asked: Injection) -> Outage:
    return outage(asked.direction, 1.0, 2.0)


def series(path: Path, inject: Callable[[Injection], Outage] = inject_well) -> InjectedOutages:
    """Two outages and a stretch without any, in no time."""
    asked = [Injection(d, "vm1", Fault.SILENCE, (0.0,), 0.0) for d in ("egress", "ingress", NOTHING)]
    return InjectedOutages(asked, inject, lambda _: None, path)


def ended(operation: InjectedOutages) -> JobState:
    """Wait for the thread that injects, and return how it ended."""
    assert operation._thread
    operation._thread.join(60)
    return operation.poll()


def test_every_outage_is_injected_and_noted(tmp_path: Path) -> None:
    """Those that are none are waited for and not noted; times count from the request."""
    path = tmp_path / "truth.json"
    with series(path) as operation:
        assert operation.poll() == JobState(done=False)
        operation.request()
        assert ended(operation) == JobState(done=True)
    known = read_truth(path, 1 * SECOND)
    assert [(k.number, k.direction, k.guest, k.start_s, k.end_s) for k in known] == [
        (1, "egress", "vm1", 0.0, 1.0),
        (2, "ingress", "vm1", 0.0, 1.0),
    ]


def test_a_lab_that_refuses_ends_the_series(tmp_path: Path) -> None:
    """With its words, and what was injected before is noted."""

    def refuse(asked: Injection) -> Outage:
        if asked.direction == "ingress":
            raise LabError("no such guest")
        return inject_well(asked)

    with series(tmp_path / "truth.json", refuse) as operation:
        operation.request()
        assert ended(operation) == JobState(True, "the outages could not all be injected: no such guest")
    assert len(read_truth(tmp_path / "truth.json", 0)) == 1


def test_leaving_the_block_injects_no_more(tmp_path: Path) -> None:
    """The outage that is under way ends with its time; the series says that it is not whole."""
    under_way, left = Event(), Event()

    def slow(asked: Injection) -> Outage:
        under_way.set()
        assert left.wait(60)
        return inject_well(asked)

    with series(tmp_path / "truth.json", slow) as operation:
        operation.request()
        assert under_way.wait(60)
    left.set()
    assert ended(operation) == JobState(True, "the outages could not all be injected: out of time after 1")


def test_truth_that_can_not_be_noted_hides_no_error(tmp_path: Path) -> None:
    """It is raised, but not in place of what ended the trial."""
    nowhere = tmp_path / "gone" / "truth.json"
    with pytest.raises(StoreError), series(nowhere):
        pass
    with pytest.raises(KeyError), series(nowhere):
        raise KeyError("first")


@pytest.mark.parametrize("text", [None, "[{}]", "no"])
def test_truth_that_can_not_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    """With its path."""
    path = tmp_path / "truth.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StoreError, match=str(path)):
        read_truth(path, 0)
