"""What is wrong with a text that is no TOML: which character stands where, and what was probably meant."""

from __future__ import annotations

import re

from vrbench.core.text import character, visible

_AT = re.compile(r"^(.*) \(at line (\d+), column (\d+)\)$", re.DOTALL)
_HINTS = {
    "{": "this looks like JSON: write name = value",
    "<": "this looks like XML: write name = value",
    ":": "write = between name and value",
    ";": "a comment begins with #",
    "/": "a comment begins with #",
}


def explained(text: str, message: str) -> str:
    """Return the reader's message with the character that it stumbled over, and a hint."""
    found = _AT.match(message)
    if not found:
        return message
    said, number, column = found[1], int(found[2]), int(found[3])
    lines = text.split("\n")
    line = lines[number - 1] if number <= len(lines) else ""
    if "Illegal character" in said:  # which one is told below
        said = "a character that must not stand here"
    beside = (i for i, c in enumerate(line.partition("#")[0]) if _is_odd(c))
    at = column - 1 if _is_odd(line[column - 1 : column]) else next(beside, -1)
    if at >= 0:
        return f"line {number}, column {at + 1} holds {character(line[at])}: {_straight(line[at])} ({said})"
    hint = _HINTS.get(line[column - 1 : column], "")
    if number == 1 and line.strip() == "---":
        hint = "this looks like YAML: write name = value"
    elif not hint and said == "Invalid value" and re.match(r"[A-Za-z]", line[column - 1 :]):
        hint = "put text in quotes"
    return f"line {number}, column {column}: {said}{f'; {hint}' if hint else ''}"


def _is_odd(one: str) -> bool:
    """Return whether a character has no place in TOML outside of quotes."""
    return bool(one) and not (one.isascii() and one.isprintable()) and not one.isalnum() and one != "\t"


def _straight(odd: str) -> str:
    if odd.isspace():
        return "write a plain blank"
    if visible(odd) != odd:
        return "write the line anew"
    return "write it in plain letters, and text in straight quotes"
