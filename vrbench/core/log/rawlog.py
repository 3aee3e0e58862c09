"""The raw sample log: what a prober writes as it probes, and all that analysis ever reads.

A log is one line of JSON (the header), then fixed records of 16 bytes, little endian:

    kind u8 | stream u8 | detail u16 | slot u32 | t_ns i64

Header: ``{"format": "vrbench-raw/1", "node": str, "started_ns": int, "streams": [{"name": str, "direction": str,
"probe": str, "flow": str, "target": str, "start_ns": int, "interval_ns": int}, ...]}``; it may say "method", how the
prober probes, and per stream "grain_ns", how far a send time may be off (0 but where ``pinglog`` made the log). A
record's ``stream`` is an index into ``streams``; slot k of a stream is due at ``start_ns + k * interval_ns``. All
``t_ns`` are CLOCK_MONOTONIC of the machine that probes, except where a kind says otherwise.

A send time is a moment, but where the send took long: then a SENT_BY follows the slot's SENT, and the probe left
somewhere between the two (``width_ns`` of samples is their distance). Its slot is answered or lost like any other, and
only the bounds of windows that it delimits are wider. Logs from before SENT_BY call such slots AMBIGUOUS, right
after SENT; they are read alike.

A silence on request (PAUSED to RESUMED) is neither gap nor loss: a stream's figures end where it begins, and what is
answered after it tells why the stream was down before.

Facts only: whether an answer came in time is decided when the log is read, so that a log can be judged again under
another threshold. A slot without a SENT or FAILED record was never sent. The agent that runs inside guests carries its
own copy of these numbers (it must be one self-contained file); a test holds the two together.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import TypeGuard

from msgspec import Struct

from vrbench.core.model import Direction, Stream

FORMAT = "vrbench-raw/1"
RECORD = struct.Struct("<BBHIq")
LATEST_NS = 1 << 61  # no machine has been up for 73 years


class RecordKind(IntEnum):
    """What a record says happened at ``t_ns``."""

    SENT = 1  # the probe left; t_ns was read just before the send
    # Its answer arrived (kernel receive time where available); for a banner: the identification string; for a SYN:
    # detail = the TTL with which it came, 0 where that is not known.
    REPLY = 2
    REFUSED = 3  # someone answered no; detail = ICMP type << 8 | code, or Refusal below
    FAILED = 4  # the local send failed and nothing left; detail = errno
    CONNECTED = 5  # banner and auth probes: the TCP connection stood, the banner was still to come
    WALL = 6  # once a second: t_ns = wall clock minus monotonic clock, slot = whole seconds since started_ns
    END = 7  # the prober stopped in good order at t_ns; after this, silence is not loss
    AMBIGUOUS = 8  # neither up nor down: a reset was contradicted by the repeated probe, or the prober stood still
    GREETED = 9  # auth probes: the identification string came, the login was still to come
    TURNED_AWAY = 10  # banner and auth probes: sshd's own limit, detail = Refusal: neither up nor down
    SENT_BY = 11  # the slot's send took long: t_ns was read right after it, so the probe left between SENT and this
    PAUSED = 12  # on request the stream is silent from this slot on, to see whether its flow is forgotten meanwhile
    RESUMED = 13  # and from this slot on it is probed again
    TTL = 14  # right before a slot's REFUSED: detail = the TTL with which the refusal came; tells who said it
    # A neighbour entry of the machine that probes (of no stream) is like this from t_ns on: its MAC address, where it
    # has one (detail = the upper 16 bits, slot = the lower 32), and right after it the entry itself.
    NEIGHBOUR_MAC = 16
    NEIGHBOUR = 17  # detail = the kernel's NUD_* state, 0 once the entry is gone; slot = the IPv4 address


class Refusal(IntEnum):
    """Reasons of a REFUSED record that are not ICMP (ICMP ones are type << 8 | code, all >= 0x0300)."""

    RST = 1  # a TCP reset answered the SYN
    CLOSED = 2  # connected, then closed before any banner (or reset, in logs that know no CUT)
    NOT_SSH = 3  # connected, and what came is not an SSH identification string
    LOGIN = 4  # greeted, and the run's key was refused
    HOST_KEY = 5  # greeted, with another host key than at first contact
    BROKEN_OFF = 6  # greeted, then closed, reset or misunderstood before the login
    SESSION_RESET = 7  # the established connection was reset
    SESSION_CLOSED = 8  # its far end closed it
    SESSION_GIVEN_UP = 9  # this machine's TCP gave it up after many minutes of silence
    SESSION_OVER = 10  # it had ended before this slot, for a reason that an earlier slot has
    STARTUPS = 11  # connected, and sshd said that it has too many who have not logged in (MaxStartups)
    PENALTY = 12  # connected, and sshd said that it has shut this machine out for a while (PerSourcePenalties)
    CUT = 13  # connected, then reset before any banner: by whom, a full connection does not show
    DNS = 0x0100  # | rcode: the resolver answered with an error (SERVFAIL 2, REFUSED 5, …)


class Record(Struct, frozen=True):
    """One fact of a raw log."""

    kind: RecordKind
    stream: int
    detail: int
    slot: int
    t_ns: int


class StreamHeader(Struct, frozen=True):
    """A stream and its schedule: slot k is due at ``start_ns + k * interval_ns``; a send time is known to the grain."""

    stream: Stream
    start_ns: int
    interval_ns: int
    grain_ns: int = 0


class LogHeader(Struct, frozen=True):
    """The first line of a raw log; ``method`` says how the prober probes.

    ``send_widths``: a send that took long has its SENT_BY. Logs that don't say so are from before it.
    """

    node: str
    started_ns: int
    streams: tuple[StreamHeader, ...]
    method: str = ""
    send_widths: bool = False


class RawLogError(ValueError):
    """The bytes are not a raw sample log of a format this version reads."""


def encode_header(header: LogHeader) -> bytes:
    """Return the header as its line of JSON, newline included; what is not known of it is left out."""
    streams = [
        {
            "name": h.stream.name,
            "direction": h.stream.direction.value,
            "probe": h.stream.probe,
            "flow": h.stream.flow,
            "target": h.stream.target,
            "start_ns": h.start_ns,
            "interval_ns": h.interval_ns,
            **({"grain_ns": h.grain_ns} if h.grain_ns else {}),
        }
        for h in header.streams
    ]
    how: dict[str, object] = {"method": header.method} if header.method else {}
    how |= {"send_widths": True} if header.send_widths else {}
    line = {**how, "format": FORMAT, "node": header.node, "started_ns": header.started_ns, "streams": streams}
    return json.dumps(line).encode() + b"\n"


def decode_header(log: bytes) -> tuple[LogHeader, int]:
    """Read a log's first line; returns the header and the offset of the first record. Raises RawLogError."""
    end = log.find(b"\n")
    if end < 0:
        raise RawLogError("no header line: the prober ended before it began")
    try:
        line = json.loads(log[:end])
        if line["format"] != FORMAT:
            raise RawLogError(f"format {line['format']!r}; this version reads {FORMAT!r}")
        streams = tuple(_stream_header(s) for s in line["streams"])
        node, started_ns = line["node"], line["started_ns"]
        if not isinstance(node, str) or not _is_moment(started_ns):
            raise RawLogError("unreadable header line: node must be text, started_ns a time")
        method, widths = str(line.get("method", "")), line.get("send_widths") is True
        return LogHeader(node, started_ns, streams, method, widths), end + 1
    except RawLogError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise RawLogError(f"unreadable header line: {error}") from error


def _is_moment(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and abs(value) <= 1 << 62


def _stream_header(fields: dict[str, object]) -> StreamHeader:
    interval_ns, start_ns, grain_ns = fields["interval_ns"], fields["start_ns"], fields.get("grain_ns", 0)
    if not (_is_moment(interval_ns) and _is_moment(start_ns) and _is_moment(grain_ns)):
        raise RawLogError("a stream's interval_ns, start_ns and grain_ns must be whole nanoseconds that fit 63 bits")
    if interval_ns <= 0:
        raise RawLogError("a stream's interval_ns must be more than 0")
    stream = Stream(
        name=str(fields["name"]),
        direction=Direction(str(fields["direction"])),
        probe=str(fields["probe"]),
        flow=str(fields["flow"]),
        target=str(fields["target"]),
        interval_s=interval_ns / 1e9,
    )
    return StreamHeader(stream, start_ns, interval_ns, grain_ns)


_KINDS = frozenset(RecordKind)


def decode_records(log: bytes, offset: int, streams: int = 256) -> Iterator[Record]:
    """Return the records from ``offset`` on, of a log of so many streams.

    A last record cut short by a crash is left out, and the log ends at the first record that can't be one (a tail of
    zeros after a power cut, a time that no clock shows): what comes after it is nothing that a prober wrote.
    """
    whole = (len(log) - offset) // RECORD.size * RECORD.size
    for kind, stream, detail, slot, t_ns in RECORD.iter_unpack(memoryview(log)[offset : offset + whole]):
        if kind not in _KINDS or stream >= streams or (kind != RecordKind.WALL and not 0 <= t_ns < LATEST_NS):
            return
        yield Record(RecordKind(kind), stream, detail, slot, t_ns)
