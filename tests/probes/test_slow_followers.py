"""A guest in which an interpreter takes long to start is heard all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from vrbench.probes.agent_home import AgentHome
from vrbench.probes.guest import FIRST_S, IDLE_S, GuestAgent
from vrbench.remote.errors import RemoteError


class SlowGuest:
    """Its follower's first words take ``starts_s``; ``given_s`` says how long each was waited for."""

    def __init__(self, starts_s: float) -> None:
        self.starts_s, self.given_s = starts_s, list[float]()
        self.guest = SimpleNamespace(name="vm1")

    def command(self, *arguments: str) -> str:
        return " ".join(arguments)

    @contextmanager
    def connection(self) -> Iterator[SlowGuest]:
        yield self

    def stream(self, _: str, idle_s: float, first_s: float) -> Iterator[bytes]:
        assert idle_s == IDLE_S
        self.given_s.append(first_s)
        if first_s < self.starts_s:
            raise RemoteError("no answer in time")
        yield b"news"


def fetched(guest: SlowGuest, log: Path, times: int) -> list[float]:
    agent = GuestAgent(cast(AgentHome, guest), log)
    for _ in range(times):
        try:
            agent._fetch()
        except RemoteError:
            continue
    return guest.given_s


@pytest.mark.parametrize(
    ("starts_s", "given_s"),
    [
        (0.1, [IDLE_S, IDLE_S, IDLE_S, IDLE_S, IDLE_S]),
        (5.0, [IDLE_S, 2 * IDLE_S, 2 * IDLE_S, 2 * IDLE_S, 2 * IDLE_S]),
        (1e9, [IDLE_S, 2 * IDLE_S, 4 * IDLE_S, 8 * IDLE_S, FIRST_S]),
    ],
)
def test_a_follower_is_waited_for_as_long_as_it_needs(starts_s: float, given_s: list[float], tmp_path: Path) -> None:
    """Twice as long after each that said nothing; as long as it took before, after one that spoke."""
    assert fetched(SlowGuest(starts_s), tmp_path / "guest.raw", 5) == given_s
