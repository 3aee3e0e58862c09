"""A silence on request in a raw log: told from gaps and from losses, by its two records."""

from tests.core.logs import MS, START, end, header, line, record, stream
from vrbench.core.log.growing_log import GrowingLog
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.log.samples import StreamSamples, punctual_share, read_samples
from vrbench.core.model import Outcome


def log(outcomes: str, paused: int, resumed: int | None, other: str = "") -> bytes:
    """Return a log with a silence from one slot to another in its first stream."""
    made = header(stream("old", flow="persistent"), stream("new"))
    made += line(outcomes, 0) + line(other or "R" * len(outcomes), 1)
    made += record(RecordKind.PAUSED, paused, START + paused * 100 * MS - MS)
    if resumed is not None:
        made += record(RecordKind.RESUMED, resumed, START + resumed * 100 * MS - MS)
    return made + end(len(outcomes))


def read(outcomes: str, paused: int, resumed: int | None) -> StreamSamples:
    return read_samples(LogFile.read(log(outcomes, paused, resumed), START), 0.8).streams[0]


def test_figures_end_where_a_silence_begins() -> None:
    """Slots that were left out by intent are none of the stream's: no gap, and not late."""
    judged = read("RRLL" + "s" * 50 + "RR", 4, 54)
    assert [s.outcome for s in judged.samples] == [Outcome.REPLIED] * 2 + [Outcome.LOST] * 2
    assert judged.samples.gap_share == 0
    assert punctual_share([judged], 0.002) == 1.0


def test_what_came_after_a_silence_is_kept_apart() -> None:
    """It says why the stream was down before, and is in no window."""
    judged = read("RRLL" + "s" * 50 + "LR", 4, 54)
    assert judged.afterwards is not None
    assert [(s.slot, s.outcome) for s in judged.afterwards] == [(54, Outcome.LOST), (55, Outcome.REPLIED)]


def test_a_silence_that_did_not_end_is_followed_by_nothing() -> None:
    """The trial was interrupted, or the guest could not be told any more."""
    judged = read("RRLL", 4, None)
    assert judged.afterwards is not None
    assert len(judged.afterwards) == 0


def test_a_stream_that_was_not_asked_is_whole() -> None:
    """The other streams of the same guest go on."""
    other = read_samples(LogFile.read(log("RRLLss", 4, 6, "RRRRRR"), START), 0.8).streams[1]
    assert (len(other.samples), other.afterwards) == (6, None)


def test_the_live_view_waits_for_the_first_probe_after_a_silence() -> None:
    """Down until then, and up with the first answer: that is how the harness sees that the flow was pinned."""
    live, text = GrowingLog(800 * MS), log("RRLL" + "s" * 50 + "RR", 4, 54)
    live.feed(text)
    old, _ = live.states()
    assert (old.up, old.since_ns) == (True, START + 54 * 100 * MS)
