"""A series of faults injected into the embedded lab while a trial is watched, and how they truly were."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import Self

from vrbench.cli.exits import OperationFailed
from vrbench.cli.session import Session, SystemClock
from vrbench.core.calibrate.calibration import Calibration, calibrate
from vrbench.core.calibrate.injections import NOTHING, Fault, Injection, KnownOutage, Piece
from vrbench.core.figures.results import TrialResult
from vrbench.core.model import Environment
from vrbench.core.plan.plan import expected_streams, guests_behind, short_name
from vrbench.core.ports import JobState
from vrbench.lab import control
from vrbench.lab.status import LabError, Moment, Outage
from vrbench.probes.observation import Sensors
from vrbench.run.trial import TrialLimits, run_trial
from vrbench.store.files import replace_json

ANSWER_S = 10.0  # beyond an outage's length, until the lab must have told of it
LATER_S = 0.4  # beyond the threshold, for answers that must be late
MARKED_WITHIN = 10  # intervals, until every old flow has surely sent two packets
MARKING_S = 0.3  # and at least so long: probers may be held up


@dataclass
class CalibrationSession(Session):
    """A run whose operation is a series of known outages; ``known`` and ``environment`` are there once it is over."""

    series: Sequence[Injection] = ()
    lab: Path = Path()
    known: tuple[tuple[Injection, Outage], ...] = ()
    environment: Environment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._context = replace(self._context, operation="known-outages")

    def _trial(self, number: int, limits: TrialLimits, sensors: Sensors, environment: Environment) -> None:
        self.environment = environment
        nodes = _lab_names(self.lab, environment)
        probes = self.plan.profile.probes
        late_s, marking_s = probes.threshold + LATER_S, max(MARKING_S, MARKED_WITHIN * probes.interval)

        def carry_out(injection: Injection) -> Outage:
            return inject(self.lab, injection, nodes, late_s, marking_s)

        with InjectedOutages(self.series, carry_out, self.screen.doing) as operation:
            observation = sensors.observation(self.store.trial(number))
            facts = run_trial(number, limits, observation, operation, self.screen, SystemClock())
        self.known = tuple(operation.done)
        truth = [{"guest": i.guest, "fault": i.fault, **outage.to_json()} for i, outage in self.known]
        replace_json(self.store.trial(number) / "truth.json", truth)
        expected, behind = expected_streams(self.plan, environment), guests_behind(environment)
        self.store.write_facts(replace(facts, lab=True, expected_streams=expected, guest_of_endpoint=behind))
        if facts.job_error or not facts.job_finished:
            raise OperationFailed(f"the outages could not all be injected: {facts.job_error or 'out of time'}")


@dataclass
class InjectedOutages:
    """A series of outages as the main path's ``Operation``; leaving the block injects no more."""

    series: Sequence[Injection]
    inject: Callable[[Injection], Outage]
    say: Callable[[str], None]
    done: list[tuple[Injection, Outage]] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)
    _error: str = ""
    _thread: Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()  # an outage that is going on ends with its time, or with this process

    def request(self) -> None:
        self._thread = Thread(target=self._work, name="outages", daemon=True)
        self._thread.start()

    def poll(self) -> JobState:
        return JobState(done=bool(self._thread and not self._thread.is_alive()), error=self._error)

    def _work(self) -> None:
        for number, injection in enumerate(self.series, 1):
            if self._stop.wait(self._pause_s(injection)):
                return
            self.say(f"{number} of {len(self.series)}: {_words(injection)}")
            if injection.direction == NOTHING:
                self._stop.wait(injection.seconds)
                continue
            try:
                self.done.append((injection, self.inject(injection)))
            except LabError as error:
                self._error = str(error)
                return

    def _pause_s(self, injection: Injection) -> float:
        """What is left of the pause: recovery goes on while late answers are awaited and the lab is asked."""
        ends = [(o.bound or o.pieces[-1])[1].monotonic_ns for i, o in self.done if i.meets(injection)]
        if not ends:
            return 0.0 if self.done else injection.pause_s  # the first one must not be there at the request
        return max(0.0, injection.pause_s - (time.monotonic_ns() - max(ends)) / 1e9)


def _words(injection: Injection) -> str:
    if injection.direction == NOTHING:
        return f"no outage for {injection.seconds:g} s"
    return f"{injection.fault}: {injection.direction} of {injection.guest or 'all VMs'} for {injection.seconds:.3f} s"


def _lab_names(lab: Path, environment: Environment) -> Mapping[str, str]:
    """What the lab calls the machines of each VM."""
    nodes = control.ask(lab, {"ask": "status"}, ANSWER_S)["nodes"]
    by_address = {address: node["name"] for node in nodes for address in node["addresses"]}
    return {short_name(environment, g.name): by_address[g.ip] for g in environment.guests}


def inject(lab: Path, injection: Injection, nodes: Mapping[str, str], late_s: float, marking_s: float) -> Outage:
    """One outage, from inside the lab; returns when it is over. Raises LabError.

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


def compare(trial: TrialResult, known: Sequence[tuple[Injection, Outage]], environment: Environment) -> Calibration:
    """The trial's windows beside the outages."""
    zero = trial.facts.requested_ns
    outages = [_known(number, i, outage, zero) for number, (i, outage) in enumerate(known, 1)]
    behind = guests_behind(environment)
    guests = {s.stream.name: short_name(environment, behind.get(s.stream.target, s.node)) for s in trial.streams}
    clock_error_s = max((c.error_ns for c in trial.facts.clocks.values()), default=0) / 1e9
    return calibrate(trial.streams, outages, guests, clock_error_s)


def _known(number: int, injection: Injection, outage: Outage, zero_ns: int) -> KnownOutage:
    bound = _piece(*outage.bound, zero_ns) if outage.bound else None
    pieces = tuple(_piece(start, end, zero_ns) for start, end in outage.pieces)
    return KnownOutage(number, injection.fault, injection.direction, injection.guest, pieces, bound)


def _piece(start: Moment, end: Moment, zero_ns: int) -> Piece:
    return Piece(
        (start.monotonic_ns - zero_ns) / 1e9,
        (end.monotonic_ns - zero_ns) / 1e9,
        (start.uncertainty_ns + end.uncertainty_ns) / 1e9,
    )
