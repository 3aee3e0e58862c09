"""Lists of names: whole lines for programs, wrapped at words for people."""

from __future__ import annotations

import sys

import pytest

from vrbench.cli.lists import entry

TEXT = "routers lose so many percent of what they forward"


def test_a_pipe_gets_whole_lines() -> None:
    """One entry, one line, however long."""
    assert entry("packet-loss", TEXT * 5, 12) == f"packet-loss  {TEXT * 5}"


@pytest.mark.parametrize("columns", [80, 40, 10])
def test_a_terminal_gets_lines_that_fit(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Wrapped under the text, no word cut; a terminal of next to no width gets some."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = entry("packet-loss", TEXT, 12).splitlines()
    assert max(map(len, lines)) <= max(columns, 32)
    assert all(line.startswith(" " * 13) for line in lines[1:])
    assert " ".join(line[13:] for line in lines) == TEXT
