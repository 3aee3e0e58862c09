"""Evidence in raw logs: what is there is found, whatever else is in between."""

from __future__ import annotations

import pytest

from tests.core.logs import END_MS, MS, START, end, header, line, record, stream
from vrbench.core.causes.evidence import History, Move, NeighbourEntry, Refusals, Speaker, read_evidence
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RawLogError, RecordKind

GATEWAY = 0x0A010101
MAC = 0x020000000102


def mac(t_ns: int, address: int = MAC) -> bytes:
    return record(RecordKind.NEIGHBOUR_MAC, address & 0xFFFFFFFF, t_ns, 0, address >> 32)


def entry(t_ns: int, state: int, address: int = GATEWAY) -> bytes:
    return record(RecordKind.NEIGHBOUR, address, t_ns, 0, state)


def test_entries_are_read_with_their_addresses() -> None:
    """A MAC belongs to the entry right behind it; one without is not known, one cut off by a crash is no entry."""
    log = header(stream()) + line("RRR") + mac(START) + entry(START, 2) + line("RR") + entry(START + 5 * MS, 0x20)
    found = read_evidence(LogFile.read(log + mac(START + 9 * MS) + b"\x11\0", START))
    assert found.node == "vm1"
    assert found.neighbours == {"10.1.1.1": History((NeighbourEntry(0.0, MAC, 2), NeighbourEntry(0.005, 0, 0x20)))}


def test_what_follows_damage_is_no_evidence() -> None:
    """The log ends at the first record that no prober wrote, for evidence as for samples."""
    log = (
        header(stream())
        + entry(START, 2)
        + bytes(16)
        + entry(START + MS, 0x20)
        + record(RecordKind.REFUSED, 0, START, 0, 1)
    )
    found = read_evidence(LogFile.read(log, START))
    assert found.neighbours == {"10.1.1.1": History((NeighbourEntry(0.0, 0, 2),))}
    assert found.refusals == {}


def test_addresses_are_kept_apart() -> None:
    """Each address has a history of its own."""
    log = header(stream()) + entry(START, 2) + entry(START, 4, 0xC6336402)
    assert set(read_evidence(LogFile.read(log, START)).neighbours) == {"10.1.1.1", "198.51.100.2"}


def test_refusals_are_runs_of_one_reason() -> None:
    """Slots next to each other with one reason are one run; the first answer of a slot counts."""
    slots = [(3, 0x030D), (4, 0x030D), (5, 1), (7, 1), (7, 2)]
    log = header(stream("a"), stream("b"))
    log += b"".join(record(RecordKind.REFUSED, slot, START + slot * 100 * MS, 1, detail) for slot, detail in slots)
    found = read_evidence(LogFile.read(log + end(END_MS), START)).refusals
    assert set(found) == {"b"}
    assert found["b"].runs == ((0.3, 0.5, 0x030D), (0.5, 0.6, 1), (0.7, 0.8, 1))
    assert [found["b"].at(t) for t in (0.29, 0.3, 0.49, 0.55, 0.65, 0.75, 0.8)] == [0, 0x030D, 0x030D, 1, 0, 1, 0]
    assert sorted(set(found["b"].cuts_within(0.35, 0.65))) == [0.5, 0.6]


def test_who_refused_is_told_by_the_ttl() -> None:
    """A guest's refusals come with that of its other answers; old logs, which have none, don't say."""
    speakers = [(3, 63), (4, 64), (5, 0)]
    log = header(stream()) + b"".join(record(RecordKind.REPLY, slot, START + slot, 0, 63) for slot in range(3))
    for slot, ttl in speakers:
        log += record(RecordKind.TTL, slot, START, 0, ttl) if ttl else b""
        log += record(RecordKind.REFUSED, slot, START, 0, 1)
    found = read_evidence(LogFile.read(log + end(END_MS), START)).refusals["s"]
    assert [found.by(t) for t in (0.35, 0.45, 0.55)] == [Speaker.GUEST, Speaker.ROUTER, Speaker.UNKNOWN]
    assert [found.at(t) for t in (0.35, 0.45, 0.55)] == [1, 1, 1]


def test_nothing_is_found_where_nothing_is() -> None:
    """A log without evidence has none, and one without a header can't be read."""
    found = read_evidence(LogFile.read(header(stream()) + line("RLRL") + end(END_MS), START))
    assert (found.neighbours, found.refusals, Refusals().at(1.0)) == ({}, {}, 0)
    with pytest.raises(RawLogError):
        read_evidence(LogFile.read(b"", START))


def test_a_move_is_announced_or_found_by_asking() -> None:
    """An address that replaces one still believed in was announced; after asking it was found."""
    old, new = 1, 2
    told = History(
        (
            NeighbourEntry(0, old, 2),
            NeighbourEntry(1, old, 4),
            NeighbourEntry(2, new, 4),
            NeighbourEntry(3, old, 0x20),
            NeighbourEntry(4, old, 2),
        )
    )
    assert told.moves() == (Move(2, announced=True), Move(4, announced=False))
    assert [told.mac_at(t) for t in (-1, 0.5, 2, 3.5, 4)] == [0, old, new, old, old]
    asked = History((NeighbourEntry(0, old, 2), NeighbourEntry(1, 0, 1), NeighbourEntry(2, old, 2)))
    assert asked.moves() == ()
    assert (asked.mac_at(1.5), asked.at(1.5)) == (old, NeighbourEntry(1, 0, 1))
