"""How a command reaches /bin/sh whatever the user's own shell is and says, and how its output is told from theirs.

sshd hands a command to the login shell, which may be csh or fish, and whose start-up files may greet. So the command
travels in letters that mean the same to all of them, and says a mark before anything else. Where the mark never comes,
something else was run: a forced command, a shell that lets nobody in.
"""

from __future__ import annotations

import re

MARK = b"vrbench begins\n"
# ping and sudo speak the user's language otherwise, and their words are read.
_SAY_MARK = "LC_ALL=C; export LC_ALL; echo vrbench begins\n"
_SPECIAL = re.compile(rb"[^A-Za-z0-9 ./_=:,@+-]")


def for_any_shell(command: str) -> str:
    """Return the line that has /bin/sh say ``MARK`` and carry ``command`` out."""
    letters = _SPECIAL.sub(lambda found: b"\\0%03o" % found[0][0], (_SAY_MARK + command).encode()).decode()
    return f"""exec /bin/sh -c 'eval "$(printf %b "$1")"' sh '{letters}'"""


def after_mark(heard: bytes) -> bytes | None:
    """Return what a command said itself; None while the mark has not come."""
    _, mark, said = heard.partition(MARK)
    return said if mark else None
