"""A profile that is no TOML: which character stands where, and what was probably meant."""

from __future__ import annotations

import pytest

from vrbench.core.plan.profile import ProfileError, load_profile

QUOTES = "write it in plain letters, and text in straight quotes"
TEXTS = {
    "curly quotes": ("name = \u201cfield\u201d", f"line 1, column 8 holds U+201C left double quotation mark: {QUOTES}"),
    "one curly quote": ('a = 1\nname = "field\u201d\n', "line 2, column 14 holds U+201D right double quotation mark"),
    "a no-break space behind": ("a = 1\n[trials]\ncount = 1\xa0\n", "line 3, column 10 holds U+00A0 no-break space"),
    "a no-break space before": ("\xa0a = 1", "line 1, column 1 holds U+00A0 no-break space: write a plain blank"),
    "a name in curly quotes": ("\u2018name\u2019 = 1", "line 1, column 1 holds U+2018 left single quotation mark"),
    "a longer dash": ("count = \u20131", "line 1, column 9 holds U+2013 en dash"),
    "another equals sign": ("count \uff1d 1", "line 1, column 7 holds U+FF1D fullwidth equals sign"),
    "an escape": ('a = "\x1b[31m"', "line 1, column 6 holds U+001B escape: write the line anew"),
    "a mark in the middle": ("a = 1\n\ufeffb = 2", "line 2, column 1 holds U+FEFF byte order mark"),
    "a comment of an ini file": (
        "count = 1 ; few",
        "line 1, column 11: Expected newline or end of document after a statement; a",
    ),
    "a comment of another kind": ("count = 1 // few", "a comment begins with #"),
    "JSON": ('{"name": 1}', "line 1, column 1: Invalid statement; this looks like JSON"),
    "XML": ("<name/>", "this looks like XML"),
    "YAML": ("---\nname: x", "this looks like YAML"),
    "a colon": ("name: field", "line 1, column 5: Expected '=' after a key in a key/value pair; write = between"),
    "no quotes": ("zone = Z\xfcrich", "line 1, column 8: Invalid value; put text in quotes"),
    "no quotes, and a comment in curly ones": (
        "zone = x # \u201cours\u201d",
        "line 1, column 8: Invalid value; put text in",
    ),
}


@pytest.mark.parametrize(("text", "words"), TEXTS.values(), ids=TEXTS)
def test_the_character_and_its_place_are_told(text: str, words: str) -> None:
    """Rather than what a parser expected there."""
    with pytest.raises(ProfileError) as caught:
        load_profile(text, "x")
    (problem,) = caught.value.problems
    assert problem.startswith("not TOML: ")
    assert words in problem


@pytest.mark.parametrize("behind", [" ", "\xa0", "\\t"])
def test_an_address_with_a_blank_beside_it_is_that_address(behind: str) -> None:
    """Nothing else can be meant."""
    text = f'[probes]\negress_target = " 203.0.113.1{behind}"\ncontrol_target = "{behind}"\n'
    probes = load_profile(text, "x").probes
    assert (probes.egress_target, probes.control_target) == ("203.0.113.1", "")


def test_a_name_with_a_blank_that_is_none_is_refused() -> None:
    """The server would know no such zone, and its list would show one that looks the same."""
    with pytest.raises(
        ProfileError, match=r"cloud\.zone: 'Zone\\xa01' holds U\+00A0 no-break space as its character 5"
    ):
        load_profile('[cloud]\nzone = "Zone\xa01"\n[probes]\negress_target = "203.0.113.1"\n', "x")
