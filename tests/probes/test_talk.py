"""A command that answers lines: how it is told that it ended, and that no answer is taken for another's."""

from __future__ import annotations

import io
import queue
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from vrbench.remote.connection import Remote, Talk
from vrbench.remote.errors import CommandFailed, NoAnswer, RemoteError
from vrbench.remote.shell import MARK


class Channel:
    """What paramiko gives, as far as a talk needs it; ``says`` is heard in this order."""

    def __init__(self, *says: bytes | Exception, eof_received: bool = False) -> None:
        self.eof_received = eof_received
        self.says: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
        self.sent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        for words in says:
            self.says.put(words)

    def settimeout(self, _: float) -> None:
        pass

    def sendall(self, line: bytes) -> None:
        self.sent.put(line)

    def recv(self, _: int) -> bytes:
        said = self.says.get(timeout=60)
        if isinstance(said, Exception):
            raise said
        return said

    def makefile_stderr(self, _: str) -> io.BytesIO:
        return io.BytesIO(b"killed\n")


def talk(channel: Any, alive: bool = True) -> Talk:
    transport: Any = SimpleNamespace(is_active=lambda: alive)
    return Talk(Remote(transport, "vm1"), channel)


def test_a_command_that_ended_says_why_though_the_connection_went_next() -> None:
    """Its end came in order: what it said last is the reason."""
    with pytest.raises(CommandFailed, match="killed"):
        talk(Channel(b"", eof_received=True), alive=False).ask(b"x", 1.0)


def test_a_connection_that_went_is_no_command_that_ended() -> None:
    """Even where nothing else has noticed yet that it is gone."""
    with pytest.raises(RemoteError, match="connection lost"):
        talk(Channel(b"")).ask(b"x", 1.0)


def test_an_answer_that_came_too_late_answers_nothing_else() -> None:
    """Who asks after a line without an answer is told so."""
    asked = talk(Channel(TimeoutError(), b"late\n"))
    with pytest.raises(NoAnswer):
        asked.ask(b"first", 1.0)
    with pytest.raises(RemoteError, match="an answer is missing"):
        asked.ask(b"second", 1.0)


def test_threads_ask_one_after_another() -> None:
    """A line is sent when the one before has its answer, so each gets its own."""
    channel = Channel(MARK)
    asked = talk(channel)
    answers: dict[bytes, bytes] = {}
    threads = [
        threading.Thread(target=lambda line=line: answers.update({line: asked.ask(line, 60.0)}))
        for line in (b"one", b"two")
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        line = channel.sent.get(timeout=60)
        assert channel.sent.empty()
        channel.says.put(b"of " + line)
    for thread in threads:
        thread.join(60)
    assert answers == {b"one": b"of one", b"two": b"of two"}
