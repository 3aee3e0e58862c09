"""Files that are read whole: only true files, and none that is larger than its kind can be.

Whoever reads a pipe waits for a writer, and /dev/zero has no end. All that is read of an operator's files is read here.
"""

from __future__ import annotations

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


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Return what a file holds. Raises OSError, whose ``strerror`` says why it can't be read, or is no file to read."""
    try:
        _check(os.stat(path))  # before it is opened: that alone makes some devices do something
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
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
