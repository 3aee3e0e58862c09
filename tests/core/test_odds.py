"""When silence is proven: by how many probes, amid which losses, and never where an answer came late."""

from __future__ import annotations

import random
from math import comb

import pytest

from tests.core.logs import END_MS, MS, START, end, header, line, record, stream
from vrbench.core.causes.odds import FAR, LEAST, SILENT_ODDS, chance, silent
from vrbench.core.log.answers import Probes, answered_slots, probes_of, replies_by_stream
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.log.samples import read_samples

UP = "R" * 80


def probes(outcomes: str, late: tuple[int, ...] = (), askings: tuple[tuple[float, float], ...] = ()) -> Probes:
    """Return the probes of a log of such slots every 100 ms, of which some were answered 900 ms late."""
    log = header(stream()) + line(outcomes)
    log += b"".join(record(RecordKind.REPLY, slot, START + slot * 100 * MS + 900 * MS) for slot in late)
    file = LogFile.read(log + end(len(outcomes) + END_MS), START)
    (judged,) = read_samples(file, 0.8).streams
    return probes_of(judged.samples, answered_slots(replies_by_stream(file.records, 1)[0], ()), askings)


def test_the_chance_counts_orders() -> None:
    """Of all orders of the same losses, those in which a stretch holds as many as it has room for."""
    assert chance(4, 0, 160) == pytest.approx(1 / comb(164, 4))
    assert chance(3, 2, 10) == pytest.approx(comb(10, 2) / comb(13, 5))
    assert chance(3, 0, 0) == pytest.approx(1.0)


def test_chance_is_met_as_often_as_it_says() -> None:
    """Over many streams that lose at random, no stretch comes out as proven."""
    dice = random.Random(20261130)
    for share in (0.02, 0.1, 0.3, 0.7):
        found = probes("".join("L" if dice.random() < share else "R" for _ in range(4000)))
        assert not any(silent(found, start / 10, start / 10 + 3.0) for start in range(0, 4000, 7))


@pytest.mark.parametrize(
    ("outcomes", "proven"),
    [
        (UP + "L" * 4 + UP, True),
        (UP + "L" * 3 + UP, False),
        ("R" * 10 + "L" * 4 + "R" * 10, False),
        (UP + "RRL" * 10 + "L" * 40 + UP, False),
        (UP + "L" * 6 + "R" * 10 + "L" * 6 + UP, True),
        (UP + ("L" * 6 + "R" * 6) * 5 + UP, False),
    ],
    ids=["four", "three", "little known", "amid losses", "two outages", "a pattern"],
)
def test_a_silence_is_proven_by_what_is_around_it(outcomes: str, proven: bool) -> None:
    """From four probes on in a stream that is clean; of two outages neither explains the other, of five they do."""
    first = outcomes.index("LLLL" if "LLLL" in outcomes else "L")
    assert silent(probes(outcomes), first / 10 - 0.01, first / 10 + 0.59) is proven
    assert chance(LEAST, 0, 2 * FAR) <= SILENT_ODDS < chance(LEAST - 1, 0, 2 * FAR)


def test_an_answer_that_came_late_breaks_a_silence() -> None:
    """It shows that there was a way; but for what waited in its sender, which asked for an address until then."""
    outcomes = UP + "L" * 20 + UP
    assert silent(probes(outcomes), 8.0, 10.0)
    assert not silent(probes(outcomes, tuple(range(80, 100))), 8.0, 10.0)
    assert not silent(probes(outcomes, (99,)), 8.0, 10.0)
    assert silent(probes(outcomes, (99,), ((9.8, 9.95),)), 8.0, 10.0)
