"""A raw log, read once: what samples, evidence and failures are taken from."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from vrbench.core.log.columns import Records, read_records
from vrbench.core.log.rawlog import LogHeader, decode_header


class LogFile(Struct, frozen=True, eq=False):
    """A log's header and records; ``zero_ns`` is the moment, on the log's own clock, from which ``*_s`` times count."""

    header: LogHeader
    records: Records
    zero_ns: int = 0

    @classmethod
    def read(cls, log: bytes, zero_ns: int = 0) -> LogFile:
        """Read a log. Raises RawLogError when the header can't be read."""
        header, offset = decode_header(log)
        return cls(header, read_records(log, offset, header), zero_ns)

    def counted_from(self, zero_ns: int) -> LogFile:
        """Return the log with another moment zero."""
        return replace(self, zero_ns=zero_ns)
