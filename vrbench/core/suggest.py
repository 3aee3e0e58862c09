"""What was probably meant, where a name is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 100  # characters: nobody misspells a name into more


def nearest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return the known names most like ``word``, the best first; where several are shown they may be less alike."""
    if len(word) > LONGEST:
        return []
    return difflib.get_close_matches(word, list(known), n=most, cutoff=0.6 if most == 1 else 0.4)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return the question for the nearest name, or all names where none is near."""
    names = list(known)
    near = nearest(word, names) if isinstance(word, str) else []
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
