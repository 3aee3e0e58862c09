"""The standard streams as they are inherited: closed, read by nobody any more, on a full disk, poor in characters.

Whoever looks (``| head``) and has had enough ends the command, and that is no failure. A command that has work to end,
as ``run`` has to remove what it built, goes on without being heard (``work_on``).
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import stat
import sys
from typing import IO, Any

SPELLED = {"≥": ">=", "≤": "<=", "→": "->", "–": "-", "×": "x", "±": "+-", "…": "...", "✓": "*", "µ": "u"}
FORWARD_ONLY = ("", "dumb", "unknown", "emacs", "network", "dialup")  # what TERM says of such terminals
BUFFER = 1 << 16  # bytes; tables are large
ERRORS = "vrbench.spelled"  # the name of the handler below, for streams that lack a sign


class NobodyReads(BaseException):
    """The reader of standard output has gone; like KeyboardInterrupt it passes every ``except Exception``."""


class Output(io.FileIO):
    """Standard output or error: what can't be written ends the command once, if it ``ends`` it, and then vanishes."""

    def __init__(self, number: int, ends: bool) -> None:
        super().__init__(number, "wb", closefd=False)
        self.ends = ends
        self.problem = ""  # what nobody was told of yet
        self._lost = False

    def write(self, data: Any) -> int:
        """Write all of it, also where somebody else made the stream one that does not wait."""
        rest = memoryview(data).cast("B")
        while rest and not self._lost:
            try:
                written = super().write(rest)
            except OSError as error:
                self._lose(error)
            else:
                rest = rest[written or 0 :]
                if written is None:
                    select.select([], [self], [])
        return len(memoryview(data).cast("B"))

    def _lose(self, error: OSError) -> None:
        self._lost = True
        gone = error.errno == errno.EPIPE or (
            error.errno == errno.EIO and stat.S_ISCHR(os.fstat(self.fileno()).st_mode)
        )
        if self.ends and gone:
            raise NobodyReads from None
        if self.ends:
            raise OSError(error.errno, error.strerror, "standard output") from None
        self.problem = "" if gone else error.strerror or str(error)


def settle() -> None:
    """Put streams that bear all this in place of Python's own, and nothing (/dev/null) in place of closed ones.

    A file that is opened later would get a closed one's number otherwise, and be written into.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    codecs.register_error(ERRORS, spelled)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  it lasts as long as the process
    sys.stdout = _text(sys.stdout, Output(1, ends=True))
    sys.stderr = _text(sys.stderr, Output(2, ends=False))


def _text(before: Any, raw: Output) -> io.TextIOWrapper:
    """Return a stream of text in the encoding of the one before; on a terminal, and on stderr, lines go out at once."""
    at_once = raw.fileno() == 2 or raw.isatty()
    encoding = before.encoding if before else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw, BUFFER), encoding=encoding, errors=ERRORS, line_buffering=at_once)


def spelled(error: UnicodeError) -> tuple[str, int]:
    """Spell signs that an encoding lacks, as figures can't do without them; any other becomes a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(SPELLED.get(sign, "?") for sign in lacking), error.end


def only_forward() -> bool:
    """Return whether the terminal shows lines and nothing else: no colours, and no view that is drawn anew."""
    return os.environ.get("TERM", "").lower() in FORWARD_ONLY


def work_on() -> None:
    """Let nothing that can't be written to standard output end the command: it has more to do than to speak."""
    if output := _output():
        output.ends = False


def finish() -> str:
    """Write what is still held back; return in words why not all could be written, where nobody was told yet."""
    output = _output()
    if output is None:
        return ""
    output.ends = False
    sys.stdout.flush()
    return output.problem and f"standard output: {output.problem}: what was printed is not all"


def for_programs() -> IO[str]:
    """Return standard output for a table that programs read: in UTF-8, whatever the language, but on a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


def _output() -> Output | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, Output) else None
