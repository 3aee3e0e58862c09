"""The generated parts of the documents: each is what the code says, so that no document can drift from it."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from tests.cli.commands import every_command, options
from tests.cloud.lab import QUICK, Lab, running_lab
from tests.docs.markdown import ROOT
from tests.docs.stored import stored_run
from tests.field import table as field_table
from tests.lab.test_shelves import ROOMS as LAB_ROOMS
from tests.test_layers import MAY_IMPORT, SHELVES
from vrbench.cli.exits import Exit
from vrbench.cli.main import COMMANDS
from vrbench.cli.profiles import shipped
from vrbench.cloud.check.operation_needs import unmet_needs
from vrbench.cloud.credentials.settings import PLACES, SETTINGS, Setting
from vrbench.core.caveats import CaveatKind
from vrbench.core.kinds import KINDS, Direction, ProbeKind
from vrbench.core.plan.operations import OPERATIONS
from vrbench.core.plan.profile import reference
from vrbench.core.plan.tables import SERVER_VERSIONS, TABLES
from vrbench.report.answer import answer
from vrbench.report.export_rows import COLUMNS
from vrbench.report.headline_table import headline_table
from vrbench.run.execute import execute_run
from vrbench.store import directory

ROLES = {"root": "root", "domadmin": "domain admins", "user": "users"}
BENCHES = ROOT / "tests/bench"


def run_output_part() -> str:
    """Return what a run's report begins with, of a stored one."""
    run, out = stored_run("parallel"), io.StringIO()
    Console(file=out, width=80).print(answer(run), "", headline_table(run), sep="\n")
    shown = out.getvalue().partition("  surely: ")[0]
    return "\n".join(("```text", *(line.rstrip() for line in shown.splitlines()), "```"))


def table(heads: str, rows: Iterable[Sequence[object]]) -> str:
    """Return a table; ``heads`` are separated by commas."""
    lines = (heads.split(", "), ["---"] * (heads.count(", ") + 1), *rows)
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def commands_part() -> str:
    """Return one line for each command."""
    return table("command, what it does", ((f"`vrbench {name}`", words) for name, (_, words) in COMMANDS.items()))


def command_reference_part() -> str:
    """Return every command with its usage, what it does and its options, a heading each."""
    return "\n\n".join(_command(words, command) for words, command in every_command().items())


def _command(words: str, command: click.Command) -> str:
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    help_ = (" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    listed = [(f"`{_spelled(option)}`", _meaning(option)) for option in options(command)]
    shown = [table("option, what it does", listed)] if listed else []
    return "\n\n".join((f"### `{' '.join(('vrbench', words, *arguments))}`", *help_, *shown))


def _spelled(option: click.Option) -> str:
    """Return the longest name of an option and what it takes."""
    name = max(option.opts, key=len)
    if option.is_flag:
        return name
    kind = option.metavar or ("" if isinstance(option.type, click.Choice) else option.type.name.upper())
    return f"{name} {kind.replace('RANGE', '').strip()}".strip()


def _meaning(option: click.Option) -> str:
    """Return the help of an option, its choices and its default."""
    choices = ", ".join(map(str, option.type.choices)) if isinstance(option.type, click.Choice) else ""
    default = option.default if isinstance(option.default, str | int | float | Path) and not option.is_flag else ""
    parts = (option.help or "", f"One of: {choices}." if choices else "", f"Default: {default}." if default else "")
    return " ".join(part for part in parts if part)


def profile_keys_part() -> str:
    """Return every key of a profile, a heading and a table for each of its tables."""
    return "\n\n".join(_profile_table(name, kind.__doc__ or "") for name, kind in TABLES.items())


def _profile_table(name: str, words: str) -> str:
    about = words.removeprefix(f"[{name}]: ")
    keys = [(f"`{t}.{key}`", f"`{d}`" if d else "", help_) for t, key, d, help_ in reference() if t == name]
    return f"### `[{name}]`\n\n{about[:1].upper()}{about[1:]}\n\n{table('key, default, what it is', keys)}"


def operations_part() -> str:
    """Return every operation on every kind of network: who may ask for it, by what the lab of each release lets on."""
    with ExitStack() as stack:
        labs = {v: stack.enter_context(running_lab(replace(QUICK, server_version=v))) for v in SERVER_VERSIONS}
        rows = [
            (f"`{name}`", network, *(_who(lab, name, network) for lab in labs.values()))
            for name, words in OPERATIONS.items()
            for network in words.networks
        ]
    return table(", ".join(("operation", "network", *labs)), rows)


def _who(lab: Lab, operation: str, network: str) -> str:
    """Return the roles that may ask for an operation, by the same look that a run takes before it builds."""
    may = [words for role, words in ROLES.items() if not any(unmet_needs(lab.cloud(role), operation, network))]
    return {len(ROLES): "everybody", 0: "nobody"}.get(len(may)) or " and ".join(may)


def shipped_profiles_part() -> str:
    """Return the shipped profiles, each with the first line of its file."""
    rows = ((f"`{name}`", text.splitlines()[0].lstrip("# ")) for name, text in shipped().items())
    return table("profile, what it is for", rows)


def settings_part() -> str:
    """Return every setting of cs: what it is, and why one is not honoured."""
    return table("setting, what it is, honoured", ((f"`{s.name}`", s.help, _honoured(s)) for s in SETTINGS))


def _honoured(setting: Setting) -> str:
    return f"no: {setting.not_honoured}" if setting.not_honoured else "yes"


def places_part() -> str:
    """Return the variables that say where settings are looked for."""
    return table("variable, what it says", ((f"`{name}`", words) for name, words in PLACES))


def caveats_part() -> str:
    """Return every caveat: what happened, what it means, what to do, and what it does to the verdict."""
    rows = ((f"`{kind}`", kind.happened, kind.meaning, kind.remedy, kind.effect) for kind in CaveatKind)
    return table("caveat, what happened, what it means, what to do, verdict", rows)


def export_columns_part() -> str:
    """Return the columns of every export table, in their order."""
    rows = ((f"`{name}`", ", ".join(f"`{column}`" for column in columns)) for name, columns in COLUMNS.items())
    return table("table, columns", rows)


def exit_codes_part() -> str:
    """Return every exit code with its meaning."""
    return table("exit code, meaning", ((int(code), code.meaning) for code in Exit))


def run_directory_part() -> str:
    """Return what lies in a run's directory, as the code that writes it says."""
    told = (inspect.getdoc(directory) or "").replace("``", "").splitlines()
    drawn = "\n".join(line for line in told if line.startswith("    "))
    return f"```text\n{textwrap.dedent(drawn)}\n```"


def rooms_part() -> str:
    """Return every room and shelf of the package, what it is, and what it may import."""
    named = ((name, imported) for name, imported in MAY_IMPORT.items() if name not in ("", "__main__"))
    return table("room or shelf, what it is, may import", (row for item in named for row in _room(*item)))


def _room(name: str, imported: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    """Yield the rows of one room: itself, then its shelves, where it can be in the order in which they may import."""
    at = ROOT / "vrbench" / name
    yield _place(at, _others(name, imported) or "nothing")
    if name in SHELVES:
        yield from (_place(at / shelf, f"what stands above it in `{name}`") for shelf in SHELVES[name])
    else:
        shelves = sorted(path.parent for path in at.glob("*/__init__.py"))
        yield from (_place(shelf, _rooms_of_the_lab(shelf.name)) for shelf in shelves)


def _place(at: Path, may_import: str) -> tuple[str, str, str]:
    """Return the row of a folder, or of the file of that name."""
    file = at / "__init__.py" if at.is_dir() else at.with_suffix(".py")
    name = (at if at.is_dir() else file).relative_to(ROOT / "vrbench")
    return f"`{name}`", _first_words(file), may_import


def _rooms_of_the_lab(shelf: str) -> str:
    """Return what a shelf of the lab may import beside itself."""
    return ", ".join(sorted(f"`lab/{other}`" for other in LAB_ROOMS[shelf])) or "nothing"


def _others(name: str, imported: Iterable[str]) -> str:
    return ", ".join(sorted(f"`{other}`" for other in imported if other not in (name, "")))


def _first_words(path: Path) -> str:
    """Return the first sentence of a file's docstring."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.])\s", text.replace("``", "`"))[0].rstrip(".:")


def phases_part() -> str:
    """Return what the main path says of itself."""
    return f"```text\n{inspect.getdoc(execute_run)}\n```"


def probe_kinds_part() -> str:
    """Return every kind of probe: its word in the method's id, its switch, which way it goes, and what it serves."""
    rows = ((f"`{k.key}`", k.switch and f"`probes.{k.switch}`", k.direction, _serves(k), k.help) for k in KINDS)
    return table("kind, switch, direction, serves, what it does", rows)


def _serves(kind: ProbeKind) -> str:
    if kind.headline:
        return "the figures"
    return "beside the figures" if kind.crosses else "verdict" if kind.direction is Direction.CONTROL else "causes"


def benches_part() -> str:
    """Return every bench that is a command, and what it measures."""
    commands = [p for p in sorted(BENCHES.glob("*.py")) if f"python -m tests.bench.{p.stem} " in p.read_text("utf-8")]
    return table("bench, what it measures", ((f"`{path.stem}`", _first_words(path)) for path in commands))


SECTIONS: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "run-output"): run_output_part,
    ("vrbench/cli/README.md", "commands"): commands_part,
    ("vrbench/cli/README.md", "command-reference"): command_reference_part,
    ("vrbench/README.md", "rooms"): rooms_part,
    ("vrbench/README.md", "phases"): phases_part,
    ("vrbench/core/README.md", "probe-kinds"): probe_kinds_part,
    ("tests/README.md", "benches"): benches_part,
    ("profiles/README.md", "shipped-profiles"): shipped_profiles_part,
    ("profiles/README.md", "profile-keys"): profile_keys_part,
    ("profiles/README.md", "operations"): operations_part,
    ("profiles/README.md", "places"): places_part,
    ("profiles/README.md", "settings"): settings_part,
    ("reports/README.md", "run-directory"): run_directory_part,
    ("reports/README.md", "caveats"): caveats_part,
    ("reports/README.md", "exit-codes"): exit_codes_part,
    ("reports/README.md", "export-columns"): export_columns_part,
    **field_table.parts(),
}
