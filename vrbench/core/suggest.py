"""What was probably meant, where a name is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return the known names most like ``word``, the best first; where several are shown they may be less alike."""
    return difflib.get_close_matches(word, list(known), n=most, cutoff=0.6 if most == 1 else 0.4)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question for the nearest name, or all names where none is near."""
    names = list(known)
    near = nearest(word, names)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
