"""How counts and times of day are worded, and how words of others are shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

# What moves, hides or turns round the text beside it: controls, formats (Cf), surrogates, separators of lines, and what
# else is drawn as nothing. A test holds this against Unicode's own categories.
_UNSEEN = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_CALLED = {
    "\0": "null",
    "\t": "tab",
    "\n": "line feed",
    "\r": "carriage return",
    "\x1b": "escape",
    "\ufeff": "byte order mark",
}


def visible(text: str, but: str = "") -> str:
    r"""Return text that shows all that it holds: what can't be seen, or moves the rest, is written out as ``\x1b``.

    ``but``: characters that stay as they are. For whatever leaves for a screen, a report or a log that people read:
    names, a server's words and files hold what others put there.
    """
    if text.isascii() and text.isprintable():
        return text  # as nearly all is: tables ask for every cell
    return _UNSEEN.sub(lambda found: found[0] if found[0] in but else _written_out(found[0]), text)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def character(odd: str) -> str:
    """Return what a character is called that can't be shown, or looks like another: "U+00A0 no-break space"."""
    name = _CALLED.get(odd) or unicodedata.name(odd, "").lower() or "a character without a name"
    return f"U+{ord(odd):04X} {name}"


def position(text: str, index: int) -> str:
    """Return where an index into a text stands, for people: "line 3, column 5"."""
    before = text[:index]
    return f"line {before.count(chr(10)) + 1}, column {index - before.rfind(chr(10))}"


def some(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: "1 VM", "10 VMs", "2 public addresses"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(vms: int, public_ips: int) -> str:
    """Return the size of an environment: "10 VMs, 10 public addresses"."""
    return f"{some(vms, 'VM')}, {some(public_ips, 'public address', 'public addresses')}"


def listed(items: Sequence[object]) -> str:
    """Return "1", "1 and 2", "1, 2 and 3"."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def few(names: Sequence[str]) -> str:
    """Return at most three names, and how many more: "vm1, vm2, vm3 and 7 more"."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def utc_text(moment: datetime, timespec: str = "milliseconds") -> str:
    """Return a moment with a time zone as ISO 8601 in UTC: "2026-11-24T12:00:00.000Z"."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def about(seconds: float) -> str:
    """Return "45 s", "3 min", "1 h 10 min": as exact as one plans by."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
