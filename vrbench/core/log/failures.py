"""Why probes of ingress failed, one reason for each failed slot, from what the raw log says of how far it came.

    sent -> connected -> greeted -> logged in          (syn: only sent; banner: the greeting is its answer)

Silence is told by the last step that was reached, and late from never by what came after the threshold. A refusal has
its own reason. A slot that was never sent, whose answers contradict each other, or whose time was not over when the
log ended did not fail.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from enum import StrEnum

from msgspec import Struct, field

from vrbench.core.kinds import Aim, Layer
from vrbench.core.log.columns import last_ns, pick
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RecordKind, Refusal
from vrbench.core.model import Stream


class Failure(StrEnum):
    """The reasons, from the network's to the guest's."""

    SILENCE = "silence"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    CONNECTED_LATE = "connected late"
    CLOSED = "closed before a banner"
    NOT_SSH = "not SSH"
    BANNER_MISSING = "banner missing"
    BANNER_LATE = "banner late"
    LOGIN_MISSING = "login missing"
    LOGIN_LATE = "login late"
    BROKEN_OFF = "login broken off"
    LOGIN_REFUSED = "login refused"
    HOST_KEY_CHANGED = "host key changed"


REASONS = {
    Refusal.RST: Failure.RESET,
    Refusal.CLOSED: Failure.CLOSED,
    Refusal.CUT: Failure.CLOSED,
    Refusal.NOT_SSH: Failure.NOT_SSH,
    Refusal.LOGIN: Failure.LOGIN_REFUSED,
    Refusal.HOST_KEY: Failure.HOST_KEY_CHANGED,
    Refusal.BROKEN_OFF: Failure.BROKEN_OFF,
}
SSHD_LIMITS = {Refusal.STARTUPS: "MaxStartups", Refusal.PENALTY: "PerSourcePenalties"}  # whom sshd turns away
STEPS = (
    RecordKind.CONNECTED,
    RecordKind.GREETED,
    RecordKind.REPLY,
    RecordKind.REFUSED,
    RecordKind.AMBIGUOUS,
    RecordKind.TURNED_AWAY,
)
ICMP = 0x0300  # from here on a refusal's detail is an ICMP type and code


class _Attempt(Struct):
    """What a log says of one slot; times in ns, and the refusal with its detail."""

    sent_ns: int
    sent_by_ns: int  # when it had left at the latest
    steps: dict[RecordKind, int] = field(default_factory=dict)
    refused: int = 0


def count_failures(log: LogFile, threshold_s: float) -> dict[Stream, Counter[Failure]]:
    """Count why each stream to a public end failed, of the slots sent at the log's moment zero or later."""
    streams = log.header.streams
    layers = {i: h.stream.kind.layer for i, h in enumerate(streams) if h.stream.kind.aim is Aim.PUBLIC_END}
    attempts: dict[int, dict[int, _Attempt]] = defaultdict(dict)
    for kind, stream, detail, slot, t_ns in pick(log.records, RecordKind.SENT, RecordKind.SENT_BY, *STEPS).tolist():
        attempt = attempts[stream].get(slot)
        if kind == RecordKind.SENT and stream in layers:
            attempts[stream][slot] = _Attempt(t_ns, t_ns)
        elif attempt and kind == RecordKind.SENT_BY:
            attempt.sent_by_ns = max(attempt.sent_ns, t_ns)
        elif attempt and kind != RecordKind.SENT:
            attempt.steps.setdefault(RecordKind(kind), t_ns)
            attempt.refused = detail if kind == RecordKind.REFUSED else attempt.refused
    threshold_ns, end_ns = round(threshold_s * 1e9), last_ns(log.records)
    return {
        streams[i].stream: Counter(
            why
            for a in attempts[i].values()
            if a.sent_ns >= log.zero_ns and (why := failure(layer, a, threshold_ns, end_ns))
        )
        for i, layer in layers.items()
    }


def failure(layer: Layer, attempt: _Attempt, threshold_ns: int, end_ns: int) -> Failure | None:
    """Return the reason of one slot; None for one that did not fail or that nobody can judge."""
    due_ns = attempt.sent_by_ns + threshold_ns
    steps = attempt.steps
    in_time = {kind for kind, t_ns in steps.items() if t_ns <= due_ns}
    if RecordKind.REPLY in in_time or RecordKind.AMBIGUOUS in steps or RecordKind.TURNED_AWAY in steps:
        return None
    if RecordKind.REFUSED in in_time:
        return Failure.UNREACHABLE if attempt.refused >= ICMP else REASONS.get(Refusal(attempt.refused))
    if due_ns > end_ns:
        return None
    if layer is Layer.NETWORK or not steps:
        return Failure.CONNECTED_LATE if RecordKind.REPLY in steps else Failure.SILENCE
    if RecordKind.CONNECTED not in in_time:
        return Failure.CONNECTED_LATE if RecordKind.CONNECTED in steps else Failure.SILENCE
    return _after_connecting(layer, steps, in_time)


def _after_connecting(layer: Layer, steps: dict[RecordKind, int], in_time: set[RecordKind]) -> Failure:
    """Return the reason of a slot whose connection stood in time."""
    greeted = RecordKind.REPLY if layer is Layer.GREETING else RecordKind.GREETED
    if greeted not in in_time:
        return Failure.BANNER_LATE if greeted in steps else Failure.BANNER_MISSING
    return Failure.LOGIN_LATE if steps.keys() & {RecordKind.REPLY, RecordKind.REFUSED} else Failure.LOGIN_MISSING
