"""Where the agent lives in a guest, over connections that are only played: what is made anew, and what stays."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import cast

import pytest

from vrbench.core.model import Guest
from vrbench.probes.agent_home import AgentHome
from vrbench.probes.guest_agents import PythonAgent
from vrbench.remote.connection import Remote
from vrbench.remote.errors import CommandFailed, NoAnswer, RemoteError

FACTS = {"boot_id": "b", "python": "3.11", "kernel": "6", "monotonic_ns": 1, "wall_ns": 2, "gateway": "10.1.1.1"}


@dataclass
class Line:
    """A connection and the agent's process on it; ``error`` is what becomes of every question."""

    error: RemoteError | None = None
    open: bool = True
    asked: list[str] = field(default_factory=list)

    @property
    def remote(self) -> Line:
        return self

    def is_open(self) -> bool:
        return self.open

    def close(self) -> None:
        self.open = False

    def talk(self, command: str, timeout_s: float) -> Line:
        return self

    def skip_to(self, words: bytes, timeout_s: float) -> None:
        assert words == b"talking"

    def ask(self, line: bytes, timeout_s: float) -> bytes:
        self.asked.append(json.loads(line)[0])
        if self.error:
            raise self.error
        return json.dumps([0, json.dumps(FACTS)]).encode()


def settled(*lines: Line) -> AgentHome:
    """Return a home with an agent in it, whose connections will be these, one after the other."""
    following = iter(lines)
    home = AgentHome(Guest("vm1", "id", "10.1.1.10", "198.51.100.10", 22), lambda: cast("Remote", next(following)))
    home.path, home.agent = "/tmp/vrbench-1", PythonAgent(("python3",))
    return home


def test_a_connection_that_broke_unnoticed_is_made_anew() -> None:
    """The restart cuts it while nobody speaks: the next trial asks again on another, and the agent stays."""
    dead, alive = Line(NoAnswer("no answer in time")), Line()
    home = settled(dead, alive)
    assert home.settle_in().boot_id == "b"
    assert (dead.open, alive.open, home.path) == (False, True, "/tmp/vrbench-1")
    assert home.facts().boot_id == "b"
    assert (dead.asked, alive.asked) == (["facts"], ["facts"] * 2)


def test_a_guest_that_is_away_is_told() -> None:
    """Two connections without an answer are enough."""
    with pytest.raises(NoAnswer):
        settled(Line(NoAnswer("no")), Line(NoAnswer("no"))).settle_in()


def test_an_agent_that_ended_costs_no_connection() -> None:
    """What it said last is its answer; the connection goes on."""
    line = Line(CommandFailed("no such file"))
    done = settled(line).ask("facts")
    assert (done.code, done.err, line.open) == (1, b"no such file", True)
