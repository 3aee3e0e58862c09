"""Standard streams as they are inherited: closed, full, read by nobody, poor in characters. No code misleads."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.packed import unpack
from vrbench.cli.console import TextConsole
from vrbench.cli.screen import PlainScreen
from vrbench.cli.streams import NobodyReads, Output, spelled

STORED = Path(__file__).parent.parent / "stored" / "parallel" / "run.tar.xz"
MUCH = bytes(1_000_000)  # more than any pipe holds


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(STORED, tmp_path_factory.mktemp("stored") / "run")


def shell(line: str, stored: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``vrbench`` is this one and RUN a stored run."""
    text = line.replace("vrbench ", f"{sys.executable} -m vrbench ").replace("RUN", shlex.quote(str(stored)))
    environ = {**os.environ, **environ}
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60, check=False, env=environ)


def unread() -> int:
    """Return the end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_a_reader_that_has_gone_ends_the_command_once() -> None:
    """What is written after that, as by the interpreter at its end, vanishes."""
    output = Output(unread(), ends=True)
    with pytest.raises(NobodyReads):
        output.write(b"first")
    assert (output.write(b"second"), output.problem) == (6, "")


def test_a_full_disk_ends_it_as_what_it_is() -> None:
    """The words name the stream, which has no name of a file."""
    with open("/dev/full", "wb") as full, pytest.raises(OSError, match="No space left on device: 'standard output'"):
        Output(full.fileno(), ends=True).write(b"words")


def test_who_has_work_to_end_goes_on() -> None:
    """Nothing is raised; what went wrong is there to be told at the end, where it is not a reader who has gone."""
    with open("/dev/full", "wb") as full:
        outputs = [Output(number, ends=False) for number in (unread(), full.fileno())]
        assert [output.write(b"words") for output in outputs] == [5, 5]
    assert [output.problem for output in outputs] == ["", "No space left on device"]


def test_a_pipe_that_does_not_wait_gets_everything() -> None:
    """Somebody who shares the pipe has made it so."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sent: list[int] = []

    def send() -> None:
        sent.append(Output(writer, ends=True).write(MUCH))
        os.close(writer)

    thread = threading.Thread(target=send)
    thread.start()
    with os.fdopen(reader, "rb") as told:
        assert told.read() == MUCH
    thread.join()
    assert sent == [len(MUCH)]


def test_a_reader_that_has_had_enough_is_no_failure(stored: Path) -> None:
    """Whether it is gone before the first word, as click writes help, or in the middle of a large table."""
    commands = ("--help | true", "analyze RUN --json | true", "export RUN --table samples | head -n1 >/dev/null")
    done = shell("; ".join(f"vrbench {command}; echo ${{PIPESTATUS[0]}}" for command in commands), stored)
    assert (done.stdout, done.stderr) == ("0\n0\n0\n", "")


def test_a_full_disk_behind_standard_output_is_said(stored: Path) -> None:
    """Exit code 2 and words, from commands of every way of writing: who keeps the output must know."""
    done = shell(
        "for c in profiles 'export RUN' 'run isolated --plan'; do vrbench $c > /dev/full; echo $?; done", stored
    )
    assert done.stdout == "2\n2\n2\n"
    words = "vrbench: standard output: No space left on device"
    assert [line[: len(words)] for line in done.stderr.splitlines()] == [words] * 3


def test_closed_streams_are_nothing_special(stored: Path) -> None:
    """The command does what it does; and no file of its own gets a closed stream's number."""
    closed = (">&-", "<&- >&- 2>&-")
    done = shell("; ".join(f"vrbench export RUN {how}; echo $?" for how in closed), stored)
    assert (done.stdout, done.stderr) == ("0\n0\n", "")
    assert shell("vrbench analyze nothing 2>&-", stored).returncode == 64


def test_signs_that_a_terminal_lacks_are_spelled(stored: Path) -> None:
    """``≥`` is half of a figure: it must not become a question mark."""
    done = shell("vrbench analyze RUN", stored, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout.isascii(), "2 x egress" in done.stdout) == (0, True, True)
    assert spelled(UnicodeEncodeError("ascii", "≥→–é", 0, 4, "ordinal not in range")) == (">=->-?", 4)


def test_only_encoding_is_forgiven() -> None:
    """Bytes that are no text are another matter."""
    with pytest.raises(UnicodeDecodeError):
        spelled(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))


@pytest.mark.parametrize("term", ["", "dumb", "unknown", "xterm"])
def test_a_terminal_that_only_goes_forward_gets_lines(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No view that is drawn anew."""
    monkeypatch.setenv("TERM", term)
    console = TextConsole(file=io.StringIO())
    console._force_terminal = True
    assert console.can_draw is (term == "xterm")


def test_a_long_silence_is_broken() -> None:
    """In a log a phase that takes minutes must not look like one that hangs."""
    reader, writer = os.pipe()
    with (
        os.fdopen(reader) as told,
        os.fdopen(writer, "w", buffering=1) as out,
        PlainScreen(TextConsole(file=out), silence_s=0.05) as screen,
    ):
        screen.phase("building", "")
        screen.doing("deploying 2 VMs")
        lines = [told.readline() for _ in range(4)]
    assert [line.partition(" s  ")[2] for line in lines[2:]] == ["  still building: deploying 2 VMs\n"] * 2
