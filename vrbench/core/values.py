"""How one value of a profile is read: each function takes what TOML gave and returns it resolved, or raises ValueError
with a sentence that says what is wrong and what to write instead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from vrbench.core.suggest import did_you_mean
from vrbench.core.text import character, visible

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Zµ]*)\s*", re.ASCII)
LONGEST_TEXT = 1000
LONGEST_S = 30 * 24 * 3600.0
MOST_SOURCES = 50
AUTO = "auto"
_SHOWN = 60  # characters of a value
_SUCH_NETWORKS = 'write "auto" or one such as "192.0.2.7/32", or a list of them'


def quoted(value: object) -> str:
    """Return a value as it is shown in a message: what it begins with, where it is long."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # Python's own limits: of digits, and of depth
        return "a number of thousands of digits" if isinstance(value, int) else "what is nested too deep to be shown"
    return shortened(shown)


def shortened(text: str) -> str:
    """Return text as it is shown in a message: what it begins with, where it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def text(value: object) -> str:
    """Read a name or an address: any string that can be seen, and that some server may have."""
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} is not text; put it in quotes")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{quoted(value)} is too long; write at most {LONGEST_TEXT} characters")
    odd = next((c for c in value if visible(c) != c or (c.isspace() and c != " ")), "")
    if odd:
        at = value.index(odd) + 1
        raise ValueError(f"{quoted(value)} holds {character(odd)} as its character {at}; write it anew, by hand")
    return value


def flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{quoted(value)} is neither true nor false")
    return value


def count(low: int, high: int) -> Callable[[object], int]:
    """Read a whole number from low to high."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{quoted(value)} is not a whole number; write one from {low} to {high}")
        if not low <= value <= high:
            raise ValueError(f"{quoted(value)} is out of range; write a number from {low} to {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[object], float]:
    """Read a number from low to high."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{quoted(value)} is not a number from {low:g} to {high:g}")
        return float(value)

    return read


def choice(*allowed: str) -> Callable[[object], str]:
    """Read one of the words."""

    def read(value: object) -> str:
        if value in allowed:
            return str(value)
        raise ValueError(f"{quoted(value)} is not known; {did_you_mean(value, allowed)}")

    return read


def duration(value: object) -> float:
    """Return seconds from "100ms", "15s", "2m", "1h" or "0s".

    A bare number is refused, since nobody can tell its unit.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match and match[2] in _UNITS:
        seconds = float(match[1]) * _UNITS[match[2]]
        if seconds <= LONGEST_S:
            return seconds
        raise ValueError(f"{quoted(value)} is too long; write at most {show_duration(LONGEST_S)}")
    raise ValueError(f'{quoted(value)} is not a duration; write a number with ms, s, m or h, such as "100ms"')


def duration_within(low_s: float, high_s: float) -> Callable[[object], float]:
    """Read a duration from low to high."""

    def read(value: object) -> float:
        seconds = duration(value)
        if not low_s <= seconds <= high_s:
            shortest, longest = show_duration(low_s), show_duration(high_s)
            raise ValueError(f"{quoted(value)} is out of range; write a duration from {shortest} to {longest}")
        return seconds

    return read


def show_duration(seconds: float) -> str:
    """Return the shortest text that ``duration`` reads back: "100ms", "15s", "2m"."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def address(value: object) -> str:
    """Return an IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(value.strip() if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError(f'{quoted(value)} is not an IPv4 address; write one such as "203.0.113.1"') from None


def address_or_empty(value: object) -> str:
    """Return an IPv4 address, or "" for none."""
    return "" if isinstance(value, str) and not value.strip() else address(value)


def sources(value: object) -> str:
    """Read whom a firewall lets in: "auto" or an IPv4 network with its prefix, or several, in a list or with commas.

    Returns them with commas, each once, as the API takes them.
    """
    several = value.split(",") if isinstance(value, str) else value
    if not isinstance(several, list) or not several:
        raise ValueError(f"{quoted(value)} is not a network; {_SUCH_NETWORKS}")
    if len(several) > MOST_SOURCES:
        raise ValueError(f"{quoted(value)} has {len(several)} networks; write at most {MOST_SOURCES}")
    return ",".join(dict.fromkeys(_source(one) for one in several))


def _source(value: object) -> str:
    """Read one source (a real server refuses an address without a prefix: 431)."""
    text = value.strip() if isinstance(value, str) else ""
    if text == AUTO:
        return AUTO
    try:
        if "/" not in text:
            raise ValueError
        return str(ipaddress.IPv4Network(text, strict=True))
    except ValueError:
        raise ValueError(f"{quoted(value)} is not a network; {_SUCH_NETWORKS}") from None
