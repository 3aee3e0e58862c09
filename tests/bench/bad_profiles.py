"""Profiles and options that nobody can mean."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from tests.bench.bad_values import HOSTILE_TEXTS, no_file, quoted, spoiled, toml_value
from tests.bench.input_case import Case
from vrbench.core.plan.profile import reference

KEYS = [(table, key, default) for table, key, default, _ in reference()]
TABLES = list(dict.fromkeys(table for table, _, _ in KEYS))
CODES = (0, 64)


def text_of(changes: dict[tuple[str, str], str], lab: bool = True) -> str:
    """Return a profile with every key, some of them changed."""
    lines = []
    for table in TABLES:
        if table == "lab" and not lab:
            continue
        lines.append(f"[{table}]")
        for t, key, default in KEYS:
            value = changes.get((t, key), '"203.0.113.1"' if key == "egress_target" else default)
            if t == table and value:
                lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


def make(rng: random.Random, here: Path) -> Case:
    """Write a bad profile, and return what is asked of it."""
    return rng.choice((_values, _values, _values, _keys, _shape, _bytes, _file, _name, _settings, _settings, _options))(
        rng, here
    )


def _case(what: str, names: tuple[str, ...], *more: str, profile: str = "bad.toml") -> Case:
    return Case(what, ("run", profile, "--plan", *more), names, _environ(), CODES)


def _environ() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COLUMNS": "80"}


def _written(here: Path, text: str) -> None:
    (here / "bad.toml").write_text(text, encoding="utf-8", newline="")


def _values(rng: random.Random, here: Path) -> Case:
    """Make some keys odd."""
    changed = rng.sample(KEYS, rng.choice((1, 1, 2, 5)))
    changes = {(table, key): toml_value(rng) for table, key, _ in changed}
    _written(here, text_of(changes, rng.random() < 0.8))
    names = tuple(key for _, key in changes)
    what = "; ".join(f"{t}.{k} = {v[:60]}" for (t, k), v in changes.items())
    return _case(what, (*names, "not TOML"), *rng.choice(((), ("--json",), ("--verbose",))))


def _keys(rng: random.Random, here: Path) -> Case:
    """Add keys and tables that there are not."""
    count = rng.choice((1, 3, 100, 8000))
    name = rng.choice((*HOSTILE_TEXTS[:7], "intervall", "x" * 300, "[probes]"))
    table = rng.choice(TABLES)
    added = "".join(f"{quoted(f'{name}{i}')} = {i}\n" for i in range(count))
    head = rng.choice((f"[{table}]\n", f"[{quoted(name)}]\n", "", f"[[{table}]]\n", f"[{table}.{'a.' * 2000}b]\n"))
    whole = text_of({}).replace(f"[{table}]\n", "") if "[[" in head else text_of({})
    _written(here, whole.replace(f"[{table}]\n", head + added, 1) if head else added + whole)
    return _case(f"{count} keys like {name[:40]!r} under {head[:40]!r}", ("unknown", "not TOML", table, "bad.toml"))


def _shape(rng: random.Random, here: Path) -> Case:
    """Give tables another shape."""
    table = rng.choice(TABLES)
    value = toml_value(rng)
    first = rng.choice(
        (f"{table} = {value}\n", f"{table}.x.y.z = {value}\n", f"name = {value}\n", f"{'a.' * 5000}b = {value}\n")
    )
    rest = "\n".join(line for line in text_of({}).splitlines() if line != f"[{table}]")
    _written(here, first + rest)
    return _case(first[:80], (table, "name", "unknown", "not TOML"))


def _bytes(rng: random.Random, here: Path) -> Case:
    """Spoil bytes."""
    (here / "bad.toml").write_bytes(spoiled(rng, text_of({}).encode()))
    return _case("bytes spoiled", ("bad.toml",))


def _file(rng: random.Random, here: Path) -> Case:
    """Put no file in its place."""
    what = no_file(rng, here / "bad.toml", 1 << rng.choice((24, 33, 40)))
    return _case(what, ("bad.toml",))


def _name(rng: random.Random, here: Path) -> Case:
    """Name it oddly; some of these files exist."""
    stem = rng.choice(
        (
            "x" * 300,
            "\x1b[31mred",
            "new\nline",
            "\udcff\udc80",
            "..",
            "a/../../b",
            "-",
            "",
            " ",
            "\u202egnp",
            "=1+1",
            "[red]x[/red]",
            "lab-parallel\x00"[:-1] + "x",
            "~",
            "/dev/stdin",
            "/",
        )
    )
    name = stem + rng.choice((".toml", "", "/"))
    there = rng.random() < 0.5
    if there and "/" not in name and 0 < len(name) < 250 and name not in ("..", "-"):
        (here / name).write_text(text_of({}))
    argv = ("run", "--plan", "--", name)
    shown = stem[:3].encode("unicode_escape").decode()
    return Case(f"named {name!r}", argv, (shown, "profile", "PROFILE"), _environ(), CODES)


def _settings(rng: random.Random, here: Path) -> Case:
    """Say it by --set."""
    _written(here, text_of({}))
    table, key, _ = rng.choice(KEYS)
    value = toml_value(rng)
    setting = rng.choice(
        (
            f"{table}.{key}={value}",
            f"{table}.{key}={value}",
            f"{table}.{key}={value}",
            f"{table}.{key}={value.strip(chr(34))}",
            f"{table}={value}",
            f"{table}.{key}.x={value}",
            f".={value}",
            f"={value}",
            value,
            f"{table}.{rng.choice(HOSTILE_TEXTS)}={value}",
            f"{rng.choice(HOSTILE_TEXTS)}.x=1",
            f"{table}.{key}\n=\n{value}",
            f"{table}.{key}=1\n[cloud]\nzone = 3",
        )
    ).replace("\0", "")[:120_000]
    return _case(f"--set {setting[:80]!r}", (key, "--set"), "--set", setting)


def _options(rng: random.Random, here: Path) -> Case:
    """Give options odd values."""
    _written(here, text_of({}, lab=False))
    odd = rng.choice((*HOSTILE_TEXTS, "\udcff", "..", "/", "x" * 300, "9" * 5000)).replace("\0", "")
    option = rng.choice(("--reuse", "--trials", "--reports", "--set", "--no-such", "--plan", "--json"))
    argv: tuple[Callable[[], tuple[str, ...]], ...] = (lambda: (option, odd), lambda: (f"{option}={odd}",))
    return _case(f"{option} {odd[:60]!r}", (option, "run", "Usage"), *rng.choice(argv)())
