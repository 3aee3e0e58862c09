"""A series of known outages as a run's operation: injected into the embedded lab, and how they truly were."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from vrbench.core.calibrate.injections import NOTHING, Fault, Injection, KnownOutage, Piece
from vrbench.core.model import Environment
from vrbench.core.plan.streams import short_name
from vrbench.core.plan.tables import ProbesTable
from vrbench.core.ports import JobState
from vrbench.lab import control
from vrbench.lab.status import LabError, Moment, Outage
from vrbench.run.adapters import OperationSource, Progress
from vrbench.store.files import StoreError, replace_json

NAME = "known-outages"
TRUTH = "truth.json"
ANSWER_S = 10.0  # beyond an outage's length, until the lab must have told of it
LATER_S = 0.4  # beyond the threshold, for answers that must be late
MARKED_WITHIN = 10  # intervals, until every old flow has surely sent two packets
MARKING_S = 0.3  # and at least so long: probers may be held up


def known_outages(lab: Path, series: Sequence[Injection], probes: ProbesTable, say: Progress) -> OperationSource:
    """Return the operation that injects a series into the lab whose state lies in ``lab``."""
    late_s, marking_s = probes.threshold + LATER_S, max(MARKING_S, MARKED_WITHIN * probes.interval)

    def prepare(environment: Environment, folder: Path) -> InjectedOutages:
        inject_one = partial(inject, lab, nodes=lab_names(lab, environment), late_s=late_s, marking_s=marking_s)
        return InjectedOutages(series, inject_one, say, folder / TRUTH)

    return OperationSource(NAME, prepare)


@dataclass
class InjectedOutages:
    """A series of outages as the main path's ``Operation``; leaving the block injects no more, and notes the truth."""

    series: Sequence[Injection]
    inject: Callable[[Injection], Outage]
    say: Progress
    truth: Path
    done: list[tuple[Injection, Outage]] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)
    _error: str = ""
    _thread: Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()  # an outage that is going on ends with its time, or with this process
        with contextlib.suppress(*([StoreError] if error else [])):  # the first error is the one to tell
            write_truth(self.truth, self.done)

    def request(self, again: Callable[[], None] = lambda: None) -> None:
        self._thread = Thread(target=self._work, name="outages", daemon=True)
        self._thread.start()

    def poll(self) -> JobState:
        return JobState(done=bool(self._thread and not self._thread.is_alive()), error=self._error)

    def _work(self) -> None:
        try:
            self._inject_all()
        except LabError as error:
            self._error = f"the outages could not all be injected: {error}"

    def _inject_all(self) -> None:
        for number, injection in enumerate(self.series, 1):
            if self._stop.wait(rest_of_pause_s(injection, self.done, time.monotonic_ns())):
                self._error = f"the outages could not all be injected: out of time after {number - 1}"
                return
            self.say(f"{number} of {len(self.series)}: {_words(injection)}")
            if injection.direction == NOTHING:
                self._stop.wait(injection.seconds)
            else:
                self.done.append((injection, self.inject(injection)))


def rest_of_pause_s(injection: Injection, done: Sequence[tuple[Injection, Outage]], now_ns: int) -> float:
    """Return how much of the pause before an injection is left.

    It counts from the true end of the last outage that a stream of this one saw: recovery goes on while late answers
    are awaited and the lab is asked.
    """
    ends = [(o.bound or o.pieces[-1])[1].monotonic_ns for i, o in done if i.meets(injection)]
    if not ends:
        return 0.0 if done else injection.pause_s  # the first one must not be there at the request
    return max(0.0, injection.pause_s - (now_ns - max(ends)) / 1e9)


def _words(injection: Injection) -> str:
    if injection.direction == NOTHING:
        return f"no outage for {injection.seconds:g} s"
    return f"{injection.fault}: {injection.direction} of {injection.guest or 'all VMs'} for {injection.seconds:.3f} s"


def lab_names(lab: Path, environment: Environment) -> Mapping[str, str]:
    """Return what the lab calls the machine of each VM."""
    nodes = control.ask(lab, {"ask": "status"}, ANSWER_S)["nodes"]
    by_address = {address: node["name"] for node in nodes for address in node["addresses"]}
    return {short_name(environment, g.name): by_address[g.ip] for g in environment.guests}


def inject(lab: Path, injection: Injection, nodes: Mapping[str, str], late_s: float, marking_s: float) -> Outage:
    """Inject one outage, from inside the lab; return when it is over. Raises LabError.

    Answers come ``late_s`` late where they must; old flows are marked for ``marking_s`` before source NAT goes.

    The lab's processes can't be looked up from in here, so its socket is asked without a look whether it runs.
    """
    target = nodes[injection.guest] if injection.guest else ""
    packets = Fault.SILENCE if injection.fault in (Fault.FLAPPING, Fault.BURST) else injection.fault
    question = {
        "ask": "outage",
        "fault": packets.value,
        "direction": injection.direction,
        "target": target,
        "beats": injection.beats,
        "delay_s": late_s,
        "held_s": injection.held_s,
        "marking_s": marking_s,
    }
    return Outage.from_json(control.ask(lab, question, injection.seconds + late_s + marking_s + ANSWER_S))


def write_truth(path: Path, known: Sequence[tuple[Injection, Outage]]) -> None:
    """Note what was injected and how it truly was. Raises StoreError."""
    replace_json(path, [{"guest": i.guest, "fault": i.fault, **outage.to_json()} for i, outage in known])


def read_truth(path: Path, zero_ns: int) -> tuple[KnownOutage, ...]:
    """Read what was injected, in seconds from ``zero_ns`` on the harness's clock. Raises StoreError."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_known(number, row, zero_ns) for number, row in enumerate(stored, 1))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} can't be read: {error}") from error


def _known(number: int, row: dict[str, Any], zero_ns: int) -> KnownOutage:
    outage = Outage.from_json(row)
    bound = _piece(*outage.bound, zero_ns) if outage.bound else None
    pieces = tuple(_piece(start, end, zero_ns) for start, end in outage.pieces)
    return KnownOutage(number, Fault(row["fault"]), outage.direction, row["guest"], pieces, bound)


def _piece(start: Moment, end: Moment, zero_ns: int) -> Piece:
    return Piece(
        (start.monotonic_ns - zero_ns) / 1e9,
        (end.monotonic_ns - zero_ns) / 1e9,
        (start.uncertainty_ns + end.uncertainty_ns) / 1e9,
    )
