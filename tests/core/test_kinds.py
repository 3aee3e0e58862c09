"""The table of kinds: a new kind is one row and one prober, and shows everywhere; logs keep their own words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vrbench.core.kinds import BESIDE, HEADLINE, KINDS, UnknownKind, kind_of
from vrbench.probes.prober import PROBERS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Run vrbench with a kind that nobody has made yet."""
    command = [sys.executable, "-m", "tests.core.made_up_kind"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("profile keys", ["udp_interval", "udp_echo"]),
        ("cost lines", ["15 probes/s, 450 tracked"]),
        ("switched off", []),
        ("probers", []),
        ("results", [["udp-ingress/198.51.100.1:22/datagram", 1, True]]),
        ("live column", "in UDP"),
        ("colour", "#123456"),
        ("export column", [1.0, 1.0, 1.0]),
        ("columns at the end", []),
        ("calibration", [["ingress udp", 1]]),
    ],
)
def test_a_new_kind_is_one_row(found: dict[str, Any], place: str, expected: object) -> None:
    """Whatever lists kinds has it, with the figures of its probes."""
    assert found[place] == expected


def test_a_new_kind_has_streams_and_a_word_in_the_method(found: dict[str, Any]) -> None:
    """Its interval stands at its word there, since no letter is kept for it."""
    assert len(found["streams"]) == 3
    assert "udp.echo@200ms" in found["method id"]


def test_a_new_kind_has_rows_in_the_tables(found: dict[str, Any]) -> None:
    """The answer, the headline, the windows and the causes name it; none needs to know of it."""
    assert found["tables"].count("ingress UDP (echo)") == 4


def test_every_kind_has_its_own_words() -> None:
    """What logs say of a stream leads to one kind, and what people read to one as well."""
    for kind in KINDS:
        assert kind_of(kind.probe, kind.flow) is kind
    assert len({kind.key for kind in KINDS}) == len({kind.labels.name for kind in KINDS}) == len(KINDS)
    assert {kind for kind in KINDS if kind.crosses} == {*HEADLINE, *BESIDE}


def test_every_kind_of_the_harness_has_a_prober() -> None:
    """But for names, which only guests ask for."""
    assert {kind.prober for kind in KINDS} - set(PROBERS) == {"dns"}


def test_words_of_another_version_are_said_to_be() -> None:
    """A log may be of a vrbench that has more kinds."""
    with pytest.raises(UnknownKind, match="'udp-ingress' with flow 'datagram' is of no known kind"):
        kind_of("udp-ingress", "datagram")
