"""When slots are sent: the open loop that drives a prober. Standard library, Python >= 3.6.

Waking up costs more than a probe does: while a prober sleeps, others fill the processor's caches. So little is done
between two probes. In *rounds*, a quarter of a second each where the kernel stamps arrivals, the loop takes what will
be due, has its packets made, sends each at its own moment and only notes when; then it writes that down, reads what
came, and writes the log. Late reading costs no precision (``engine``).
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035, UP045

import collections
import errno
import gc
import heapq
from typing import Any, Callable, Dict, List, Optional, Tuple

from vrbench.probes.engine import (
    AMBIGUOUS,
    END,
    SENT_BY,
    STALLED_NS,
    WALL,
    Arrivals,
    Log,
    Packet,
    Prober,
    monotonic_ns,
    take_priority,
)

NEAR_NS = 10_000_000  # if a slot is due so soon after a round's end, it belongs to it: one waking for both
LINGER_NS = 1_000_000_000  # after the last slot, how long answers are waited for

Due = Tuple[int, int, int, int, Optional[Packet]]  # due_ns, when it is too late, stream, slot, packet if made by now


class Agenda:
    """Which slots of ``schedule`` (start_ns, interval_ns per stream) come next; those due together stay together."""

    def __init__(self, schedule: List[Tuple[int, int]]) -> None:
        together = collections.defaultdict(list)  # type: Dict[Tuple[int, int], List[int]]
        for stream, due in enumerate(schedule):
            together[due].append(stream)
        self.moments = [(start, interval, streams) for (start, interval), streams in together.items()]
        self.queue = [(start, number) for number, (start, _, _) in enumerate(self.moments)]
        heapq.heapify(self.queue)

    @property
    def next_ns(self) -> int:
        """When the next slot is due; one that was missed may stand there until ``take``."""
        return self.queue[0][0]

    def take(self, prober: Prober, until_ns: int) -> List[Due]:
        """Take what is due by then, but no more than may stay unread; what is too late by now was missed."""
        now, taken = monotonic_ns(), []  # type: int, List[Due]
        while self.queue[0][0] <= until_ns and len(taken) < prober.most_unread:
            due, number = self.queue[0]
            start, interval, streams = self.moments[number]
            slot = max(due - start, now - interval // 2 - start + interval - 1) // interval
            due = start + slot * interval
            late = due + interval // 2
            asked = [stream for stream in streams if not prober.left_out(stream, slot, due)]
            taken += [(due, late, stream, slot, prober.made(stream, slot)) for stream in asked]
            heapq.heapreplace(self.queue, (due + interval, number))
        return taken


def send_round(prober: Prober, probes: List[Due]) -> None:
    """Send each of ``probes`` at its time; what has become too late is never sent.

    A send that took long may have left until its end. One during which the prober stood still says nothing.
    """
    now, fire, noted = 0, prober.fire, []  # type: int, Any, List[Tuple[int, int, bool, int, int, int]]
    for due, late, stream, slot, packet in probes:
        while now < due:
            prober.wait(due)
            now = monotonic_ns()
            if now < due:
                prober.drain()  # woken by an answer, which has the time of the look at it
        if now > late:
            continue
        begun, code = now, 0
        if packet is None:
            prober.send(stream, slot)
        else:
            try:
                fire(*packet)
            except OSError as error:
                code = error.errno or errno.EIO
        now = monotonic_ns()
        noted.append((stream, slot, packet is not None, code, begun, now))
    for stream, slot, made, code, begun, now in noted:
        if made:
            prober.log_sent(stream, slot, begun, code)
        if now - begun > prober.held_ns:
            prober.log.record(AMBIGUOUS if now - begun > STALLED_NS else SENT_BY, stream, 0, slot, now)


def pace(
    prober: Prober, schedule: List[Tuple[int, int]], log: Log, stopping: Callable[[], bool], ready: Callable[[], None]
) -> None:
    """Send ``schedule`` (start_ns, interval_ns per stream) until ``stopping``; ``ready`` after the first."""
    agenda = Agenda(schedule)
    first, next_wall, begun = agenda.next_ns, log.started_ns, False
    tick = min(first, monotonic_ns() + prober.tick_ns)  # who has not looked for long takes itself for held up
    stopped = stopping()
    while not stopped:
        at = agenda.next_ns
        if at > tick + NEAR_NS:
            prober.wait(tick)
        else:
            send_round(prober, agenda.take(prober, max(tick, at) if prober.stamped else at))
        prober.drain()
        now = monotonic_ns()
        if now < tick and not (prober.stamped and agenda.next_ns > tick):
            continue
        tick = now + prober.tick_ns
        stopped = stopping()  # not at every waking: the question may cost a system call
        if now >= next_wall:
            second = (now - log.started_ns) // 1_000_000_000
            log.record(WALL, 0, 0, second, Arrivals.measure()[0])
            next_wall = log.started_ns + (second + 1) * 1_000_000_000
        for source in log.sources:
            source(log)
        log.flush()
        if not begun and agenda.next_ns != first:
            begun = True
            ready()


def linger(prober: Prober) -> None:
    """Give the last probes their time to be answered."""
    end = monotonic_ns() + LINGER_NS
    while not prober.settled() and monotonic_ns() < end:
        prober.wait(monotonic_ns() + 10_000_000)
        prober.drain()


def probe(
    config: Dict[str, Any],
    open_prober: Callable[[List[Dict[str, Any]], Log], Prober],
    stopping: Callable[[], bool],
    ready: Callable[[], None],
) -> None:
    """Run ``config`` until ``stopping``, then log END; raises CannotProbe before it probes, OSError on a full disk."""
    streams = config["streams"]
    log = Log(config["log"])
    prober = open_prober(streams, log)
    priority = take_priority()
    gc.collect()
    gc.disable()  # nothing here makes cycles; a collection would delay a probe
    started_ns = monotonic_ns()
    schedule = [(started_ns + stream["phase_ns"], stream["interval_ns"]) for stream in streams]
    how = dict(config.get("remarks", {}), method=prober.method, priority=priority, **prober.remarks())
    log.create(config["node"], started_ns, streams, how)
    pace(prober, schedule, log, stopping, ready)
    linger(prober)
    log.record(END, 0, 0, 0, monotonic_ns())
    log.flush()
