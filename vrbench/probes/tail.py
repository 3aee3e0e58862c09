"""Reading a raw log while it is being written."""

from __future__ import annotations

from pathlib import Path

from vrbench.core.rawlog import RECORD, Header, Record, decode_header, decode_records


class LogTail:
    """Where a reader stands in a growing raw log; the file may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Header | None = None
        self._offset = 0

    def poll(self) -> tuple[Record, ...]:
        """The records written since the last call, whole ones only. Raises RawLogError for a file of another kind."""
        try:
            with self.path.open("rb") as log:
                log.seek(self._offset)
                fresh = log.read()
        except FileNotFoundError:
            return ()
        start = 0
        if self.header is None:
            if b"\n" not in fresh:
                return ()
            self.header, start = decode_header(fresh)
        records = tuple(decode_records(fresh, start))
        self._offset += start + len(records) * RECORD.size
        return records
