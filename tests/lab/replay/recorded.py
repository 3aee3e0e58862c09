"""Replays whole recordings of a real server against an endpoint, faults, delays and simultaneous calls included.

Compared per exchange: HTTP status, wrapper, error codes, the outcome of jobs, states, the number of things listed, the
names of all keys and the types of all values; and for every job during which the recording watched routers, the order
in which they came into their states. Ids are mapped by position, and kept from file to file.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from tests.lab.held_clock import HeldClock
from tests.lab.replay.serving import Body, Client
from vrbench.lab.api.machines.view import STATS

RECORDED = Path(__file__).parents[1] / "recorded"
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
NUMBERED = re.compile(r"[a-z]-(\d+-)+VM")
EXACT = (
    "errorcode",
    "cserrorcode",
    "jobstatus",
    "jobresultcode",
    "jobinstancetype",
    "state",
    "count",
    "redundantrouter",
)
POLL = "queryAsyncJobResult"
TRANSIENT = {"Stopping", "Stopped", "gone"}  # may be over before somebody looks
DEADLINE_S = 60.0
POOL_EMPTY = 533
TOGETHER_S = 0.2  # calls that started this close to each other, and before the first was answered, ran side by side
ROUNDING_S = 0.02
APART_S = 0.0005  # of the zone's time, between the turns of calls that were made side by side
RESTS_S = 5.0
USAGE = frozenset(STATS)  # of a VM: shown once the server has looked at it, each minute
DIARY = ("listEvents", "listAlerts")  # how many entries there are by then, and of which kind, is chance


@dataclass(frozen=True)
class Exchange:
    """One recorded call and its answer."""

    at_s: float
    role: str
    method: str
    command: str
    params: Mapping[str, object]
    status: int
    ms: float
    body: Any
    trimmed: str  # how a long list was cut, if it was

    @property
    def inner(self) -> Body:
        """The object inside the wrapper."""
        return inside(self.body)

    @property
    def is_poll(self) -> bool:
        return self.command == POLL and "jobstatus" in self.inner

    @property
    def runs_job(self) -> str | None:
        """The job that the call started."""
        return None if self.command == POLL else self.inner.get("jobid")


def inside(body: Any) -> Body:
    found: Any = next(iter(body.values()), {}) if isinstance(body, dict) else {}
    return found if isinstance(found, dict) else {}


def load(path: Path) -> list[Exchange]:
    """Return a recording in the order in which its calls were made, without polls of jobs that still ran."""
    names = Exchange.__dataclass_fields__
    recorded = [{"trimmed": "", **row} for row in json.loads(path.read_text())]
    rows = [Exchange(**{name: row[name] for name in names}) for row in recorded]
    kept = [row for row in rows if not (row.is_poll and row.inner["jobstatus"] == 0)]
    return sorted(kept, key=lambda row: row.at_s)


def batches(exchanges: list[Exchange]) -> Iterator[list[Exchange]]:
    """Yield calls that ran side by side together, every other one alone."""
    batch: list[Exchange] = []
    for row in exchanges:
        first = batch[0] if batch else None
        beside = first is not None and row.at_s < first.at_s + min(TOGETHER_S, first.ms / 1000 - ROUNDING_S)
        if batch and (row.is_poll or not beside or first is None or first.is_poll):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@dataclass
class Replay:
    """One pass over recordings; ``differences`` says where the endpoint answered otherwise."""

    clients: Mapping[str, Client]
    clock: HeldClock
    ids: dict[str, str] = field(default_factory=dict)
    compared: int = 0
    differences: list[str] = field(default_factory=list)
    _running: set[str] = field(default_factory=set)
    _watched: list[Exchange] = field(default_factory=list)

    def run(self, path: Path) -> None:
        self._running.clear()
        for batch in batches([row for row in load(path) if row.role in self.clients]):
            # Side by side, but begun in the order in which they ended: that is how they took turns.
            ready = sorted((row for row in batch if not self._watches(row)), key=lambda row: row.at_s + row.ms / 1000)
            answers = self._side_by_side(ready) if len(ready) > 1 else map(self._answer, ready)
            for row, (status, body) in zip(ready, answers, strict=True):
                self._compare(row, status, body)

    def _side_by_side(self, rows: list[Exchange]) -> list[tuple[int, Body]]:
        """Begin each call once the one before it is answered or waits; in this order they then go on."""
        turns: dict[float, Future[tuple[int, Body]]] = {}
        with ThreadPoolExecutor(len(rows)) as pool, self.clock.held():
            begun = [self._begin(pool, row, turns) for row in rows]
            while any(not call.done() for call in begun) and (waits := self.clock.waiting()):
                call = turns.pop(self.clock.turn_to_next(), None)
                if call is not None:
                    self._until_it_rests(call, waits)
        return [call.result() for call in begun]

    def _begin(
        self, pool: ThreadPoolExecutor, row: Exchange, turns: dict[float, Future[tuple[int, Body]]]
    ) -> Future[tuple[int, Body]]:
        """Begin a call, and note until when it waits; the next one's wait ends later."""
        waits = self.clock.waiting()
        call = pool.submit(self._answer, row)
        self._until_it_rests(call, waits)
        turns.update((until, call) for until in self.clock.waiting() if until not in waits and not call.done())
        self.clock.turn_on(APART_S)
        return call

    def _until_it_rests(self, call: Future[tuple[int, Body]], waits: tuple[float, ...]) -> None:
        """Wait until a call is answered, or waits for the zone's clock; not for long, since it may wait for others."""
        deadline = time.monotonic() + RESTS_S
        while not call.done() and set(self.clock.waiting()) <= set(waits) and time.monotonic() < deadline:
            time.sleep(0.001)

    def _watches(self, row: Exchange) -> bool:
        """Return whether the call only watched routers while a job ran: those are compared when it has ended."""
        if row.command != "listRouters" or not self._running:
            return False
        self._watched.append(row)
        return True

    def _answer(self, row: Exchange) -> tuple[int, Body]:
        params = {name: self._mapped(value) for name, value in row.params.items()}
        client = self.clients[row.role]
        if row.is_poll:
            return self._await_job(row, client, params)
        answer = client.raw(row.command, params, row.method)
        # The calls that emptied the pool were left out of the recording.
        while row.command == "associateIpAddress" and row.status == POOL_EMPTY and answer[0] == 200:
            answer = client.raw(row.command, params, row.method)
        return answer

    def _await_job(self, row: Exchange, client: Client, params: Body) -> tuple[int, Body]:
        """Poll until the job has ended; meanwhile look at the routers that the recording looked at."""
        watch, self._watched = self._watched, []
        if not watch:
            return self._poll(row, client, params, lambda: time.sleep(0.01))
        with self.clock.held():
            seen = [self._look(watch[0])]
            answer = self._poll(row, client, params, lambda: self._watch(watch[0], seen))
        self._compare_order(row, [look.inner.get("router", []) for look in watch], seen)
        return answer

    @staticmethod
    def _poll(row: Exchange, client: Client, params: Body, meanwhile: Callable[[], None]) -> tuple[int, Body]:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            status, body = client.raw(row.command, params, row.method)
            if status != 200 or inside(body).get("jobstatus") != 0 or time.monotonic() > deadline:
                return status, body
            meanwhile()

    def _watch(self, row: Exchange, seen: list[list[Body]]) -> None:
        """Look at what lasts, before time goes on."""
        lasts = self.clock.waiting()
        seen.append(self._look(row))
        if lasts:
            self.clock.turn_to_next()

    def _look(self, row: Exchange) -> list[Body]:
        query = {name: self._mapped(value) for name, value in row.params.items()}
        routers: list[Body] = inside(self.clients["root"].raw("listRouters", query)[1]).get("router", [])
        return routers

    def _mapped(self, value: object) -> object:
        return UUID.sub(lambda found: self.ids.get(found[0], found[0]), value) if isinstance(value, str) else value

    def _compare(self, row: Exchange, status: int, body: Body) -> None:
        self.compared += 1
        if row.runs_job:
            self._running.add(row.runs_job)
        if row.is_poll:
            self._running.discard(str(row.params.get("jobid")))
        bad = [] if status == row.status else [f"status {status} for {row.status}"]
        if list(body)[:1] != list(row.body)[:1]:
            bad.append(f"wrapper {list(body)[:1]} for {list(row.body)[:1]}")
        bad += dict.fromkeys(self._differences(row, inside(body)))
        if bad:
            self.differences.append(f"{row.role} {row.command} {dict(row.params)}: " + "; ".join(bad))

    def _differences(self, row: Exchange, have: Body) -> Iterator[str]:
        for path, wanted, found in pairs(row.inner, have, self.ids):
            if isinstance(wanted, str) and isinstance(found, str) and UUID.fullmatch(wanted) and UUID.fullmatch(found):
                if row.command == "associateIpAddress":
                    self.ids[wanted] = found  # public addresses keep their ids, and come back to other callers
                self.ids.setdefault(wanted, found)
            name = path.rpartition(".")[2]
            if self._is_chance(row, path, name):
                continue
            if found is ...:
                yield f"no {path}"
            elif wanted is ...:
                yield f"{path} too many"
            elif name in EXACT and wanted != found:
                yield f"{path} {found!r} for {wanted!r}"
            elif type(wanted) is not type(found) and not {type(wanted), type(found)} <= {int, float}:
                yield f"{path} is {type(found).__name__}, was {type(wanted).__name__}"

    @staticmethod
    def _is_chance(row: Exchange, path: str, name: str) -> bool:
        if row.command in DIARY:
            return "[]" in path or name == "count"
        return name in USAGE or bool(row.trimmed and name == "count")

    def _compare_order(self, row: Exchange, recorded: list[list[Body]], seen: list[list[Body]]) -> None:
        """Compare orders: what came earlier there must not come later here. Short states may have been missed."""
        wanted, found = entries(recorded, set(self.ids), self.ids), entries(seen, set(self.ids.values()), {})
        missed = {state for which, state in wanted.keys() - found.keys()}
        common = sorted(wanted.keys() & found.keys(), key=lambda entry: wanted[entry])
        swapped = [
            (first, then)
            for first, then in combinations(common, 2)
            if wanted[first] < wanted[then] and found[first] > found[then]
        ]
        if swapped or not missed <= TRANSIENT:
            why = f"swapped {swapped}, missed {missed} in {list(found)} for {list(wanted)}"
            self.differences.append(f"{row.role} routers while {dict(row.params)} ran: {why}")


def entries(looks: list[list[Body]], known: set[str], ids: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """In which look each router first was in each state; a router not yet ``known`` is a number, by order of coming."""
    new: dict[str, str] = {}
    entered: dict[tuple[str, str], int] = {}
    present: set[str] = set()
    for number, look in enumerate(looks):
        here = set()
        for router in look:
            uuid = router["id"]
            which = ids.get(uuid, uuid) if uuid in known else new.setdefault(uuid, str(len(new)))
            here.add(which)
            entered.setdefault((which, router["state"]), number)
        for gone in present - here:
            entered.setdefault((gone, "gone"), number)
        present |= here
    return entered


def pairs(want: Any, have: Any, ids: Mapping[str, str], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Walk both bodies; leaves and differences of shape as (path, wanted, found), ``...`` for what is missing."""
    if isinstance(want, dict) and isinstance(have, dict):
        for key in want.keys() | have.keys():
            yield from pairs(want.get(key, ...), have.get(key, ...), ids, f"{path}.{key}")
    elif isinstance(want, list) and isinstance(have, list):
        for n, item in enumerate(want):
            yield from pairs(item, _partner(item, n, have, ids), ids, f"{path}[]")
    else:
        yield path, want, have


def _partner(item: Any, place: int, have: list[Any], ids: Mapping[str, str]) -> Any:
    """Return the item of the same id; else the only one of the same name; else the one in the same place."""
    if not have:
        return ...
    place = min(place, len(have) - 1)
    if not isinstance(item, dict):
        return have[place]
    known, title = ids.get(str(item.get("id"))), str(item.get("name") or "")
    marks = {"id": known, "name": "" if NUMBERED.fullmatch(title) else title, "traffictype": item.get("traffictype")}
    for name, value in marks.items():
        alike = [other for other in have if isinstance(other, dict) and value and other.get(name) == value]
        if len(alike) == 1:
            return alike[0]
    return have[place]
