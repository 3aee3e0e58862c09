"""Profiles: defaults, overrides, and every mistake named with its place and the nearest valid name."""

import re
from pathlib import Path

import pytest

from vrbench.cli.profiles import shipped
from vrbench.core.plan.profile import ProfileError, load_profile, reference

BAD = sorted((Path(__file__).parent.parent / "bad_profiles").glob("*.toml"))
GOOD = '[probes]\negress_target = "203.0.113.1"\n'


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_bad_profile(path: Path) -> None:
    """Each bad profile gives exactly the problems written in its leading comments."""
    text = path.read_text()
    expected = [line.removeprefix("#! ") for line in text.splitlines() if line.startswith("#! ")]
    with pytest.raises(ProfileError) as caught:
        load_profile(text, path.name)
    assert caught.value.problems == expected


def test_there_are_bad_profiles() -> None:
    """The folder is found."""
    assert len(BAD) >= 6


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_profiles_are_valid(name: str) -> None:
    """Every shipped profile can be read and bears its own name."""
    assert load_profile(shipped()[name], name).name == name


def test_set_overrides_a_key() -> None:
    """--set lays a value over the profile, with or without TOML quotes."""
    profile = load_profile(GOOD, "x", ("trials.count=2", "probes.interval=10ms", 'environment.access="static-nat"'))
    assert (profile.trials.count, profile.probes.interval, profile.environment.access) == (2, 0.01, "static-nat")


@pytest.mark.parametrize("setting", ["trials", "trials=3", "=3"])
def test_malformed_set_is_explained(setting: str) -> None:
    """A --set without table, key and value says how to write one."""
    with pytest.raises(ProfileError, match=r"write table\.key=value"):
        load_profile(GOOD, "x", (setting,))


def test_every_default_is_valid_toml_that_reads_back() -> None:
    """The documented default of each key, put into a profile, changes nothing."""
    plain = load_profile(GOOD + "[lab]\n", "x")
    settings = tuple(f"{t}.{k}={d}" for t, k, d, _ in reference() if d and (t, k) != ("probes", "egress_target"))
    assert load_profile(GOOD + "[lab]\n", "x", settings) == plain


def test_a_mistake_by_set_is_said_to_be_there() -> None:
    """Not at the line of the file that it was laid over; the problems are headed by the file's path."""
    text = '[probes]\negress_target = "203.0.113.1"\ninterval = "100ms"\n'
    with pytest.raises(ProfileError) as raised:
        load_profile(text, "mine", ("probes.interval=3",), "profiles/mine.toml")
    assert raised.value.source == "profiles/mine.toml"
    (problem,) = raised.value.problems
    assert problem.startswith("--set: probes.interval: ")


def problems(text: str, *settings: str) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        load_profile(text, "x", settings)
    assert len(str(caught.value)) < 5000
    return caught.value.problems


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("9" * 400, "999… (400 characters) is out of range"),
        ("0x" + "f" * 8000, "a number of thousands of digits is out of range"),
        ("[" * 60 + "]" * 60, "… (120 characters) is not a whole number"),
        ('"' + "x" * 10_000 + '"', "… (10002 characters) is not a whole number"),
    ],
)
def test_what_is_huge_is_told_in_short(value: str, words: str) -> None:
    """With its key, and with what it begins with."""
    (problem,) = problems(GOOD, f"environment.vms={value}")
    assert problem.startswith("--set: environment.vms: ")
    assert words in problem


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("9" * 5000, "a number in it has thousands of digits"),
        ("[" * 50_000, "something in it is nested too deep"),
        (f"{{{'a.' * 5000}b = 1}}", "a key in it has more than twenty parts"),
    ],
)
def test_the_limits_of_the_reader_are_told(value: str, words: str) -> None:
    """Those of Python, which know nothing of profiles."""
    assert problems(f"x = {value}") == [f"not TOML: {words}"]


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("trials.settle", "9" * 400 + "s", "is too long; write at most 720h"),
        ("trials.settle", "721h", "is too long; write at most 720h"),
        ("trials.settle", "\u0661\u0662s", "is not a duration"),
        ("lab.rule_cost", "11." + "0" * 400 + "s", "… (406 characters) is out of range; write a duration from"),
    ],
)
def test_durations_have_an_end(key: str, text: str, words: str) -> None:
    """A month, or what the key allows; and figures that only look like ours are none."""
    (problem,) = problems(GOOD, f'{key}="{text}"')
    assert words in problem


@pytest.mark.parametrize("place", ["", "[trials]\n", "[nowhere]\n"])
def test_thousands_of_unknown_keys_are_counted(place: str) -> None:
    """The first few are named, the others counted, and it takes no time."""
    told = problems(place + "".join(f"k{i} = 1\n" for i in range(8000)) + GOOD)
    assert len(told) <= 11
    assert place == "[nowhere]\n" or "and 7990 more unknown" in told[-1]


def test_names_can_be_seen() -> None:
    """A name with a control character was never meant."""
    (problem,) = problems(GOOD, 'cloud.zone="a\\u001b[31m"')
    assert problem == "--set: cloud.zone: 'a\\x1b[31m' holds U+001B escape as its character 2; write it anew, by hand"
    assert "name: " in problems('name = "a\\u202eb"\n' + GOOD)[0]


def test_a_setting_sets_one_key() -> None:
    """What would be a second line of a profile is part of the value."""
    (problem,) = problems(GOOD, "trials.count=1\n[cloud]\nzone=3")
    assert problem.startswith("--set: trials.count: ")


def test_an_unknown_table_by_set_is_said_to_be_there() -> None:
    """As its keys are."""
    assert problems(GOOD, "probe.x=1") == ["--set: unknown table [probe]; did you mean probes?"]


OFFICE, HOME = "192.0.2.0/24", "198.51.100.7/32"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"auto"', "auto"),
        (f'"{OFFICE}"', OFFICE),
        (f'["{OFFICE}", "{HOME}"]', f"{OFFICE},{HOME}"),
        (f'"{OFFICE}, {HOME}"', f"{OFFICE},{HOME}"),
        (f'["auto", "{OFFICE}", "auto"]', f"auto,{OFFICE}"),
        ('"0.0.0.0/0"', "0.0.0.0/0"),  # who writes this wants it
    ],
)
def test_sources_are_one_or_several(written: str, read: str) -> None:
    """In a list or with commas, each once; "auto" stands for this machine among them."""
    profile = load_profile(f"{GOOD}[environment]\nsource_cidr = {written}\n", "p")
    assert profile.environment.source_cidr == read


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("[]", "[] is not a network"),
        ("[1]", "1 is not a network"),
        ('""', "'' is not a network"),
        (f'["{OFFICE}", "198.51.100.7"]', "'198.51.100.7' is not a network"),
        (f'"{OFFICE},"', "'' is not a network"),
        ('["2001:db8::/32"]', "'2001:db8::/32' is not a network"),
        ('["192.0.2.7/24"]', "'192.0.2.7/24' is not a network"),
        (str([f"10.0.{n}.0/24" for n in range(51)]), "has 51 networks; write at most 50"),
    ],
)
def test_what_is_no_source_is_named(written: str, words: str) -> None:
    """The one that is wrong, and what to write instead."""
    with pytest.raises(ProfileError, match=re.escape(words)):
        load_profile(f"{GOOD}[environment]\nsource_cidr = {written}\n", "p")
