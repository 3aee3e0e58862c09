"""Reading a growing raw log."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrbench.core.model import Direction, Stream
from vrbench.core.rawlog import RECORD, Header, Kind, RawLogError, StreamHeader, encode_header
from vrbench.probes.tail import LogTail

STREAM = Stream("s", Direction.EGRESS, "icmp", "fresh", "192.0.2.1", 0.1)
LINE = encode_header(Header("n", 0, (StreamHeader(STREAM, 0, 100_000_000),)))


def test_records_come_once_and_whole(tmp_path: Path) -> None:
    """A file that is not there yet, a header in two parts and a record in two parts yield each record once."""
    tail = LogTail(tmp_path / "log")
    assert tail.poll() == ()
    first, second = (RECORD.pack(Kind.SENT, 0, 0, slot, slot) for slot in (0, 1))
    seen = []
    with (tmp_path / "log").open("ab", buffering=0) as log:
        for part in (LINE[:10], LINE[10:] + first[:7], first[7:] + second[:3], second[3:], b""):
            log.write(part)
            seen.append([record.slot for record in tail.poll()])
    assert seen == [[], [], [0], [1], []]
    assert tail.header is not None
    assert tail.header.streams[0].stream == STREAM


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """A file whose first line is no header is an error, not silence."""
    (tmp_path / "log").write_text("hello\n")
    with pytest.raises(RawLogError):
        LogTail(tmp_path / "log").poll()
