"""Raw logs judged: thresholds, gaps, torn and clean ends."""

import pytest

from tests.core.logs import MS, START, end, header, line, record, stream
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RawLogError, RecordKind
from vrbench.core.log.samples import punctual_share, read_samples
from vrbench.core.model import Outcome


def outcomes(log: bytes, threshold_s: float = 0.8) -> str:
    """Return the outcomes of a log's first stream, one letter each."""
    letters = {"replied": "R", "lost": "L", "refused": "F", "skipped": "s", "unknown": "u"}
    return "".join(letters[s.outcome] for s in read_samples(LogFile.read(log, START), threshold_s).streams[0].samples)


def test_outcomes_come_back_as_written() -> None:
    """Replied, lost, refused, never sent and failed locally are told apart; silence after END is not loss."""
    assert outcomes(header() + line("RLFsfRL") + end(6))[:7] == "RLFssRL"


def test_a_late_answer_is_a_loss_under_a_shorter_threshold() -> None:
    """The same log judged again under another Tmax gives other outcomes."""
    log = header() + line("RRR", rtt_ms=300) + end(3)
    assert outcomes(log, 0.8)[:3] == "RRR"
    assert outcomes(log, 0.2)[:3] == "LLL"


def test_a_log_cut_short_leaves_the_last_slots_unknown() -> None:
    """Without END a probe that could still be answered is unknown, not lost, and a torn record is ignored."""
    log = header() + line("RRRRRRRRRRLL") + b"\x01\x00torn"
    assert outcomes(log) == "RRRRRRRRRRuu"
    assert not read_samples(LogFile.read(log, START), 0.8).ended


def test_a_stopped_prober_leaves_gaps() -> None:
    """A prober that was stopped for a second leaves gaps, never losses, and the wait for END is no gap."""
    log = header() + line("RRR") + line("s" * 13 + "RR") + end(15)
    assert outcomes(log) == "RRR" + "s" * 10 + "RR"


def test_duplicate_answers_count_once() -> None:
    """The first answer decides; a duplicate after the threshold changes nothing."""
    log = header() + line("R") + record(RecordKind.REPLY, 0, START + 2000 * MS) + end(1)
    sample = read_samples(LogFile.read(log, START), 0.8).streams[0].samples[0]
    assert (sample.outcome, sample.rtt_s) == (Outcome.REPLIED, 0.001)


def test_punctual_share_counts_skipped_as_late() -> None:
    """Two of four slots in time: one skipped, one 3 ms late."""
    log = header() + line("RRs") + record(RecordKind.SENT, 3, START + 303 * MS) + end(4)
    assert punctual_share(read_samples(LogFile.read(log, START), 0.8).streams, 0.002) == 0.5


@pytest.mark.parametrize("log", [b"", b"no newline", b"not json\n", b'{"format": "other/1"}\n', b"[]\n"])
def test_unreadable_headers_are_named(log: bytes) -> None:
    """Bytes that are no raw log of this version are refused, never half read."""
    with pytest.raises(RawLogError):
        read_samples(LogFile.read(log, 0), 0.8)


def test_two_streams_keep_apart() -> None:
    """Records go to the stream whose index they bear."""
    log = header(stream("a"), stream("b")) + line("RL", 0) + line("LR", 1) + end(2)
    a, b = read_samples(LogFile.read(log, START), 0.8).streams
    assert [s.outcome for s in a.samples[:2]] == [Outcome.REPLIED, Outcome.LOST]
    assert [s.outcome for s in b.samples[:2]] == [Outcome.LOST, Outcome.REPLIED]


def test_answers_that_contradict_each_other_are_a_gap() -> None:
    """A reset, and then the repeated probe accepted: the slot is neither up nor down."""
    log = header() + line("RFR") + record(RecordKind.AMBIGUOUS, 1, START + 120 * MS) + end(3)
    assert outcomes(log) == "RuR"


def test_a_send_that_took_long_is_a_send_time_with_a_width() -> None:
    """The slot is answered like any other, and how much later it may have left is known; other slots have no width."""
    log = header() + line("RRLR") + record(RecordKind.SENT_BY, 1, START + 107 * MS) + end(4)
    samples = read_samples(LogFile.read(log, START), 0.8).streams[0].samples
    assert [s.outcome.value for s in samples] == ["replied", "replied", "lost", "replied"]
    assert [s.width_s for s in samples] == [0.0, 0.007, 0.0, 0.0]
    assert [samples[1].width_s, samples[1:][0].width_s, samples[2:][0].width_s] == [0.007, 0.007, 0.0]


def test_only_what_certainly_came_too_late_is_lost() -> None:
    """The threshold counts from the latest moment at which the probe may have left."""
    sent = header() + record(RecordKind.SENT, 0, START)
    answered = record(RecordKind.REPLY, 0, START + 805 * MS) + end(10)
    assert outcomes(sent + answered) == "L"
    assert outcomes(sent + record(RecordKind.SENT_BY, 0, START + 4 * MS) + answered) == "L"
    assert outcomes(sent + record(RecordKind.SENT_BY, 0, START + 5 * MS) + answered) == "R"
    assert (
        outcomes(sent + record(RecordKind.SENT_BY, 0, START + 5 * MS) + record(RecordKind.END, 0, START + 801 * MS))
        == "u"
    )


def test_a_long_send_of_an_older_log_is_read_as_one() -> None:
    """Older logs call it AMBIGUOUS right after SENT: a send time with a width. What comes later stays unknown."""
    log = header() + line("RR") + record(RecordKind.SENT, 2, START + 200 * MS)
    held, late = (record(RecordKind.AMBIGUOUS, 2, START + at * MS) for at in (207, 307))
    rest = record(RecordKind.REPLY, 2, START + 209 * MS) + end(3)
    samples = read_samples(LogFile.read(log + held + rest, START), 0.8).streams[0].samples
    assert outcomes(log + held + rest) == "RRR"
    assert samples.width_ns.tolist() == [0, 0, 7 * MS]
    assert outcomes(log + late + rest) == "RRu"
    knows = log.replace(b'{"format"', b'{"send_widths": true, "format"', 1)
    assert knows != log
    assert outcomes(knows + held + rest) == "RRu", "where SENT_BY is known, AMBIGUOUS means what it says"
    assert outcomes(header() + line("RRR") + record(RecordKind.AMBIGUOUS, 1, START + 107 * MS) + end(3)) == "RuR"


def test_one_wrong_bit_of_a_slot_makes_no_million_gaps() -> None:
    """A slot is tried when it is due: one that was due years later is a damaged number, and the log is refused."""
    log = header() + line("RRR") + record(RecordKind.SENT, 3 ^ 1 << 24, START + 300 * MS)
    with pytest.raises(RawLogError, match=r"slot 16777219 of s was tried 1677722 s too early: the log is damaged"):
        read_samples(LogFile.read(log, START), 0.8)
