"""A command reaches /bin/sh whatever stands between."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from vrbench.remote.shell import after_mark, for_any_shell

ODD = """printf '%s|' "a'b" '!x' 'back\\\\slash' "$((1 + 1))" '$HOME' 'ü' '%d' '{a,b}' '~'
printf 'two\\nlines'; exit 3"""
SHELLS = (("sh",), ("bash",), ("bash", "--norc", "-B"), ("busybox", "ash"))
FOREIGN = tuple((name,) for name in ("tcsh", "csh", "fish", "zsh") if shutil.which(name))  # where there are any


@pytest.mark.parametrize("shell", SHELLS + FOREIGN, ids=" ".join)
def test_a_command_means_the_same_to_all_shells(shell: tuple[str, ...]) -> None:
    """Quotes, marks of history, expansions, line ends and its exit code."""
    plain = subprocess.run(["sh", "-c", ODD], capture_output=True, check=False)
    done = subprocess.run([*shell, "-c", for_any_shell(ODD)], capture_output=True, check=False)
    assert (done.returncode, after_mark(done.stdout), done.stderr) == (3, plain.stdout, b"")


def test_standard_input_is_the_commands() -> None:
    """The shell reads its script elsewhere."""
    done = subprocess.run(["sh", "-c", for_any_shell("cat")], input=b"data", capture_output=True, check=True)
    assert after_mark(done.stdout) == b"data"


def test_what_comes_before_the_mark_is_no_answer() -> None:
    """A greeting without a line's end as well; a mark that is not there is no empty answer."""
    assert after_mark(b"Welcome! vrbench begins\nanswer\n") == b"answer\n"
    assert after_mark(b"This account is currently not available.\n") is None
    assert after_mark(b"vrbench begins") is None
