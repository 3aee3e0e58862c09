"""Ports behind which nobody listens: whoever accepts a connection there accepts everything."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import pytest

from vrbench.core.model import Endpoint
from vrbench.probes import nobodys_port
from vrbench.probes.nobodys_port import ASKED, PORTS, accepting, always_up

ENDS = (Endpoint("198.51.100.1", 22, "vm1"), Endpoint("198.51.100.1", 2200, "vm2"), Endpoint("198.51.100.2", 22, "vm3"))


def test_only_who_listens_is_taken_to_accept() -> None:
    """One that is refused, and one that can't even be asked, accept nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        ends = [listening.getsockname(), bound.getsockname(), ("255.255.255.255", 9)]
        assert accepting(ends, 5.0) == {listening.getsockname()}


@pytest.mark.parametrize(
    ("answered", "found"),
    [
        (0, set()),
        (1, set()),  # one port may be anybody's
        (ASKED, {"198.51.100.1:22", "198.51.100.1:2200"}),
    ],
)
def test_an_address_is_always_up_where_every_port_accepts(
    answered: int, found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then each of its public ends tells nothing; other addresses are not touched by that."""
    asked: list[tuple[str, int]] = []

    def accept(ends: Iterable[tuple[str, int]], _wait_s: float) -> frozenset[tuple[str, int]]:
        asked.extend(ends)
        return frozenset([end for end in asked if end[0] == "198.51.100.1"][:answered])

    monkeypatch.setattr(nobodys_port, "accepting", accept)
    assert always_up(ENDS) == found
    assert len(asked) == 2 * ASKED
    assert all(port in PORTS for _, port in asked)
