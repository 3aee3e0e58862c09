"""Files that are read whole: only true files, and none that is larger than its kind can be.

Whoever reads a pipe waits for a writer, and /dev/zero has no end. All that is read of an operator's files is read here.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

# As the marks say that Windows puts first; the longer one first, since a shorter one begins it.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path, most_bytes: int) -> str:
    """Return the text of a file, its lines ended by ``\\n``. Raises OSError, also for what is no text."""
    return as_text(read_plain(path, most_bytes))


def as_text(content: bytes) -> str:
    """Return bytes as text: UTF-8, or what the mark at their beginning says. Raises OSError, which says where not."""
    mark, encoding = next(((m, e) for m, e in _MARKS if content.startswith(m)), (b"", _unmarked(content)))
    body = content[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, _no_text(body, error)) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unmarked(content: bytes) -> str:
    """Return what bytes without a mark are: UTF-8, but that a plain letter in two bytes has a null beside it."""
    for encoding, null in (("utf-16-le", 1), ("utf-16-be", 0)):
        if (
            len(content) % 2 == 0
            and content[null : null + 4 : 2] == b"\0\0"
            and 0 not in content[1 - null : 5 - null : 2]
        ):
            return encoding
    return "utf-8"


def _no_text(body: bytes, error: UnicodeDecodeError) -> str:
    """Say where bytes are no text, by line and column."""
    read = body[: error.start].decode(error.encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
    at = f"line {read.count(chr(10)) + 1}, column {len(read) - read.rfind(chr(10))}"
    return f"it is not {error.encoding.upper()} text: {at} holds the byte 0x{body[error.start]:02X}; save it as UTF-8"


# Not every system has all of these.
_TO_READ = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Return what a file holds. Raises OSError, whose ``strerror`` says why it can't be read, or is no file to read."""
    try:
        _check(os.stat(path))  # before it is opened: that alone makes some devices do something
        fd = os.open(path, _TO_READ)
    except ValueError:
        raise OSError(errno.EINVAL, "no file can have that name") from None
    with open(fd, "rb") as file:
        _check(os.fstat(fd))
        large = os.fstat(fd).st_size > most_bytes
        content = b"" if large else file.read()
    if large or len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes / 1e6:g} MB, so it can't be what it should be")
    return content


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file")
