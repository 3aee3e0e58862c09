"""This machine's way to an address, as its kernel tells."""

from __future__ import annotations

import errno
from unittest.mock import patch

import pytest

from vrbench import route
from vrbench.route import NoWay, Way, has_ipv4, has_ipv6, way_to

HEADER = ["Iface", "Destination"]


def test_a_way_has_its_source_and_the_length_of_packets() -> None:
    """No packet leaves, and nobody has to be there."""
    way = way_to("127.0.0.1")
    assert way == Way("127.0.0.1", way.mtu)
    assert way.mtu > 1280


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENETUNREACH, "no route"),
        (errno.EINVAL, "a blackhole route"),
        (errno.EACCES, "a prohibiting route, or a firewall"),
        (errno.EHOSTUNREACH, "an unreachable route"),
        (errno.ENOBUFS, "No buffer space available"),
    ],
)
def test_why_there_is_none_is_worded(number: int, words: str) -> None:
    """Each kind of route that leads nowhere has its own error."""
    with patch("socket.socket.connect", side_effect=OSError(number, "")), pytest.raises(NoWay, match=words):
        way_to("192.0.2.1")


@pytest.mark.parametrize(
    ("rows", "has"),
    [
        ([HEADER, ["eth0", "00000000"]], True),
        ([HEADER, ["lo", "0000007F"], ["*", "00000000"]], False),
        ([HEADER], False),
        ([], True),  # nobody can tell
    ],
)
def test_ipv4_is_known_by_its_routes(rows: list[list[str]], has: bool) -> None:
    """Every address brings one along; the loopback and blackholes lead nowhere."""
    with patch.object(route, "_table", lambda _: rows):
        assert has_ipv4() is has


@pytest.mark.parametrize(
    ("rows", "has"),
    [
        ([["fd00", "eth0"]], True),
        ([["fe80000000000000", "eth0"], ["00000001", "lo"]], False),
        ([], False),
    ],
)
def test_ipv6_is_known_by_its_addresses(rows: list[list[str]], has: bool) -> None:
    """Those that reach no further than the next switch don't count."""
    with patch.object(route, "_table", lambda _: rows):
        assert has_ipv6() is has
