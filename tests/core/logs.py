"""Raw logs made by hand, for tests: a stream of slots with what became of them."""

from vrbench.core.kinds import KINDS
from vrbench.core.log.rawlog import RECORD, LogHeader, RecordKind, StreamHeader, encode_header
from vrbench.core.model import Direction, Stream

MS = 1_000_000
START = 1_000 * MS
END_MS = 60  # slots of a log that ends in good order, for tests that don't care


def stream(name: str = "s", direction: Direction = Direction.EGRESS, flow: str = "fresh") -> Stream:
    """Return a stream at 100 ms, of the kind that has this direction and flow."""
    kind = next(kind for kind in KINDS if (kind.direction, kind.flow) == (direction, flow))
    return Stream(name, direction, kind.probe, flow, "203.0.113.1", 0.1)


def header(*streams: Stream, node: str = "vm1") -> bytes:
    """Return the header line; every stream starts at START."""
    listed = streams or (stream(),)
    return encode_header(LogHeader(node, START, tuple(StreamHeader(s, START, 100 * MS) for s in listed)))


def record(kind: RecordKind, slot: int, t_ns: int, index: int = 0, detail: int = 0) -> bytes:
    """One record."""
    return RECORD.pack(kind, index, detail, slot, t_ns)


def line(outcomes: str, index: int = 0, rtt_ms: float = 1) -> bytes:
    """Return records for a string such as "RRLsR": replied, lost, refused (F), skipped (s), failed locally (f)."""
    made = b""
    for slot, outcome in enumerate(outcomes):
        due = START + slot * 100 * MS
        if outcome == "f":
            made += record(RecordKind.FAILED, slot, due, index, 101)
        if outcome in "RLF":
            made += record(RecordKind.SENT, slot, due, index)
        if outcome in "RF":
            kind = RecordKind.REPLY if outcome == "R" else RecordKind.REFUSED
            made += record(kind, slot, due + round(rtt_ms * MS), index, 0x0301)
    return made


def end(slots: int) -> bytes:
    """END, a second after the slot numbered ``slots`` would have been due."""
    return record(RecordKind.END, 0, START + slots * 100 * MS + 1000 * MS)
