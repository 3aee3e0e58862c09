"""Profiles: defaults, overrides, and every mistake named with its place and the nearest valid name."""

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
