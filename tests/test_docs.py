"""The README can't drift: commands, options, keys, caveats, columns and exit codes stand in it."""

import re
from pathlib import Path

import click
import pytest

from vrbench.cli.blame import FAMILIES
from vrbench.cli.exits import Exit
from vrbench.cli.main import COMMANDS, cli
from vrbench.core.caveats import CaveatKind
from vrbench.core.plan.profile import TABLES as PROFILE_TABLES
from vrbench.core.plan.profile import reference
from vrbench.report.rows import COLUMNS

README = Path(__file__).parent.parent / "README.md"


def keys_section() -> str:
    """Every profile key."""
    lines = ["| key | default | what it is |", "|---|---|---|"]
    lines += [f"| `{t}.{k}` | {f'`{d}`' if d else ''} | {h} |" for t, k, d, h in reference()]
    return "\n".join(lines)


def caveats_section() -> str:
    """Return every caveat: what happened, what it means, what to do, and what it does to the verdict."""
    lines = ["| caveat | what happened | what it means | what to do | verdict |", "|---|---|---|---|---|"]
    lines += [f"| `{k}` | {k.happened} | {k.meaning} | {k.remedy} | {k.effect} |" for k in CaveatKind]
    return "\n".join(lines)


def columns_section() -> str:
    """Every column of every export table."""
    return "\n".join(f"- `{table}`: {', '.join(columns)}" for table, columns in COLUMNS.items())


SECTIONS = {"profile-keys": keys_section, "caveats": caveats_section, "export-columns": columns_section}


@pytest.mark.parametrize("name", SECTIONS)
def test_generated_section(name: str, rewrite: bool) -> None:
    """The part of the README between the markers is what the code says."""
    text = README.read_text()
    pattern = re.compile(rf"(<!-- {name}:[^\n]*-->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
    if rewrite:
        README.write_text(pattern.sub(lambda m: f"{m[1]}\n{SECTIONS[name]()}\n\n{m[3]}", text))
        text = README.read_text()
    found = pattern.search(text)
    assert found
    assert found[2].strip() == SECTIONS[name]()


def all_commands() -> dict[str, click.Command]:
    """Every command and subcommand by its words."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
    return found


@pytest.mark.parametrize("words", list(all_commands()))
def test_command_and_options_are_documented(words: str) -> None:
    """A command that isn't in the README doesn't exist for its users; nor does an option of run."""
    text = README.read_text()
    assert f"vrbench {words}" in text or f"`{words.split()[-1]}`" in text
    for parameter in all_commands()[words].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert max(parameter.opts, key=len) in text, f"{words} {parameter.opts}"


def test_exit_codes_are_documented() -> None:
    """Every exit code has its row."""
    text = README.read_text()
    for code in Exit:
        assert f"\n| {int(code)} |" in text


def test_every_table_of_the_profile_is_documented_in_its_class() -> None:
    """A table says what it is for."""
    assert all((kind.__doc__ or "").startswith(f"[{name}]") for name, kind in PROFILE_TABLES.items())


@pytest.mark.parametrize("path", FAMILIES)
def test_error_families_exist(path: str) -> None:
    """Every error that the exit codes are decided by is a class of that name."""
    module, _, name = path.rpartition(".")
    kind = getattr(__import__(module, fromlist=[name]), name)
    assert issubclass(kind, Exception)


def test_the_two_commands_run_what_they_say() -> None:
    """The README's two set-up commands are those of the bootstrap."""
    text = README.read_text()
    for what in ("demo", "test"):
        assert f"\npython3 -m vrbench.bootstrap --install-missing {what}\n" in text
