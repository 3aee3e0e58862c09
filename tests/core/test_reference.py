"""What is done at C speed comes to the same as the plain way, on any log: in order or not, whole or not."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core import reference
from vrbench.core.figures.unavailable import unavailable_s
from vrbench.core.figures.windows import Allowance, find_windows
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.outcomes import stretches
from vrbench.core.log.rawlog import RECORD, LogHeader, RecordKind, StreamHeader, encode_header
from vrbench.core.log.samples import Samples, punctual_share, read_samples
from vrbench.core.model import Direction, Outcome, Sample, Stream

MS = 1_000_000
START = 5_000 * MS
INTERVAL = 10 * MS
THRESHOLD_S = 0.05

Fact = tuple[int, int, int, int]  # kind, stream, slot, ns


def packed(streams: int, facts: list[Fact], tail: bytes = b"", starts: tuple[int, ...] = ()) -> bytes:
    """Return a raw log of those records; stream i starts i ms after START, or at its own of ``starts``."""
    headers = [
        StreamHeader(
            Stream(f"s{i}", Direction.EGRESS, "icmp-egress", "fresh", "203.0.113.1", 0.01),
            starts[i] if starts else START + i * MS,
            INTERVAL,
        )
        for i in range(streams)
    ]
    records = b"".join(RECORD.pack(kind, stream, 0, slot, t_ns) for kind, stream, slot, t_ns in facts)
    return encode_header(LogHeader("vm1", START, tuple(headers))) + records + tail


def prober(draw: random.Random, streams: int, slots: int) -> list[Fact]:
    """Return what a prober logs: sends, answers in batches, with losses, gaps, refusals, late and early ones."""
    sent: list[Fact] = []
    answers: list[tuple[int, Fact]] = []
    loss, odd = draw.choice((0.0, 0.02, 0.5)), draw.choice((0.0, 0.02, 0.3))
    for slot in range(slots):
        for i in range(streams):
            due = START + i * MS + slot * INTERVAL
            at = due + draw.choice((0, 1000, 2 * MS - 1, 2 * MS, 2 * MS + 1, draw.randrange(3 * MS)))
            if draw.random() < odd * 0.3:
                sent += [(RecordKind.FAILED, i, slot, at)] * draw.randrange(2)
                continue
            sent.append((RecordKind.SENT, i, slot, at))
            if draw.random() < odd:
                sent.append((RecordKind.SENT_BY, i, slot, at + draw.choice((-1, MS, 15 * MS, 70 * MS))))
            if draw.random() < odd:
                answers.append((at + MS, (RecordKind.CONNECTED, i, slot, at + MS)))
            if draw.random() < loss:
                continue
            rtt = draw.choice((1, 300_000, 5 * MS, 50 * MS, 50 * MS + 1)) if draw.random() < odd else draw.randrange(MS)
            kind = RecordKind.REFUSED if draw.random() < odd else RecordKind.REPLY
            answers += [(at + rtt, (kind, i, slot, at + rtt))] * (2 if draw.random() < odd else 1)
            if draw.random() < odd * 0.2:
                answers.append((at + rtt, (RecordKind.AMBIGUOUS, i, slot, at)))
    batch = draw.choice((1, 20 * MS))
    keyed = [((fact[3]), fact) for fact in sent] + [(-(-at // batch) * batch, fact) for at, fact in answers]
    return [fact for _, fact in sorted(keyed, key=lambda k: k[0])]


def disordered(draw: random.Random, facts: list[Fact]) -> list[Fact]:
    """Return it with records elsewhere, doubled (at another time) or left out, and some that belong to no slot."""
    found: list[Fact] = []
    for kind, stream, slot, at in facts:
        times = draw.choice(((at,),) * 5 + ((), (at, at + draw.randrange(60 * MS))))
        found += [(kind, stream, slot, t_ns) for t_ns in times]
    for _ in range(draw.randrange(1 + len(found) // 4)):
        a, b = draw.randrange(len(found)), draw.randrange(len(found))
        found[a], found[b] = found[b], found[a]
    for second in range(3):
        found.insert(draw.randrange(len(found) + 1), (RecordKind.WALL, 0, second, draw.choice((-5, 1 << 62, second))))
    return found


def queueing(draw: random.Random, slots: int) -> list[Fact]:
    """Return what a prober logs whose path stands still now and then: answers come in bursts, among other losses."""
    facts: list[Fact] = []
    opens, length = START, draw.choice((2, 5, 12))
    for slot in range(slots):
        at = START + slot * INTERVAL + draw.randrange(MS)
        if draw.random() < 0.06:
            opens = at + draw.randrange(length) * INTERVAL
        facts.append((RecordKind.SENT, 0, slot, at))
        late = opens > at and opens - at > draw.choice((30, 60)) * MS
        if not late and draw.random() > 0.03:
            facts.append((RecordKind.REPLY, 0, slot, max(at, opens) + draw.randrange(draw.choice((1, MS, 6 * MS)))))
    return sorted(facts, key=lambda fact: fact[3])


def last_moment(draw: random.Random, facts: list[Fact]) -> int:
    """When a log ends: at once, later, or just when the threshold of some probe is over."""
    sent = [at for kind, _, _, at in facts if kind == RecordKind.SENT]
    edges = [at + round(THRESHOLD_S * 1e9) + draw.choice((-1, 0, 1)) for at in sent[-20:]]
    return draw.choice([max(sent, default=START), max(sent, default=START) + 200 * MS, *edges])


def same(log: bytes, zero_ns: int, merge: int = 1, whole: bool = True, grain_s: float = 0.0) -> None:
    """Assert that both ways give the same samples, windows and figures."""
    plain, fast = reference.read_log(log, zero_ns, THRESHOLD_S), read_samples(LogFile.read(log, zero_ns), THRESHOLD_S)
    assert (fast.ended, fast.wall_ns) == (plain.ended, plain.wall_ns)
    assert len(fast.streams) == len(plain.streams)
    for theirs, stages, ours in zip(plain.streams, plain.stages, (s.samples for s in fast.streams), strict=True):
        assert tuple(ours) == theirs
        rtt_s = reference.usual_rtt_s(theirs)
        assert ours[: ours.baseline].answer_s(0.99) == rtt_s
        for patience_s, beyond_s in ((0.03, 0.0), (0.0, 0.002)):
            asked = (merge, rtt_s, whole, grain_s, patience_s, beyond_s)
            served = patience_s > 0
            by_value = (Allowance(rtt_s, beyond_s, grain_s, patience_s, served, THRESHOLD_S), merge, whole)
            assert find_windows(ours, *by_value) == reference.find_windows(theirs, *asked, stages, served, THRESHOLD_S)
            assert find_windows(theirs, *by_value) == reference.find_windows(theirs, *asked, (), served, THRESHOLD_S)
        since = [s for s in theirs if s.due_s >= 0]
        after = ours[ours.baseline :]
        assert list(after) == since
        assert unavailable_s(after, 0.01) == reference.unavailable_s(since, 0.01)
        assert after.gap_share == reference.gap_share(theirs)
        assert ours.unseen_s == pytest.approx(reference.unseen_s(theirs), rel=1e-12, abs=1e-9)
    assert punctual_share(fast.streams, 0.002) == reference.punctual_share(plain.streams, 0.002)


@settings(max_examples=150, deadline=None)
@given(st.integers(0), st.integers(1, 7), st.integers(1, 80), st.integers(-50, 900), st.integers(1, 4), st.booleans())
def test_a_probers_log(seed: int, streams: int, slots: int, zero_ms: int, merge: int, whole: bool) -> None:
    """Sends in turn, answers in batches: as probers write them."""
    draw = random.Random(seed)
    facts = prober(draw, streams, slots)
    if draw.random() < 0.7:
        facts.append((RecordKind.END, 0, 0, last_moment(draw, facts)))
    same(packed(streams, facts), START + zero_ms * MS, merge, whole, draw.choice((0.0, 0.015)))


@settings(max_examples=150, deadline=None)
@given(st.integers(0), st.integers(2, 200), st.integers(1, 3))
def test_a_log_of_a_path_that_stands_still(seed: int, slots: int, merge: int) -> None:
    """Probes that waited are told from slow ones by the plain way and by the fast one alike."""
    draw = random.Random(seed)
    same(packed(1, queueing(draw, slots)), START + draw.randrange(900) * MS, merge)


@settings(max_examples=150, deadline=None)
@given(st.integers(0), st.integers(1, 7), st.integers(1, 60), st.binary(max_size=40))
def test_a_log_out_of_order(seed: int, streams: int, slots: int, tail: bytes) -> None:
    """Records swapped, doubled, lost, and a tail that is no record."""
    draw = random.Random(seed)
    facts = disordered(draw, prober(draw, streams, slots))
    ends: list[Fact] = [(RecordKind.END, 0, 0, last_moment(draw, facts))] * draw.choice((0, 1, 2))
    same(packed(streams, facts + ends, tail), START + draw.randrange(900) * MS, draw.choice((1, 2)))


KINDS = st.sampled_from([*RecordKind, *[RecordKind.SENT, RecordKind.REPLY] * 4])
TIMES = st.one_of(st.integers(START, START + 400 * MS), st.integers(0, (1 << 61) - 1), st.integers(-9, 1 << 62))
FACTS = st.tuples(KINDS, st.integers(0, 2), st.integers(0, 40), TIMES)


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, max_size=80), st.integers(-(1 << 62), 1 << 62), st.integers(-(1 << 62), 1 << 62))
def test_any_records_at_all(facts: list[Fact], zero_ns: int, start_ns: int) -> None:
    """Whatever a log holds, at whatever times: the plain way and the fast one agree."""
    same(packed(2, facts, starts=(start_ns, START)), zero_ns)


def test_a_stream_that_comes_twice_in_each_turn_keeps_its_order() -> None:
    """Of two sends of a slot the last counts, of two answers the first, however regularly they come."""
    facts: list[Fact] = []
    for kind, later in ((RecordKind.SENT, 0), (RecordKind.REPLY, MS)):
        for slot in range(80):
            at = START + slot * INTERVAL + later
            facts += [(kind, 1, slot, at), (kind, 0, max(0, slot - 1), at), (kind, 0, slot, at + 300)]
    same(packed(2, facts), START + 400 * MS)
    samples = read_samples(LogFile.read(packed(2, facts), 0), THRESHOLD_S).streams[0].samples
    sent_ns, replied_ns = START + 8 * INTERVAL, START + 7 * INTERVAL + MS + 300
    assert samples[7] == Sample(7, samples[7].due_s, sent_ns / 1e9, Outcome.REPLIED, max(0, replied_ns - sent_ns) / 1e9)


@pytest.mark.parametrize("slow", [64, 63, 200])
def test_the_usual_round_trip_among_many(slow: int) -> None:
    """The 99th percentile of thousands of answers is exact, whatever of them a sample would meet."""
    facts: list[Fact] = []
    for slot in range(5000):
        at = START + slot * INTERVAL
        rtt = 4 * MS + slot if slot % slow == 0 else (slot * 7919) % MS
        facts += [(RecordKind.SENT, 0, slot, at), (RecordKind.REPLY, 0, slot, at + rtt)]
    same(packed(1, facts), START + 5000 * INTERVAL)


def test_a_slice_of_samples_is_samples() -> None:
    """Slots keep their numbers and times; a place from the end is a place."""
    log = packed(1, prober(random.Random(1), 1, 30))
    samples = read_samples(LogFile.read(log, START + 100 * MS), THRESHOLD_S).streams[0].samples
    listed = list(samples)
    assert isinstance(samples[3:9], Samples)
    assert list(samples[3:9]) == listed[3:9]
    assert list(samples[3:9][2:]) == listed[5:9]
    assert samples[3:9].baseline == len([s for s in listed[3:9] if s.due_s < 0])
    assert samples[-1] == listed[-1]
    assert samples == listed
    assert samples != listed[1:]
    assert samples[:2] != ["no", "samples"]
    with pytest.raises(IndexError):
        samples[len(samples)]
    with pytest.raises(ValueError, match="no step"):
        samples[::2]


def test_a_slot_out_of_all_reason_is_named() -> None:
    """A damaged slot number is an error that says so, not an attempt to fill all the memory there is."""
    log = packed(1, [(RecordKind.SENT, 0, 0, START), (RecordKind.SENT, 0, 0xFFFFFFF0, START + MS)])
    with pytest.raises(ValueError, match="damaged"):
        read_samples(LogFile.read(log, START), THRESHOLD_S)


def test_a_sample_is_one_of_the_reference() -> None:
    """The comparison itself compares: a sample more is seen."""
    samples = (
        read_samples(LogFile.read(packed(1, [(RecordKind.SENT, 0, 0, START)]), START), THRESHOLD_S).streams[0].samples
    )
    assert tuple(samples) != reference.read_log(packed(1, []), START, THRESHOLD_S).streams[0]
    assert isinstance(samples[0], Sample)


@given(st.text("RLFsu", max_size=60))
def test_stretches_are_next_to_each_other(letters: str) -> None:
    """Every sample of an outcome is in one stretch of it, and no other is."""
    outcomes = dict(zip("RLFsu", Outcome, strict=True))
    samples = [Sample(k, k, k, outcomes[c]) for k, c in enumerate(letters)]
    for outcome in Outcome:
        found = list(stretches(samples, outcome))
        assert all(a[1] < b[0] for a, b in pairwise(found))
        assert [k for begin, end in found for k in range(begin, end)] == [
            s.slot for s in samples if s.outcome is outcome
        ]
