"""Words of others on the screen: nothing of them moves the terminal, hides, or is taken for markup."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from vrbench.cli.console import TextConsole
from vrbench.cli.say import called, say, say_json
from vrbench.cli.screen import make_screen
from vrbench.report.layout import table, with_notes

CLI = Path(__file__).parents[2] / "vrbench" / "cli"
HOSTILE = "\x1b]0;owned\x07\x1b[2J[red]vm[/red] :skull: \u202egnp\x9b1m\udcff"
SHOWN = r"\x1b]0;owned\x07\x1b[2J[red]vm[/red] :skull: \u202egnp\x9b1m\udcff"
DOORS = {"say.py": {"echo"}, "console.py": {"Console"}}


def test_words_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """On both streams, in colour or not; line breaks of ours stay."""
    say(f"a\n{HOSTILE}", fg="red")
    say(HOSTILE, err=True)
    told = capsys.readouterr()
    assert SHOWN in told.out
    assert "a\n" in told.out
    assert told.err == f"{SHOWN}\n"


def test_json_decodes_to_words_that_do_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """However deep they are; numbers are numbers."""
    say_json({"a": [{"b": HOSTILE}, (1, 2.5, None, True)]})
    assert json.loads(capsys.readouterr().out) == {"a": [{"b": SHOWN}, [1, 2.5, None, True]]}


def test_what_is_drawn_is_text_and_nothing_else() -> None:
    """Lines, cells, headings, titles, notes, styled parts, and what a live view draws."""
    out = io.StringIO()
    console = TextConsole(file=out, width=200)
    drawn = table(HOSTILE, HOSTILE, "b")
    drawn.add_row(HOSTILE, Text(HOSTILE, style="red"))
    parts: list[RenderableType] = [HOSTILE, drawn, Padding(HOSTILE), Panel(HOSTILE)]
    parts.append(with_notes(Text.assemble((HOSTILE, "bold")), [HOSTILE]))
    console.print(Group(*parts), HOSTILE)
    with Live(Text(HOSTILE), console=console, auto_refresh=False):
        pass
    text = out.getvalue()
    assert not [c for c in "\x1b\x07\u202e\x9b\udcff" if c in text]
    assert text.count(r"[2J[red]vm[/red] :skull: \u202egnp\x9b1m\udcff") == 10


def test_colours_are_ours_alone() -> None:
    """On a terminal the only sequences are those that vrbench itself asks for."""
    out = io.StringIO()
    console = TextConsole(file=out, width=200)
    console._force_terminal = True
    console.print(Text("plain", style="bold"), Text(f"x{HOSTILE}"))
    assert "\x1b]0;" not in out.getvalue()
    assert "plain" in out.getvalue()


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda p: p.name)
def test_there_is_one_door(path: Path) -> None:
    """Whatever is printed goes through ``say``, whatever is drawn through the console: nobody can forget it."""
    tree = ast.parse(path.read_text())
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {f.attr if isinstance(f, ast.Attribute) else f.id for f in calls if isinstance(f, ast.Attribute | ast.Name)}
    bases = {ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
    doors = {name for name in names if name in ("echo", "secho")} | ({"Console"} & (bases | names))
    printed = {f.id for f in calls if isinstance(f, ast.Name) and f.id == "print"}
    assert doors | printed == DOORS.get(path.name, set())


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "\x1b[31m.toml"),
        ("run", "lab-parallel", "--set", "\x1b[31m=1"),
        ("run", "lab-parallel", "--\x1b[31m"),
        ("run", "lab-parallel", "--trials", "\x1b[31m"),
        ("\x1b[31m",),
        ("analyze", "\x1b[31m\udcff"),
        ("analyze", "x", "--reports", "\x1b[31m\udcff"),
        ("export", "x", "--format", "\x1b[31m\udcff"),
    ],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode(),
)
def test_a_command_line_is_quoted_without_its_controls(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Names that come from a shell's completion or a script may hold anything, bytes that are no text too."""
    done = subprocess.run(
        [sys.executable, "-m", "vrbench", *map(os.fsencode, arguments)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CLI.parents[1])},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64
    assert b"\x1b" not in done.stderr + done.stdout
    assert rb"\x1b[31m" in done.stderr


def test_a_note_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A name with line breaks in it can't pass for lines of ours, and no markup in it is one."""
    screen = make_screen(plain=True)
    screen.note("VM [bold]a\nrun: nothing left\x1b[1A")
    screen.phase("one\ntwo", "three\r")
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" s  ")[2] for line in told] == [
        r"  VM [bold]a\nrun: nothing left\x1b[1A",
        r"one\ntwo (next: three\r)",
    ]


@pytest.mark.parametrize(
    ("typed", "sudo", "shown"),
    [
        ("/usr/lib/python3/vrbench/__main__.py", False, "vrbench doctor"),
        (".venv/bin/vrbench", False, ".venv/bin/vrbench doctor"),
        (".venv/bin/vrbench", True, "sudo .venv/bin/vrbench doctor"),
    ],
)
def test_what_comes_next_is_said_as_it_has_to_be_typed(
    typed: str, sudo: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's shell does not find vrbench, and sudo's even less."""
    monkeypatch.setattr(sys, "argv", [typed])
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("SUDO_UID", raising=False)
    if sudo:
        monkeypatch.setenv("SUDO_UID", "1000")
    assert called("doctor") == shown
