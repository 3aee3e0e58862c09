"""How many pings an address answers at a given rate, from this machine, in a moment. Nothing is kept.

A target that answers one ping may limit them. A limit with a large bucket, or one on the VMs' own way, is not seen from
here: what the baseline shows counts, this is a hint.
"""

from __future__ import annotations

from msgspec import Struct

from vrbench.probes.config import ProbeError
from vrbench.probes.echo import open_echo
from vrbench.probes.engine import FAILED, RECORD, REPLY, SENT, CannotProbe, Log, monotonic_ns
from vrbench.probes.pacing import linger, pace

SECONDS = 1.0
MOST_PER_S = 400.0  # whatever a plan asks for: it is somebody's machine that is pinged


class Answered(Struct, frozen=True):
    """What came of pings at a rate; ``errors``: the errno of each that could not be sent."""

    per_s: float
    sent: int
    answered: int
    errors: tuple[int, ...] = ()

    @property
    def answered_per_s(self) -> float:
        """How many were answered in a second."""
        return self.per_s * self.answered / max(1, self.sent)


class _Kept(Log):
    """A log that stays in memory."""

    def flush(self) -> None:
        return None


def answers_at(address: str, per_s: float, threshold_s: float, seconds: float = SECONDS) -> Answered:
    """Ping an address at that rate, or at the most that is allowed. Raises ProbeError where this user may not."""
    rate = min(per_s, MOST_PER_S)
    every_ns, log = round(1e9 / rate), _Kept("")
    try:
        prober = open_echo([{"flow": "fresh", "target": address, "interval_ns": every_ns}], log)
    except CannotProbe as error:
        raise ProbeError(str(error)) from error
    log.started_ns = begun = monotonic_ns()
    pace(prober, [(begun, every_ns)], log, lambda: monotonic_ns() - begun >= seconds * 1e9, lambda: None)
    linger(prober)
    return _counted(bytes(log.buffer), rate, round(threshold_s * 1e9))


def _counted(records: bytes, per_s: float, threshold_ns: int) -> Answered:
    sent: dict[int, int] = {}
    answered: set[int] = set()
    errors = []
    for kind, _, detail, slot, t_ns in RECORD.iter_unpack(records):
        if kind == SENT:
            sent[slot] = t_ns
        elif kind == FAILED:
            errors.append(detail)
        elif kind == REPLY and slot in sent and t_ns - sent[slot] <= threshold_ns:
            answered.add(slot)
    return Answered(per_s, len(sent) + len(errors), len(answered), tuple(errors))
