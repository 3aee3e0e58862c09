"""vrbench profiles: the shipped profiles and the keys that a profile may have."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import click

from vrbench.cli.exits import UsageProblem
from vrbench.cli.lists import entry
from vrbench.cli.say import say
from vrbench.core.plan.profile import load_profile, reference
from vrbench.core.plan.tables import Profile
from vrbench.core.suggest import did_you_mean
from vrbench.core.values import quoted
from vrbench.plain_files import read_text

MOST_BYTES = 1_000_000  # of a profile


@click.command("profiles", epilog="Example: vrbench profiles lab-parallel > mine.toml")
@click.argument("name", required=False)
@click.option("--keys", is_flag=True, help="Every key there is, with its default.")
def command(name: str | None, keys: bool) -> None:
    """List the shipped profiles, print one (to copy and edit), or list the keys."""
    if keys:
        for table, key, default, text in reference():
            say(f"{table}.{key} = {default}\n    {text}")
    elif name:
        say(shipped()[_known(name)].rstrip())
    else:
        for known, text in shipped().items():
            say(entry(known, text.splitlines()[0].lstrip("# "), 16))


def open_profile(name: str, settings: tuple[str, ...]) -> Profile:
    """Read a profile by file name, or by the name of a shipped one. Raises UsageProblem or ProfileError."""
    path = Path(name)
    if path.suffix == ".toml" or os.path.isfile(path):
        try:
            text = read_text(path, MOST_BYTES)
        except OSError as error:
            raise UsageProblem(f"can't read the profile {path}: {error.strerror}") from error
        return load_profile(text, path.stem, settings, str(path))
    return load_profile(shipped()[_known(name)], name, settings)


def shipped() -> dict[str, str]:
    """Return the shipped profiles' texts by name: inside the installed package, or beside it in a checkout."""
    inside = resources.files("vrbench") / "profiles"
    folder = inside if inside.is_dir() else resources.files("vrbench") / ".." / "profiles"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in files}


def _known(name: str) -> str:
    names = list(shipped())
    if name in names:
        return name
    raise UsageProblem(
        f"{quoted(name)} is no shipped profile, and no file here has that name; {did_you_mean(name, names)}"
    )
