"""The live view of a growing log agrees with the analysis of the finished one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.logs import MS, START, end, header, line, record
from vrbench.core.figures.windows import Allowance, find_windows
from vrbench.core.log.growing_log import GrowingLog
from vrbench.core.log.history import Fate, Marked
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.log.samples import read_samples


@given(st.text("RLF", min_size=1, max_size=60), st.integers(1, 40))
def test_live_windows_agree_with_the_analysis(outcomes: str, chunk: int) -> None:
    """Fed in chunks of any size, the live view counts the windows that analysis finds, and their closed time."""
    log = header() + line(outcomes) + end(len(outcomes))
    live = GrowingLog(800 * MS)
    for at in range(0, len(log), chunk):
        live.feed(log[at : at + chunk])
    (state,) = live.states()
    windows = find_windows(read_samples(LogFile.read(log, START), 0.8).streams[0].samples, Allowance(rtt_s=0.001))
    assert state.windows == len(windows)
    closed = sum(w.estimate_s for w in windows if outcomes[-1] == "R" or w is not windows[-1])
    assert abs(state.down_ns / 1e9 - closed) < 1e-6
    assert state.up is (outcomes[-1] == "R")


def test_a_probe_is_not_judged_before_its_time() -> None:
    """A probe sent 100 ms ago may still be answered: the stream is not down yet."""
    live = GrowingLog(800 * MS)
    live.feed(header() + line("RRRL"))
    assert live.states()[0].up


def test_a_send_that_took_long_gives_its_answer_as_much_more_time() -> None:
    """The live view judges a late answer by the latest moment at which the probe may have left, as analysis does."""
    sent = header() + record(RecordKind.SENT, 0, START)
    answered = record(RecordKind.REPLY, 0, START + 805 * MS)
    for took_ms, up in ((0, False), (5, True)):
        live = GrowingLog(800 * MS)
        live.feed(sent + record(RecordKind.SENT_BY, 0, START + took_ms * MS) + answered + end(10))
        assert live.states()[0].up is up


def test_forgetting_counts_from_the_operation_on() -> None:
    """Windows of the baseline don't count as the operation's."""
    live = GrowingLog(800 * MS)
    live.feed(header() + line("RRLLRRRRRRRRRR"))
    live.states()
    live.mark()
    assert (live.states()[0].windows, live.states()[0].down_ns) == (0, 0)


def test_there_are_no_states_before_the_header_is_whole() -> None:
    """The first line may come in two pieces."""
    live = GrowingLog(800 * MS)
    live.feed(header()[:20])
    assert live.states() == ()
    live.feed(header()[20:])
    assert [s.up for s in live.states()] == [None]


@pytest.mark.parametrize(
    ("kind", "windows"), [(RecordKind.AMBIGUOUS, 0), (RecordKind.TURNED_AWAY, 0), (RecordKind.REFUSED, 1)]
)
def test_a_probe_that_tells_nothing_is_neither_up_nor_down(kind: RecordKind, windows: int) -> None:
    """As if it had never been sent; one that was refused is down."""
    live = GrowingLog(800 * MS)
    live.feed(header() + line("RRLRRR") + record(kind, 2, START + 201 * MS) + end(6))
    (state,) = live.states()
    assert (state.windows, state.up) == (windows, True)


def test_an_answer_to_nothing_and_the_wall_clock_change_nothing() -> None:
    """A reply to a slot that was not sent; a wall clock far ahead of the monotonic one, which makes no probe lost."""
    live = GrowingLog(800 * MS)
    live.feed(
        header() + line("RRL") + record(RecordKind.REPLY, 9, START + 210 * MS) + record(RecordKind.WALL, 0, START << 20)
    )
    (state,) = live.states()
    assert (state.up, state.windows, state.judged_ns) == (True, 0, START + 100 * MS)
    assert not live.ended


def test_an_answer_after_the_threshold_is_a_loss() -> None:
    """It came, but too late."""
    live = GrowingLog(200 * MS)
    live.feed(header() + line("R") + line("sR", rtt_ms=300) + end(2))
    assert live.states()[0].up is False


def test_what_is_not_known_yet_is_told() -> None:
    """Since when the oldest probe is waited for; nothing once all is known."""
    log = GrowingLog(800 * MS)
    log.feed(header() + line("R") + record(RecordKind.SENT, 1, START + 100 * MS))
    log.feed(record(RecordKind.SENT, 2, START + 200 * MS))
    assert log.states()[0].asked_ns == START + 100 * MS
    log.feed(end(20))
    assert log.states()[0].asked_ns == 0


@pytest.mark.parametrize(("lost", "up", "windows"), [(2, True, 0), (3, False, 1)])
def test_losses_as_in_the_baseline_are_no_outage_and_longer_ones_are(lost: int, up: bool, windows: int) -> None:
    """Two in a row were lost before: so many change nothing, and one more is an outage from the first of them on."""
    live = GrowingLog(800 * MS)
    live.feed(header() + line("RRLLRR"))
    live.states()
    live.mark(Marked({"s": 2}))
    later = line("RRLLRR" + "RR" + "L" * lost + "R" * 9)[len(line("RRLLRR")) :]
    live.feed(later[: -len(line("R" * 9))] + end(8 + lost))
    (state,) = live.states()
    assert (state.up, state.windows) == (up, windows)
    assert state.since_ns == START + (0 if up else 800) * MS


def test_what_the_baseline_found_unfit_is_marked_so() -> None:
    """The live view leaves it out."""
    live = GrowingLog(800 * MS)
    live.feed(header() + line("LLL"))
    live.mark(Marked({}, frozenset({"s"})))
    assert live.states()[0].unfit


def test_every_probe_of_the_baseline_is_told_with_its_reason() -> None:
    """Answered, silent, refused, not sent, turned away; and late answers. None once the operation is requested."""
    live = GrowingLog(800 * MS)
    live.feed(header() + line("RLFfR") + record(RecordKind.REPLY, 1, START + 950 * MS))
    live.feed(record(RecordKind.TURNED_AWAY, 4, START + 402 * MS, 0, 11) + end(30))
    (history,) = live.histories()
    told = [(p.fate, p.reason) for p in sorted(history.probes, key=lambda p: p.at_ns)]
    fates = (Fate.ANSWERED, Fate.SILENT, Fate.REFUSED, Fate.NOT_SENT)
    assert told[:4] == list(zip(fates, (0, 0, 0x0301, 101), strict=True))
    assert history.late_ns == (START + 950 * MS,)
    live.mark()
    assert live.histories()[0].probes == ()
