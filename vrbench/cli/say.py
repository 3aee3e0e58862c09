"""The one way by which words of vrbench reach a terminal; what is drawn there goes through ``console``."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vrbench.cli.streams import only_forward
from vrbench.core.text import visible


def say(text: str, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Print text with its line breaks; whatever else moves a terminal, or hides on it, is written out.

    ``err``: on stderr; ``nl``: end the line; ``style``: as ``click.style`` takes it, for all of the text.
    """
    shown = visible(text, but="\n")
    plain = not style or only_forward() or os.environ.get("NO_COLOR")
    file = sys.stderr if err else sys.stdout  # named, or click takes one that lacks signs for a mistake
    click.echo(shown if plain else click.style(shown, **style), file=file, nl=nl)


def say_aside(text: str) -> None:
    """Print text beside a command's results, on stderr."""
    say(text, err=True)


def called(line: str) -> str:
    """Return a command line of vrbench as one has to type it here: by sudo and by a path, where this one was."""
    typed = sys.argv[0]
    known = Path(typed).name != "vrbench" or shutil.which("vrbench")
    return f"{'sudo ' if 'SUDO_UID' in os.environ else ''}{'vrbench' if known else typed} {line}"


def say_json(value: object) -> None:
    """Print a value as JSON; whoever decodes it gets text that is as harmless as that on a terminal."""
    say(json.dumps(_visible(value), indent=1, allow_nan=False))


def _visible(value: object) -> object:
    if isinstance(value, str):
        return visible(value, but="\n")
    if isinstance(value, Mapping):
        return {name: _visible(part) for name, part in value.items()}
    return [_visible(part) for part in value] if isinstance(value, list | tuple) else value
