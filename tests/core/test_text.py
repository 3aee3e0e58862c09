"""Words of others are shown so that nothing of them is hidden, and nothing of them acts."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from vrbench.core.text import visible

IGNORED = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u3164\ufe0f\uffa0\U000e01ef"  # letters and marks, drawn as nothing


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b]0;owned\x07vm", r"\x1b]0;owned\x07vm"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\udcff.toml", r"\udcff.toml"),
        ("one\u2028two\x85three\nfour\tfive", r"one\u2028two\x85three\nfour\tfive"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("Zürich 数据 ✓ – ×", "Zürich 数据 ✓ – ×"),
    ],
)
def test_what_cannot_be_seen_is_written_out(said: str, shown: str) -> None:
    """As people know it from programs; what can be seen stays."""
    assert visible(said) == shown


def test_no_character_of_the_kinds_that_hide_or_act_is_left() -> None:
    """Unicode's controls, formats, surrogates and separators of lines, each by itself."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    unseen = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in kinds or c in IGNORED]
    assert len(unseen) > 2000
    assert [c for c in unseen if visible(c) == c] == []


def test_nothing_that_is_seen_is_changed() -> None:
    """Letters, digits, marks, signs and spaces of the first plane."""
    kinds = ("L", "N", "P", "S", "Zs")
    seen = [c for c in map(chr, range(0x10000)) if unicodedata.category(c).startswith(kinds) and c not in IGNORED]
    assert [c for c in seen if visible(c) != c] == []


def test_what_is_asked_for_stays() -> None:
    """Line breaks of our own."""
    assert visible("a\nb\x1b", but="\n") == "a\nb\\x1b"
