"""Runs a command on a terminal of its own: ``terminal.py COLUMNS COMMAND...``.

Prints all that was shown, and ends as the command did. COLUMNS 0 is a terminal that does not know its size.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios


def main() -> int:
    """Show it on, and return the exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    with os.fdopen(terminal, "rb", buffering=0) as shown:
        while part := _read(shown.fileno()):
            os.write(1, part)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # all who had it open have gone
        return b""


if __name__ == "__main__":
    sys.exit(main())
