"""What really became of each probe, by the delay line's own log, and what was shut, by the gates' own clock.

Each stream is seen at the side of the line where its prober is: a probe that came in there and whose answer was not
sent on there within the threshold has failed, whatever lost or held it up beyond.
"""

from __future__ import annotations

import ipaddress
import json
import lzma
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench import scene_line
from tests.bench.scene_gates import OUTSIDE
from vrbench.core.kinds import ICMP_FRESH, ICMP_PERSISTENT, SSH_BANNER, SSH_SYN, ProbeKind
from vrbench.core.model import Environment

TRUTH, LOG = "scenes.json", "line.bin.xz"
GUEST_IN, GUEST_OUT, PUBLIC_IN, PUBLIC_OUT = range(4)
TURN_NS = 800_000_000
SERVED_S = 0.3  # a service that takes longer is slow by itself

RECORD = np.dtype(
    [
        ("t", "<u8"),
        ("stage", "u1"),
        ("place", "u1"),
        ("word", "u1"),
        ("", "u1"),
        ("source", "<u4"),
        ("target", "<u4"),
        ("token", "<u8"),
        ("first", "<u4"),
        ("second", "<u4"),
        ("slot", "<u8"),
    ]
)
Records = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """One scene as it was played, on the harness's clock. ``shut``: the clock around each commit of a gate."""

    number: int
    kind: str
    gate: str
    guest: str
    start_ns: int
    end_ns: int
    shut: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    effects: tuple[dict[str, Any], ...] = ()
    is_outage: bool = False

    @property
    def down_s(self) -> float:
        """How long its gate was shut, by the middles of its commits."""
        return sum((sum(end) - sum(start)) / 2e9 for start, end in self.shut)

    @property
    def is_fault(self) -> bool:
        return not self.is_outage

    @property
    def uncertainty_s(self) -> float:
        return sum((end[1] - end[0] + start[1] - start[0]) / 2e9 for start, end in self.shut)

    def meets(self, kind: ProbeKind, guest: str) -> bool:
        """Return whether its gate is in the way of a stream of that kind, from or to that guest."""
        way = self.gate.partition(",")[0]
        return self.guest in ("", guest) and (way not in ("egress", "ingress") or way == kind.direction.value)


@dataclass(frozen=True, slots=True)
class Probes:
    """One stream's probes in order: when they came by, whether they failed, and how long their answers took."""

    sent_ns: NDArray[np.int64]
    answered_ns: NDArray[np.int64]  # 0: never
    refused_ns: NDArray[np.int64]  # 0: never

    def failed(self, threshold_s: float) -> NDArray[np.bool_]:
        """Return which were not accepted in time: lost, late or refused."""
        late: NDArray[np.bool_] = self.answered_ns - self.sent_ns > round(threshold_s * 1e9)
        failed: NDArray[np.bool_] = np.logical_or(self.answered_ns == 0, late)
        return failed

    @property
    def refused(self) -> NDArray[np.bool_]:
        """Return which somebody said no to, and nobody yes."""
        refused: NDArray[np.bool_] = np.logical_and(self.refused_ns > 0, self.answered_ns == 0)
        return refused


@dataclass(frozen=True, slots=True)
class Truth:
    """All scenes of a trial, and the probes of each stream by kind and by guest or public address."""

    scenes: tuple[Played, ...]
    probes: dict[tuple[ProbeKind, str], Probes]
    slow_ns: dict[str, NDArray[np.int64]] = field(default_factory=dict)  # by public address: when sshd took long itself
    health: dict[str, Any] = field(default_factory=dict)


def read_truth(trial: Path, environment: Environment) -> Truth:
    """Read what the gates and the line left in a trial's directory."""
    told = json.loads((trial / TRUTH).read_text(encoding="utf-8"))
    scenes = tuple(_played(row) for row in told["scenes"])
    records = np.frombuffer(lzma.decompress((trial / LOG).read_bytes()), RECORD)
    # What else pings once or twice with an id of its own, to see whether something answers, is no stream.
    probes = dict(sorted(all_probes(records, environment), key=lambda pair: len(pair[1].sent_ns)))
    slow = {e.public_ip: slow_service(records, number(e.public_ip)) for e in environment.endpoints}
    return Truth(scenes, probes, slow, told["line"])


def keep_log(log: Path, trial: Path) -> None:
    """Keep of the line's log what is read again: a probe by its own side, and what reached the service."""
    records = np.frombuffer(log.read_bytes(), RECORD)
    word, inner = records["word"], np.isin(records["place"], (GUEST_IN, GUEST_OUT))
    pings = np.isin(word, (scene_line.ECHO, scene_line.ECHO_REPLY))
    answers = np.isin(word, (scene_line.SYN_ACK, scene_line.RST, scene_line.HELLO, scene_line.ACK))
    half_open = (word == scene_line.SYN) & (records["first"] >> 16 < scene_line.RAW_PORTS[1])
    ours = (records["place"] == PUBLIC_IN) & (word == scene_line.RST)  # the harness's own
    by_its_side = np.isin(records["place"], (GUEST_IN, PUBLIC_IN)) == (records["stage"] == scene_line.ARRIVED)
    kept = records[by_its_side & ~ours & np.where(inner, ~answers & ~half_open, ~pings)]
    (trial / LOG).write_bytes(lzma.compress(kept.tobytes(), preset=1))


def _played(row: dict[str, Any]) -> Played:
    shut = tuple((tuple(start), tuple(end)) for start, end in row.pop("shut"))
    return Played(**{**row, "shut": shut, "effects": tuple(row["effects"])})


def all_probes(records: Records, environment: Environment) -> Iterator[tuple[tuple[ProbeKind, str], Probes]]:
    for guest in environment.guests:
        name = guest.name
        for kind, found in _pings(records, number(guest.ip)):
            yield (kind, name), found
    for end in environment.endpoints:
        yield (SSH_SYN, end.public_ip), _connections(records, number(end.public_ip), banner=False)
        yield (SSH_BANNER, end.public_ip), _connections(records, number(end.public_ip), banner=True)


def number(address: str) -> int:
    return int(ipaddress.ip_address(address))


def _at(records: Records, place: int, stage: int, word: int) -> Records:
    here: Records = records[(records["place"] == place) & (records["stage"] == stage) & (records["word"] == word)]
    return here


def _pings(records: Records, guest: int) -> Iterator[tuple[ProbeKind, Probes]]:
    """Yield a guest's pings to the outside world by flow: which one keeps its id is the old one."""
    outside = number(OUTSIDE)
    asked = _at(records, GUEST_IN, scene_line.ARRIVED, scene_line.ECHO)
    asked = asked[(asked["source"] == guest) & (asked["target"] == outside)]
    replies = _at(records, GUEST_OUT, scene_line.SENT_ON, scene_line.ECHO_REPLY)
    replies = replies[(replies["target"] == guest) & (replies["source"] == outside)]
    errors = _at(records, GUEST_OUT, scene_line.SENT_ON, scene_line.UNREACHABLE)
    errors = errors[(errors["target"] == guest) & (errors["source"] == outside)]
    answers = _first(_rows(replies, "token", "first", "slot"), replies["t"])
    refusals = _first(errors["second"].tolist(), errors["t"])
    for token, stream in sorted(set(_rows(asked, "token", "first"))):
        mine = asked[(asked["token"] == token) & (asked["first"] == stream)]
        kind = ICMP_PERSISTENT if len(set(mine["second"].tolist())) == 1 else ICMP_FRESH
        keys = _rows(mine, "token", "first", "slot")
        quoted = [identity << 16 | slot & 0xFFFF for slot, identity in _rows(mine, "slot", "second")]
        yield kind, _probes(mine["t"], [answers.get(k, 0) for k in keys], [refusals.get(q, 0) for q in quoted])


def _rows(records: Records, *names: str) -> list[tuple[int, ...]]:
    return list(zip(*(records[name].tolist() for name in names), strict=True))


def _first(keys: Any, times: NDArray[Any]) -> dict[Any, int]:
    """Return when each key came first."""
    found: dict[Any, int] = {}
    for key, t_ns in zip(keys, times.tolist(), strict=True):
        found.setdefault(key, t_ns)
    return found


def _probes(sent: NDArray[Any], answered: list[int], refused: list[int]) -> Probes:
    order = np.argsort(sent, kind="stable")
    columns = (np.asarray(c, np.int64)[order] for c in (sent, answered, refused))
    return Probes(*columns)


def _connections(records: Records, public: int, banner: bool) -> Probes:
    """Return the connections to a public address: half-open ones, or those that ask for a banner."""
    asked = _at(records, PUBLIC_IN, scene_line.ARRIVED, scene_line.SYN)
    port = asked["first"] >> 16
    raw = (port >= scene_line.RAW_PORTS[0]) & (port < scene_line.RAW_PORTS[1])
    asked = asked[(asked["target"] == public) & (raw != banner)]
    sent = _first(_keys(asked, 16), asked["t"])
    if banner:  # a client that says hello is no banner probe
        hello = _at(records, PUBLIC_IN, scene_line.ARRIVED, scene_line.HELLO)
        for key in {k[0] for k in _keys(hello[hello["target"] == public], 16)}:
            sent = {k: t for k, t in sent.items() if k[0] != key}
    answers = _answers(records, public, scene_line.BANNER if banner else scene_line.SYN_ACK)
    refusals = _answers(records, public, scene_line.RST)
    errors = _at(records, PUBLIC_OUT, scene_line.SENT_ON, scene_line.UNREACHABLE)
    errors = errors[errors["source"] == public]
    refusals |= _first(_keys(errors, 16), errors["t"])
    if not banner:
        answers |= _old_handshakes(records, public, {k: t for k, t in sent.items() if k not in answers})
    times = np.asarray([*sent.values()], np.int64)
    return _probes(times, [answers.get(k, 0) for k in sent], [refusals.get(k, 0) for k in sent])


def _old_handshakes(records: Records, public: int, sent: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """Return when SYNs were answered by a bare acknowledgement: of a half connection that an earlier loss left.

    The path is up then, and the port listens. A port's turn comes again after the threshold at the earliest.
    """
    mine = _at(records, PUBLIC_OUT, scene_line.SENT_ON, scene_line.ACK)
    by_port: dict[int, list[int]] = defaultdict(list)
    for ports, t_ns in _rows(mine[mine["source"] == public], "first", "t"):
        by_port[ports & 0xFFFF].append(t_ns)
    found = {key: [t for t in by_port[key[0]] if sent_ns <= t < sent_ns + TURN_NS] for key, sent_ns in sent.items()}
    return {key: min(times) for key, times in found.items() if times}


def _keys(records: Records, shift: int, less: int = 0) -> list[tuple[int, int]]:
    """Return client port and sequence number of each."""
    ports = (records["first"] >> shift) & 0xFFFF
    numbers = (records["second"].astype(np.int64) - less) & 0xFFFFFFFF
    return list(zip(ports.tolist(), numbers.tolist(), strict=True))


def _answers(records: Records, public: int, word: int) -> dict[Any, int]:
    mine = _at(records, PUBLIC_OUT, scene_line.SENT_ON, word)
    mine = mine[mine["source"] == public]
    return _first(_keys(mine, 0, int(word == scene_line.BANNER)), mine["t"])


def slow_service(records: Records, public: int) -> NDArray[np.int64]:
    """Return when connections were made that had reached the guest, and whose banner left it late or not at all."""
    asked = _at(records, PUBLIC_IN, scene_line.ARRIVED, scene_line.SYN)
    asked = asked[(asked["target"] == public) & (asked["first"] >> 16 >= scene_line.RAW_PORTS[1])]
    sent = _first(_keys(asked, 16), asked["t"])
    reached = _at(records, GUEST_OUT, scene_line.SENT_ON, scene_line.SYN)
    left = _at(records, GUEST_IN, scene_line.ARRIVED, scene_line.BANNER)
    begun, said = _first(_keys(reached, 16), reached["t"]), _first(_keys(left, 0, 1), left["t"])
    slow = [t for k, t in sent.items() if k in begun and k in said and said[k] - begun[k] > SERVED_S * 1e9]
    return np.asarray(sorted(slow), np.int64)
