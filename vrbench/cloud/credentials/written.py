"""Values as people's editors and shells leave them: what surely was not meant is left out and told, the rest refused.

A blank, a line's end or a character that can't be seen, at either end; quotes round the whole; a comment behind it. A
refusal says which character stands where, and shows no value: it may be the secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from vrbench.cloud.credentials.settings import Shape
from vrbench.cloud.errors import ConfigurationError
from vrbench.core.text import character, position, visible

QUOTES = "\"'`\u00ab\u00b4\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u2039\u203a\uff02\uff07"
_COMMENT = re.compile(r"\s+[;#].*\Z", re.DOTALL)
_WITHIN_QUOTES = re.compile(f"[{re.escape(QUOTES)}].*?[{re.escape(QUOTES)}](?=\\s+[;#]|\\Z)", re.DOTALL)
_COPIED = "write it anew, as one word"


@dataclass(frozen=True, slots=True)
class Written:
    """One value, where it stands, and what of it was left out; ``line`` is 0 where it is of no file."""

    value: str = field(repr=False)
    source: str  # "$CLOUDSTACK_KEY", "/home/me/.cloudstack.ini [prod]"
    line: int = 0
    column: int = 1
    left_out: tuple[str, ...] = ()

    def at(self, index: int) -> str:
        """Return where the character of that index stands, for people."""
        if not self.line:
            return f"character {self.column + index}"
        line, column = map(int, position(self.value, index).removeprefix("line ").split(", column "))
        return f"line {line + self.line - 1}, column {column + (self.column - 1 if line == 1 else 0)}"


def tidied(name: str, written: Written, shape: Shape) -> Written:
    """Return the value as it was meant. Raises ConfigurationError where nobody can know that."""
    written = _without_edges(written)
    if shape is Shape.VERBATIM:
        return written
    quoted = _without_quotes(_without_comment(written))
    if shape is Shape.WORD:
        check_word(name, quoted)
    return quoted


def check_word(name: str, written: Written) -> None:
    """Refuse what no word holds: blanks, quotes, and what can't be seen. Raises ConfigurationError."""
    for index, odd in enumerate(written.value):
        if odd.isspace() or odd in QUOTES or visible(odd) != odd:
            raise holds_odd(name, written, index)


def check_ascii(name: str, written: Written) -> None:
    """Refuse letters that look like others, and dashes that an editor made longer. Raises ConfigurationError."""
    for index, odd in enumerate(written.value):
        if not odd.isascii():
            raise holds_odd(name, written, index)


def holds_odd(name: str, written: Written, index: int) -> ConfigurationError:
    """Return the refusal of a value for one character of it."""
    odd = written.value[index]
    if odd == "\n" and written.line:
        goes_on = written.at(index + len(written.value[index:]) - len(written.value[index:].lstrip()))
        found = f"the {name} from {written.source} goes on at {goes_on}, since that line is indented more"
        return ConfigurationError(found, "indent it as the line above")
    found = f"the {name} from {written.source} holds {character(odd)} at {written.at(index)}"
    return ConfigurationError(found, _COPIED)


def _without_edges(written: Written) -> Written:
    """Leave out what stands before and behind a value and can't be seen."""
    value = written.value
    first, last = 0, len(value)
    while first < last and _is_edge(value[first]):
        first += 1
    while last > first and _is_edge(value[last - 1]):
        last -= 1
    told = tuple(f"ends in {character(c)}" for c in value[last:][:1])
    told += tuple(f"begins with {character(c)}" for c in value[:first][:1])
    return _part(written, first, last, told)


def _is_edge(odd: str) -> bool:
    """Return whether a character at an end was not meant: one that moves or colours what follows is another matter."""
    return odd.isspace() or odd in "\ufeff\u200b\u200c\u200d\u2060\xad"


def _without_comment(written: Written) -> Written:
    """Leave out a comment behind the value; not within quotes."""
    within = _WITHIN_QUOTES.match(written.value)
    found = _COMMENT.search(written.value, within.end() if within else 0)
    if not found:
        return written
    return _part(written, 0, found.start(), (f"has a comment behind it ({character(found[0].lstrip()[0])})",))


def _without_quotes(written: Written) -> Written:
    """Leave out quotes round the whole, straight or curly."""
    value = written.value
    if len(value) < 2 or value[0] not in QUOTES or value[-1] not in QUOTES:
        return written
    inner = _part(written, 1, len(value) - 1, (f"stands in quotes ({character(value[0])})",))
    return inner if inner.value == inner.value.strip() else _without_edges(inner)


def _part(written: Written, first: int, last: int, told: tuple[str, ...]) -> Written:
    if (first, last) == (0, len(written.value)):
        return written
    before = written.value[:first] if written.line else ""  # what is of no file has no lines
    down = before.count("\n")
    column = first - before.rfind("\n") if down else written.column + first
    return replace(
        written,
        value=written.value[first:last],
        line=written.line + down,
        column=column,
        left_out=(*written.left_out, *told),
    )
