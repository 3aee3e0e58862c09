"""The generated parts of the documents: each is what the code says, so that no document can drift from it."""

from __future__ import annotations

import ast
import inspect
import io
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console

from tests.docs.markdown import ROOT
from tests.docs.stored import stored_run
from tests.test_layers import MAY_IMPORT
from vrbench.cli.exits import Exit
from vrbench.cli.main import COMMANDS, cli
from vrbench.cli.profiles import shipped
from vrbench.core.caveats import CaveatKind
from vrbench.core.kinds import KINDS, Direction, ProbeKind
from vrbench.core.plan.profile import TABLES, reference
from vrbench.report.rows import COLUMNS
from vrbench.report.tables import headline_table
from vrbench.run.execute import execute_run


def run_output_part() -> str:
    """Return the table that a run ends with, of a stored one."""
    out = io.StringIO()
    Console(file=out, width=80).print(headline_table(stored_run("parallel")))
    shown = (line.rstrip() for line in out.getvalue().partition("method")[0].splitlines())
    return "\n".join(("```text", *(line for line in shown if line), "```"))


def commands_part() -> str:
    """Return one line for each command."""
    lines = (f"| `vrbench {name}` | {words} |" for name, (_, words) in COMMANDS.items())
    return "\n".join(("| command | what it does |", "|---|---|", *lines))


def all_commands() -> dict[str, click.Command]:
    """Return every command and subcommand by its words."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
    return found


def command_reference_part() -> str:
    """Return every command with its usage, what it does and its options, a heading each."""
    return "\n\n".join(_command(words, command) for words, command in all_commands().items())


def _command(words: str, command: click.Command) -> str:
    arguments = " ".join(
        p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)
    )
    usage = f"`vrbench {words}{f' {arguments}' if arguments else ''}`"
    help_ = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    options = list(visible_options(command))
    lines = [f"### {usage}", "", help_]
    if options:
        lines += [
            "",
            "| option | what it does |",
            "|---|---|",
            *(f"| `{_spelled(o)}` | {_meaning(o)} |" for o in options),
        ]
    return "\n".join(lines)


def visible_options(command: click.Command) -> Iterator[click.Option]:
    """Return the options that a person is told of."""
    return (p for p in command.params if isinstance(p, click.Option) and not p.hidden)


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
    listed = tuple(reference())
    return "\n\n".join(
        "\n".join(
            (
                f"### `[{name}]`",
                "",
                _sentence((kind.__doc__ or "").removeprefix(f"[{name}]: ")),
                "",
                "| key | default | what it is |",
                "|---|---|---|",
                *(f"| `{t}.{k}` | {f'`{d}`' if d else ''} | {h} |" for t, k, d, h in listed if t == name),
            )
        )
        for name, kind in TABLES.items()
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def shipped_profiles_part() -> str:
    """Return the shipped profiles, each with the first line of its file."""
    lines = (f"| `{name}` | {text.splitlines()[0].lstrip('# ')} |" for name, text in shipped().items())
    return "\n".join(("| profile | what it is for |", "|---|---|", *lines))


def caveats_part() -> str:
    """Return every caveat: what happened, what it means, what to do, and what it does to the verdict."""
    lines = [f"| `{k}` | {k.happened} | {k.meaning} | {k.remedy} | {k.effect} |" for k in CaveatKind]
    return "\n".join(
        ("| caveat | what happened | what it means | what to do | verdict |", "|---|---|---|---|---|", *lines)
    )


def export_columns_part() -> str:
    """Return the columns of every export table, in their order."""
    lines = (f"| `{table}` | {', '.join(f'`{c}`' for c in columns)} |" for table, columns in COLUMNS.items())
    return "\n".join(("| table | columns |", "|---|---|", *lines))


def exit_codes_part() -> str:
    """Return every exit code with its meaning."""
    lines = (f"| {int(code)} | {code.meaning} |" for code in Exit)
    return "\n".join(("| exit code | meaning |", "|---|---|", *lines))


def rooms_part() -> str:
    """Return every room and shelf of the package, what it is, and which rooms it may import."""
    package = ROOT / "vrbench"
    lines = []
    for name, imported in MAY_IMPORT.items():
        at = package / name
        if name and at.is_dir():
            lines.append(f"| `{name}` | {_first_words(at / '__init__.py')} | {_others(name, imported)} |")
            shelves = (shelf for shelf in sorted(at.iterdir()) if (shelf / "__init__.py").is_file())
            lines += [f"| `{name}/{s.name}` | {_first_words(s / '__init__.py')} | |" for s in shelves]
        elif name and name != "__main__":
            lines.append(f"| `{name}.py` | {_first_words(at.with_suffix('.py'))} | {_others(name, imported)} |")
    return "\n".join(("| room or shelf | what it is | may import |", "|---|---|---|", *lines))


def _others(name: str, imported: Iterable[str]) -> str:
    return ", ".join(sorted(f"`{other}`" for other in imported if other not in (name, "")))


def _first_words(path: Path) -> str:
    """Return the first sentence of a file's docstring."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.])\s", text.replace("``", "`"))[0].rstrip(".:").replace("|", r"\|")


def phases_part() -> str:
    """Return what the main path says of itself."""
    return f"```text\n{inspect.getdoc(execute_run)}\n```"


def probe_kinds_part() -> str:
    """Return every kind of probe: its word in the method's id, its switch, which way it goes, and what it serves."""
    lines = (
        f"| `{kind.key}` | {f'`probes.{kind.switch}`' if kind.switch else ''} | {kind.direction} | {_serves(kind)} | "
        f"{kind.help} |"
        for kind in KINDS
    )
    return "\n".join(("| kind | switch | direction | serves | what it does |", "|---|---|---|---|---|", *lines))


def _serves(kind: ProbeKind) -> str:
    if kind.headline:
        return "the figures"
    return "beside the figures" if kind.crosses else "verdict" if kind.direction is Direction.CONTROL else "causes"


def benches_part() -> str:
    """Return every bench that is a command, and what it measures."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests/bench").glob("*.py"))}
    names = [name for name, text in texts.items() if f"python -m tests.bench.{name} " in text]
    lines = (f"| `{name}` | {_first_words(ROOT / 'tests/bench' / f'{name}.py')} |" for name in names)
    return "\n".join(("| bench | what it measures |", "|---|---|", *lines))


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
    ("reports/README.md", "caveats"): caveats_part,
    ("reports/README.md", "exit-codes"): exit_codes_part,
    ("reports/README.md", "export-columns"): export_columns_part,
}
