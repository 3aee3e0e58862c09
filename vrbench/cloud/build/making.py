"""Creating calls: each between its journal records, several at once, and none of them twice.

Where no answer came, the call may have been carried out all the same. Then no further call is begun before it is known
what came of this one: its object is looked for, and taken for made if it is there. If it isn't, the build ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from vrbench.cloud.api.calls import GRACE_S, WIDTH, all_answers
from vrbench.cloud.api.facade import Answer, Param
from vrbench.cloud.build.steps import BuildContext
from vrbench.cloud.build.traces import TRACES, Trace
from vrbench.cloud.errors import CloudError, CloudRefused, CloudUnreachable
from vrbench.cloud.tally import Tally

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Making(Generic[T]):
    """One object to be made: what the journal notes of it, the call, and what the build takes from the answer."""

    kind: str
    key: str
    noted: Mapping[str, str]
    command: str
    sent: Mapping[str, Param]
    take: Callable[[Answer], T]

    @property
    def trace(self) -> Trace:
        return TRACES[self.command]


@dataclass(frozen=True, slots=True)
class Wave:
    """How many like calls are made at once, and how each is told: "VM 3 of 10 runs".

    ``one_by_one``: the server carries them out one after the other, so that each may wait for those beside it.
    ``grace_s``: how long an interrupt waits for answers, so that what was made is known; 0: it goes with others anyway.
    """

    one: str
    does: str
    width: int = WIDTH
    grace_s: float = GRACE_S
    one_by_one: bool = False


ALONE = Wave("object", "is there", width=1)


def make(context: BuildContext, making: Making[T]) -> T:
    """Make one object."""
    (made,) = make_all(context, [making], ALONE)
    return made


def make_all(context: BuildContext, makings: Sequence[Making[T]], wave: Wave) -> list[T]:
    """Make them all, and return what was taken from each answer, in order.

    Raises CloudError or JournalError, once no call is under way any more.
    """
    shift = _Shift(context, makings, wave)
    while left := shift.left():
        all_answers(
            [partial(shift.attempt, number) for number in left], context.stop, width=wave.width, grace_s=wave.grace_s
        )
        shift.find_unanswered()
    return [shift.made[number] for number in range(len(makings))]


class _Shift(Generic[T]):
    """The calls of one wave, by their number: what was made, and what got no answer."""

    def __init__(self, context: BuildContext, makings: Sequence[Making[T]], wave: Wave) -> None:
        self.made: dict[int, T] = {}
        self._context, self._makings, self._wave = context, makings, wave
        self._unanswered: dict[int, CloudUnreachable] = {}
        self._tally = Tally(len(makings), wave.one, wave.does, wave.one_by_one) if wave is not ALONE else None
        self._deadline_s = context.plan.job_timeout_s * (wave.width if wave.one_by_one else 1)
        self._telling = threading.Lock()

    def left(self) -> list[int]:
        return [number for number in range(len(self._makings)) if number not in self.made]

    def attempt(self, number: int) -> None:
        """Make one, unless another got no answer meanwhile."""
        if self._unanswered:
            return
        try:
            answer = self._answer(self._makings[number])
        except CloudUnreachable as lost:
            if not lost.may_have_run:
                raise
            self._unanswered[number] = lost
        else:
            self._done(number, answer)

    def _answer(self, making: Making[T]) -> Answer:
        """Make the call; the id is journaled as soon as it is known, for an object whose job fails is there too."""
        context = self._context
        context.stop.check()
        context.journal.intend(making.kind, making.key, making.noted)
        if not making.trace.has_job:
            answer = _unless_refused(context, making.key, partial(context.cloud.call, making.command, **making.sent))
            made = answer.get(making.trace.made)
            self._created(making, made.get("id") if isinstance(made, dict) else None)
            return answer
        job = _unless_refused(context, making.key, partial(context.cloud.submit, making.command, **making.sent))
        if job.id:
            self._created(making, job.id)
        return context.wait(job, self._deadline_s)

    def _created(self, making: Making[T], object_id: object) -> None:
        """Journal the id; not of a rule after an interrupt: by now the removal may have struck it with its address."""
        if self._wave.grace_s or not self._context.stop.is_set():
            self._context.journal.created(making.key, str(object_id or making.key))

    def find_unanswered(self) -> None:
        """Look for what got no answer, while nothing is being made. Raises CloudError for what is not there."""
        for number, lost in sorted(self._unanswered.items()):
            answer = _Search(self._context, self._makings[number], lost).found(self._deadline_s)
            self._done(number, answer)
        self._unanswered.clear()

    def _done(self, number: int, answer: Answer) -> None:
        self.made[number] = self._makings[number].take(answer)
        if self._tally:
            with self._telling:
                self._context.progress(self._tally.count(self._makings[number].key))


def _unless_refused(context: BuildContext, key: str, call: Callable[[], R]) -> R:
    """Return the call's result; take the intent back after a refusal by which nothing came to be."""
    try:
        return call()
    except CloudRefused as refused:
        if refused.nothing_came_of_it:
            context.journal.destroyed(key)
        raise


@dataclass
class _Search(Generic[T]):
    """The search for one object whose creating call got no answer."""

    context: BuildContext
    making: Making[T]
    lost: CloudUnreachable
    _hindered: str = ""

    def found(self, deadline_s: float) -> Answer:
        """Return what the call's answer would have shown, once the object can be used.

        Raises CloudError when it isn't there, is there twice, or can't be used within the deadline.
        """
        self.context.progress(f"{self.making.command}: no answer; looking whether {self._object} is there")
        row = self._first_seen()
        self.context.journal.created(self.making.key, str(row.get("id", self.making.key)))
        row = self._ready(row, deadline_s)
        return {self.making.trace.made: row, "success": True}

    @property
    def _object(self) -> str:
        return f"{self.making.kind} {self.making.key}"

    def _first_seen(self) -> Answer:
        until = time.monotonic() + self.context.plan.settle_s
        while True:
            rows = self._rows()
            if len(rows) > 1 and self.making.trace.same:
                raise self._failed(f"{len(rows)} objects look like {self._object}: find out which is this run's")
            if rows:
                return rows[0]
            if time.monotonic() >= until:
                raise self._failed(
                    f"{self._object} was looked for and isn't there after {self.context.plan.settle_s:.0f} s"
                    f"{self._hindered}. No call is sent twice by itself: run again"
                )
            self.context.stop.sleep(self.context.plan.poll_s)

    def _ready(self, row: Answer, deadline_s: float) -> Answer:
        """Wait until the object can be used; its job is unknown, so its state has to tell."""
        trace, until = self.making.trace, time.monotonic() + deadline_s
        while trace.ready and row.get("state") != trace.ready:
            if row.get("state") in trace.hopeless or time.monotonic() >= until:
                raise self._failed(
                    f"{self._object} is there and is {row.get('state')}: look at its events in the cloud"
                )
            self.context.stop.sleep(self.context.plan.poll_s)
            row = next((seen for seen in self._rows(row.get("id")) if seen.get("id") == row.get("id")), row)
        return row

    def _rows(self, own: object = None) -> list[Answer]:
        """Look once; a look that fails shows nothing, and is told if nothing else is found."""
        known = {entry.id for entry in self.context.journal.pending() if entry.id != own}
        try:
            return self.making.trace.rows(self.context.cloud, self.making.sent, known)
        except CloudError as error:
            self._hindered = f" (the last look failed: {error})"
            return []

    def _failed(self, reason: str) -> CloudError:
        return CloudError(f"{self.lost} {reason}.", command=self.making.command)
